"""`manage.py jobs list`, `show` and `types`: what there is. They change nothing."""

from collections.abc import Iterator, Mapping
from typing import Any

from jobs import aliases, kinds, listing, signatures
from jobs.arguments import masked
from jobs.audit import JobEvent
from jobs.listing import Selection
from jobs.management import choosing, words
from jobs.management.terminal import NotDone, Record, Terminal, Usage
from jobs.management.verbs import verb
from jobs.models import Job, Priority, UniqueKey

PAGE = 500  # rows that are read at a time
COLUMNS = ("id", "state", "name", "queue", "priority", "run_at", "reason")


def add(verbs: Any) -> None:
    listed = verb(verbs, "list", list_jobs, "jobs, newest first; with --from, --until and overdue: as they fall due")
    listed.add_argument("--limit", type=words.number(), metavar="NUMBER", default=50, help="so many (default: 50)")
    listed.add_argument("--all", action="store_true", help="as many as there are")
    listed.add_argument("--after", default="", metavar="CURSOR", help="go on where a list ended, as it told")
    choosing.add_filters(listed)
    one = verb(verbs, "show", show, "everything about jobs: attempts, log lines, who asked what of them")
    one.add_argument("jobs", nargs="+", metavar="ID", help="ids or unique keys")
    one.add_argument("--reveal", action="store_true", help="arguments and results as they are, not by their kind")
    types = verb(
        verbs, "types", list_types, "the kinds of jobs that there are, with the JSON Schema of their arguments"
    )
    types.add_argument("task", nargs="?", help="only this one, with its whole schema")
    types.add_argument("--internal", action="store_true", help="those too that the application alone calls")


def record(job: Job) -> dict[str, Any]:
    """What every list tells of a job: no arguments, which are anybody's data."""
    return {
        "id": job.pk,
        "state": job.state,
        "name": job.name,
        "task": job.task,
        "queue": job.queue,
        "priority": Priority(job.priority).name.lower() if job.priority in Priority.values else job.priority,
        "run_at": job.run_at,
        "failures": job.failures,
        "max_attempts": job.max_attempts,
        "reason": job.reason,
        "unique_key": job.unique_key,
        "tenant": job.tenant,
        "tag": job.correlation_id,
        "created_at": job.created_at,
        "started_at": job.started_at,
        "finished_at": job.finished_at,
        "useful_until": job.useful_until,
    }


def list_jobs(options: Mapping[str, Any], terminal: Terminal) -> None:
    selection = choosing.selection(options)
    cursor = {"at": options["after"]}

    def found() -> Iterator[Record]:
        left = options["limit"]
        while left > 0 or options["all"]:
            page = _page(selection, PAGE if options["all"] else min(left, PAGE), cursor["at"])
            yield from map(record, page.jobs)
            left, cursor["at"] = left - len(page.jobs), page.after
            if not page.after:
                return

    if not terminal.rows(found(), COLUMNS):
        raise NotDone("There are no such jobs.")
    if cursor["at"]:
        terminal.warn(f"There are more: --after {cursor['at']}")


def _page(selection: Selection, size: int, after: str) -> listing.Page:
    try:
        return listing.page(selection, Job.objects.all(), size, after=after)
    except ValueError:
        raise Usage(f"--after {after} is not where this list goes on.") from None


def show(options: Mapping[str, Any], terminal: Terminal) -> None:
    ids, missing = choosing.ids_of(options["jobs"])
    for pk in ids:
        terminal.facts(_whole(Job.objects.get(pk=pk), reveal=options["reveal"]))
    if missing:
        gone = dict.fromkeys(missing, "")
        for row in UniqueKey.objects.filter(key__in=missing).order_by("tenant"):
            of = f" of {row.tenant}" if row.tenant else ""
            gone[row.key] += f" (it was {row.job}{of}, {row.state}, deleted {row.pruned_at:%Y-%m-%d})"
        raise NotDone(f"There is no job {', '.join(name + told for name, told in gone.items())}.")


def _whole(job: Job, *, reveal: bool) -> Record:
    def told(value: Any) -> Any:
        return value if reveal else masked(value)

    return record(job) | {
        "args": told(job.args),
        "kwargs": told(job.kwargs),
        "result": told(job.result),
        "worker": job.worker,
        "lease_until": job.lease_until,
        "cancel_requested": job.cancel_requested,
        "signature": job.signature or (signatures.of(job.reason) if job.failures else ""),
        "progress": job.progress,
        "log": job.log,
        "attempts": [
            {
                "number": one.number,
                "outcome": one.outcome,
                "error": one.error,
                "started_at": one.started_at,
                "duration": one.duration,
                "worker": one.worker,
            }
            for one in job.attempts.all()
        ],
        "events": [
            {"at": one.at, "by": one.by, "verb": one.verb, "reason": one.reason, "outcome": one.outcome}
            for one in JobEvent.objects.filter(job=job)
        ],
    }


def list_types(options: Mapping[str, Any], terminal: Terminal) -> None:
    if options["task"]:
        terminal.facts(kinds.described(words.task(options["task"])))
        return
    found = [
        kind for kind in kinds.all_of_them() if options["internal"] or not kind.internal or aliases.of(str(kind.name))
    ]
    if not terminal.rows(map(kinds.described, found), ("task", "arguments", "queue", "priority", "about")):
        raise NotDone("There are no kinds but those that the application alone calls: --internal.")
