"""Rows of Bull and BullMQ: their hashes as docs/migrating.md takes them out of Redis, or `job.toJSON()`.

Both count in milliseconds, and 1 is their most urgent priority. Numeric ids are Redis' own counter; other ids were
chosen by the application (`jobId`), which will use them again, so they become our unique keys as they are.
"""

from datetime import datetime
from typing import Any

from jobs.options import LAST_YEAR
from jobs.transfer.owed import BadRow, Owed, Record, Recurs, moment, number, parsed, span

STATES = {
    **dict.fromkeys(("wait", "waiting", "paused", "prioritized", "delayed"), "scheduled"),
    **{"active": "running", "failed": "failed", "completed": "succeeded"},
}
OTHERWISE = {  # an option: what holds in its place
    "backoff": "the task says how long it waits between attempts",
    "removeOnComplete": "the installation says how long jobs are kept: JOBS_KEEP_SUCCEEDED_DAYS",
    "removeOnFail": "failed jobs wait for a person: JOBS_KEEP_FAILED_DAYS",
    "lifo": "the oldest go first",
    "keepLogs": "the last 200 lines are kept",
    "stackTraceLimit": "tracebacks are kept whole",
    "sizeLimit": "arguments take at most 64 KiB",
    "deduplication": "its id is a unique key here, and outlives the job",
    "debounce": "its id is a unique key here, and outlives the job",
}
SHORT = {  # as BullMQ stores them
    **{"de": "deduplication", "kl": "keepLogs", "fpof": "failParentOnFailure", "cpof": "continueParentOnFailure"},
    **{"idof": "ignoreDependencyOnFailure", "rdof": "removeDependencyOnFailure"},
}
PARENTS = {"parent", "failParentOnFailure", "continueParentOnFailure"}
PARENTS |= {"ignoreDependencyOnFailure", "removeDependencyOnFailure"}
UNDERSTOOD = {"attempts", "delay", "priority", "timestamp", "jobId", "repeat", "timeout", "prevMillis", "repeatJobKey"}


def is_one(record: Record) -> bool:
    return ("key" in record and isinstance(record.get("job"), dict)) or ("opts" in record and "name" in record)


def read(record: Record) -> Owed:
    """Raises BadRow."""
    job, queue, pk = _parts(record)
    options = _json(job.get("opts") or {}, "opts")
    if not isinstance(options, dict):
        raise BadRow("opts is no object")
    options = {SHORT.get(name, name): value for name, value in options.items()}
    if options.keys() & PARENTS or job.get("parentKey"):
        raise BadRow("a parent of its flow waits for it: let the flow end there, or make it a chain here")
    if odd := sorted(options.keys() - UNDERSTOOD - OTHERWISE.keys()):
        raise BadRow(f"opts.{odd[0]} is not known here")
    chosen = not pk.isdigit() and not pk.startswith("repeat:")
    made = number(job.get("attemptsMade", job.get("atm")), "attemptsMade")
    name = str(job.get("name") or "")
    owed = Owed(
        name=queue if name in ("", "__default__") else name,
        data=_json(job.get("data") or {}, "data"),
        key=pk if chosen else f"{queue}:{pk}",
        chosen=chosen,
        state=_state(record, job),
        run_at=_due(record, job, made),
        priority=number(job.get("priority") or options.get("priority"), "priority") or None,  # 0: none was given
        scale="ten",
        attempts=number(options.get("attempts"), "opts.attempts") or None,
        failures=made,
        timeout=span(options["timeout"], "opts.timeout").total_seconds() if options.get("timeout") else None,
        reason=str(job.get("failedReason") or ""),
        finished_at=moment(job.get("finishedOn"), "finishedOn"),
        notes=[f"{option}: {told}" for option, told in OTHERWISE.items() if options.get(option) not in (None, False)],
    )
    shared = options.get("deduplication") or options.get("debounce")
    if shared and not chosen:
        owed.key, owed.chosen = str(shared.get("id")), True
    if repeat := options.get("repeat"):
        owed.recurs = _recurs(repeat, queue, job)
    return owed


def _parts(record: Record) -> tuple[Record, str, str]:
    """The job, its queue and its id."""
    if "job" not in record:
        queue = str(record.get("queueQualifiedName") or "bull").rpartition(":")[2]
        return record, queue, str(record.get("id"))
    key = str(record["key"]).split(":", 2)  # prefix, queue, id
    if len(key) != 3 or not record["job"]:
        raise BadRow(f"key {record['key']!r} is not prefix:queue:id, or has no job")
    return record["job"], key[1], key[2]


def _state(record: Record, job: Record) -> str:
    said = record.get("state") or job.get("state")
    if said is None:
        if job.get("finishedOn"):
            return "failed" if job.get("failedReason") else "succeeded"
        if job.get("processedOn") and not job.get("failedReason"):
            raise BadRow("it may be running: export it with its state, see docs/migrating.md")
        return "scheduled"
    if said not in STATES:
        raise BadRow(f"the state {said!r} has no meaning here (waiting-children: let that flow end there)")
    return STATES[said]


def _due(record: Record, job: Record, made: int) -> datetime | None:
    """Of a retry the delay counts from the last run, so that Redis' own moment is better where the export has it."""
    if record.get("due"):
        return moment(record["due"], "due")
    start = moment(job.get("processedOn") if made else job.get("timestamp"), "timestamp")
    try:
        due = start + span(job.get("delay"), "delay") if start else None
    except OverflowError:
        raise BadRow(f"a delay of {job.get('delay')} ms: the last year is {LAST_YEAR}") from None
    return due


def _recurs(repeat: Any, queue: str, job: Record) -> Recurs:
    for name in ("limit", "endDate", "startDate"):
        if repeat.get(name):
            raise BadRow(f"repeat.{name} has no counterpart: make the schedule by hand, in the admin")
    name = str(repeat.get("key") or job.get("rjk") or job.get("repeatJobKey") or job.get("name"))
    if repeat.get("every"):
        return Recurs(f"{queue}:{name}", every=span(repeat["every"], "repeat.every"))
    cron = str(repeat.get("cron") or repeat.get("pattern") or "")
    return Recurs(f"{queue}:{name}", cron=cron, zone=str(repeat.get("tz") or "UTC"))


def _json(value: Any, what: str) -> Any:
    return parsed(value, what) if isinstance(value, str) else value
