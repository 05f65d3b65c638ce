"""`manage.py jobs cancel`, `retry`, `run-now` and `reschedule`: of the jobs named, or of all that a filter matches.

Each is an order, as the admin gives them: first how many it is about, then carried out a chunk at a time and kept with
who and why. It is carried out here, beside the job that a large one has, and that a small one gets when it stands
still: a lost terminal does not end it, a Ctrl-C does, and no job is asked twice.
"""

from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any

from jobs import bulk_orders
from jobs.bulk_orders import Preview, Wish
from jobs.ledger import Cancelled
from jobs.listing import MOST, Selection
from jobs.management import asking, choosing, words
from jobs.management.terminal import NotDone, Terminal, Usage
from jobs.management.verbs import verb
from jobs.models import Order
from jobs.scopes import ALL

Verb = Order.Verb
VERBS = {
    "cancel": (Verb.CANCEL, "cancel jobs: they never run; those that run are asked to stop"),
    "retry": (Verb.RETRY, "run again what failed, was cancelled or expired"),
    "run-now": (Verb.RUN_NOW, "let what waits for its time go with the next tick"),
    "reschedule": (Verb.POSTPONE, "give what waits another time"),
}


def add(verbs: Any) -> None:
    for name, (_verb, about) in VERBS.items():
        parser = verb(verbs, name, order, about)
        _add_options(parser)
        if name == "retry":
            parser.add_argument(
                "--per-minute",
                type=words.number(1, 1_000_000),
                metavar="NUMBER",
                help="so many a minute, not all at once",
            )
        if name == "reschedule":
            when = parser.add_mutually_exclusive_group(required=True)
            when.add_argument("--to", metavar="TIME", help='"in 2 hours", "tomorrow at 9am", ISO 8601')
            when.add_argument("--by-time", type=words.duration, metavar="DURATION", help="so much later: 2h")


def _add_options(parser: ArgumentParser) -> None:
    parser.add_argument("jobs", nargs="*", metavar="ID", help="ids or unique keys")
    choosing.add_filters(parser)
    parser.add_argument("--every-job", action="store_true", help="all jobs that there are, without any filter")
    parser.add_argument("--dry-run", action="store_true", help="tell how many it would be, change nothing")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    words.add_why(parser)


def order(options: Mapping[str, Any], terminal: Terminal) -> None:
    name = options["verb"]
    chosen, missing = _chosen(options)
    parameters = _parameters(options)
    seen = bulk_orders.preview(VERBS[name][0], chosen, ALL)
    if options["dry_run"]:
        _told(name, seen, terminal)
    elif seen.total:
        # Jobs that were named one by one need no question.
        asking.agree(f"{name} {_number(seen.total)} jobs ({_counted(seen)})", yes=options["yes"] or bool(chosen.ids))
        wish = Wish(VERBS[name][0], chosen, ALL, options["by"], options["reason"], parameters)
        started = bulk_orders.write(wish, seen)
        _report(name, _carried_out(started, terminal, options["by"]), seen, terminal)
    if missing:
        raise NotDone(f"There is no job {', '.join(missing)}.")
    if not seen.total:
        raise NotDone(f"Nothing to {name}: {_left_alone(seen) or 'there are no such jobs'}.")


def _chosen(options: Mapping[str, Any]) -> tuple[Selection, list[str]]:
    if not (options["jobs"] or choosing.is_narrowed(options) or options["every_job"]):
        raise Usage("Say which jobs: ids, or a filter such as --state failed --task NAME. All: --every-job.")
    ids, missing = choosing.ids_of(options["jobs"])
    if options["jobs"] and not ids:
        raise NotDone(f"There is no job {', '.join(missing)}.")
    return choosing.selection(options, ids), missing


def _parameters(options: Mapping[str, Any]) -> dict[str, Any]:
    if options.get("per_minute"):
        return {"per_minute": options["per_minute"]}
    if options.get("to"):
        return {"run_at": words.coming(options["to"]).isoformat()}
    if options.get("by_time"):
        return {"seconds": options["by_time"].total_seconds()}
    return {}


def _carried_out(started: Order, terminal: Terminal, by: str) -> Order:
    with terminal.progress(bulk_orders.counted(started).total, "jobs") as at:
        try:
            while started.open:
                started = bulk_orders.chunk(started.pk)
                at(started.done)
        except KeyboardInterrupt:
            bulk_orders.call_off(started, by=by)
            raise NotDone(f"Called off after {started.done:,} of {started.total:,}. What is done is done.") from None
    return started


def _told(name: str, seen: Preview, terminal: Terminal) -> None:
    facts = {"verb": name, "dry_run": True, "jobs": seen.total, "counts": seen.counts}
    if terminal.json or seen.total:
        terminal.say(f"It would {name} {_number(seen.total)} jobs: {_counted(seen)}.{_others(seen)}", **facts)


def _report(name: str, done: Order, seen: Preview, terminal: Terminal) -> None:
    counts = ", ".join(f"{number:,} {what}" for what, number in sorted(done.counts.items())) or "none"
    facts = {"verb": name, "order": done.pk, "jobs": done.done, "counts": done.counts, "left_alone": _beyond(seen)}
    terminal.say(f"{name}: {counts}.{_others(seen)}", **facts)
    if still := done.counts.get(Cancelled.IN_FLIGHT, 0):
        raise NotDone(f"{still:,} of them run at this moment and are asked to stop: see jobs show.")


def _number(number: int) -> str:
    return f"{MOST:,}+" if number > MOST else f"{number:,}"


def _counted(seen: Preview) -> str:
    return ", ".join(f"{_number(seen.counts[state])} {state}" for state in seen.counts if state in seen.reach)


def _beyond(seen: Preview) -> dict[str, int]:
    return {state: number for state, number in seen.counts.items() if state not in seen.reach}


def _left_alone(seen: Preview) -> str:
    return ", ".join(f"{_number(number)} {state}" for state, number in _beyond(seen).items())


def _others(seen: Preview) -> str:
    return f" Left alone: {left}." if (left := _left_alone(seen)) else ""
