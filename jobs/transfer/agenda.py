"""Rows of Agenda: documents as `mongoexport` writes them, in either of its JSON formats."""

from datetime import timedelta
from typing import Any

from django.utils import timezone

from jobs import when
from jobs.transfer.owed import BadRow, Owed, Record, Recurs, moment

WORDS = {"lowest": "low", "low": "low", "normal": "normal", "high": "high", "highest": "urgent"}
OTHERWISE = {
    "shouldSaveResult": "results are always kept",
    "uniqueOpts": "unique keys are given with each call",
    "unique": "unique keys are given with each call",
}
UNDERSTOOD = {
    *("_id", "name", "data", "type", "priority", "nextRunAt", "repeatInterval", "repeatTimezone", "lastRunAt"),
    *("lastFinishedAt", "failedAt", "failCount", "failReason", "lockedAt", "disabled", "lastModifiedBy", "result"),
    *("progress", "fork", "startDate", "endDate", "skipDays", "repeatAt"),
}
NO_COUNTERPART = ("startDate", "endDate", "skipDays", "repeatAt", "fork")


def is_one(record: Record) -> bool:
    return "_id" in record or ("name" in record and "nextRunAt" in record)


def read(record: Record) -> Owed:
    """Raises BadRow."""
    job = _plain(record)
    if odd := sorted(job.keys() - UNDERSTOOD - OTHERWISE.keys()):
        raise BadRow(f"{odd[0]} is not known here")
    for name in NO_COUNTERPART:
        if job.get(name):
            raise BadRow(f"{name} has no counterpart: make it by hand")
    priority = job.get("priority")
    owed = Owed(
        name=str(job.get("name") or ""),
        data=job.get("data") or {},
        key=f"agenda:{job.get('_id')}",
        run_at=moment(job.get("nextRunAt"), "nextRunAt"),
        priority=WORDS.get(priority, priority) if isinstance(priority, str) else priority,
        scale="agenda",
        reason=str(job.get("failReason") or ""),
        finished_at=moment(job.get("lastFinishedAt") or job.get("failedAt"), "lastFinishedAt"),
        notes=[f"{name}: {told}" for name, told in OTHERWISE.items() if job.get(name)],
    )
    if job.get("lockedAt"):
        owed.state = "running"
    elif job.get("disabled"):
        raise BadRow("it is disabled; enable it there, or leave it behind with --skip-bad")
    elif job.get("repeatInterval"):
        owed.recurs = _recurs(owed, job["repeatInterval"], str(job.get("repeatTimezone") or "UTC"))
    elif owed.run_at is None:
        if not (job.get("lastFinishedAt") or job.get("failedAt")):
            owed.notes.append("nextRunAt: it has none and never ran, so that it never would")
        owed.state = "failed" if job.get("failedAt") and not _succeeded_since(job) else "succeeded"
    return owed


def _succeeded_since(job: Record) -> bool:
    """Agenda sets lastFinishedAt at each end and failedAt at a failed one: the same moment, for the last run."""
    failed, over = moment(job["failedAt"], "failedAt"), moment(job.get("lastFinishedAt"), "lastFinishedAt")
    return bool(failed and over and over > failed)


def _recurs(owed: Owed, interval: Any, zone: str) -> Recurs:
    """A cron text, milliseconds, or words such as "3 minutes"."""
    name, text = owed.key, str(interval).strip()
    if text.isdigit():
        return Recurs(name, every=timedelta(milliseconds=int(text)))
    if len(text.split()) in (5, 6) and (text[0].isdigit() or text[0] == "*"):
        return Recurs(name, cron=text, zone=zone)
    try:
        found = when.understood(f"in {text}", timezone.now(), timezone.get_current_timezone())
    except ValueError:
        raise BadRow(f"repeatInterval {text!r} is neither a cron text nor a span such as 3 minutes") from None
    return Recurs(name, every=found if isinstance(found, timedelta) else found - timezone.now())


def _plain(value: Any) -> Any:
    """Mongo's Extended JSON as plain JSON: {"$oid": ...}, {"$date": ...}, {"$numberInt": ...}."""
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        ((kind, inner),) = value.items()
        if kind in ("$oid", "$date"):
            return _plain(inner)
        if kind in ("$numberInt", "$numberLong"):
            return int(inner)
        if kind in ("$numberDouble", "$numberDecimal"):
            return float(inner)
        if kind.startswith("$"):
            raise BadRow(f"{kind} has no counterpart in JSON")
    return {name: _plain(one) for name, one in value.items()}
