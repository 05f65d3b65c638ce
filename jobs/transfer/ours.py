"""Our own rows: a job with all that makes it what it is, between a first line and a last one.

The first line names the format. The last has the number of jobs, by state, and the SHA-256 of all lines before it: a
file that was cut off, or changed by a byte, is refused as a whole. Written by `exporting`, read by `importing`.
"""

import hashlib
import json
from collections import Counter
from datetime import datetime
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError

from jobs import canvas
from jobs.models import Job
from jobs.options import CARRIED, CONTEXT
from jobs.payload import storable
from jobs.transfer.owed import MOST, BadRow, Record, moment

FORMAT, VERSION = "punctual-jobs", 1
PLAIN = (
    *("task", "args", "kwargs", "version", "options", "queue", "priority", "state", "reason", "signature"),
    *("failures", "max_attempts", "unique_key", "checkpoint", "progress", "log", "result"),
    *("tenant", "concurrency_key", "correlation_id"),
)
TYPES: dict[str, Any] = {
    **dict.fromkeys(("task", "queue", "state", "reason", "signature"), str),
    **dict.fromkeys(("tenant", "concurrency_key", "correlation_id"), str),
    **dict.fromkeys(("version", "priority", "failures"), int),
    **{"args": list, "kwargs": dict, "options": dict, "log": list},
    **{"max_attempts": int | None, "unique_key": str | None, "progress": dict | None},
}
OPTIONS = CARRIED | CONTEXT | canvas.LINKS | {"ignore_result"}
LIMITED = ("args", "kwargs", "options", "checkpoint", "progress", "result")
MOMENTS = ("run_at", "useful_until", "created_at", "started_at", "finished_at")
FIELDS = ("id", *PLAIN, *MOMENTS, "group_id")


def header(filters: Record, at: datetime) -> Record:
    return {"format": FORMAT, "version": VERSION, "made_at": at.isoformat(), "filters": filters}


def is_header(record: Record) -> bool:
    return record.get("format") == FORMAT


def check(record: Record) -> None:
    if record.get("version") != VERSION:
        raise BadRow(f"the file is of version {record.get('version')!r}; this is {VERSION}")


def row(job: Job) -> Record:
    told: dict[str, Any] = {"id": str(job.pk)} | {name: getattr(job, name) for name in PLAIN}
    told |= {name: at.isoformat() if (at := getattr(job, name)) else None for name in MOMENTS}
    return told | {"group_id": str(job.group_id) if job.group_id else None}


def job(record: Record) -> Job:
    """The row as it was: what waited, or had a message out, waits. Raises BadRow."""
    if missing := [name for name in FIELDS if name not in record]:
        raise BadRow(f"{missing[0]} is missing")
    if odd := sorted(record.keys() - set(FIELDS)):
        raise BadRow(f"{odd[0]} is not known here")
    state = record["state"]
    if state not in Job.State.values:
        raise BadRow(f"the state {state!r} is not known")
    if state == Job.State.RUNNING:
        raise BadRow("it was running, and how that ended is not in the file: drain the queue and export again")
    if state in Job.UNFINISHED and record["group_id"]:
        raise BadRow("a group waits for it there: let the group finish, or leave it behind with --skip-bad")
    try:
        pk = UUID(record["id"])
    except (ValueError, TypeError, AttributeError):
        raise BadRow(f"id {record['id']!r} is no UUID") from None
    made = Job(
        pk=pk, **{name: record[name] for name in PLAIN}, **{name: moment(record[name], name) for name in MOMENTS}
    )
    _fits(made)
    made.state = Job.State.SCHEDULED if state in Job.UNFINISHED else state
    return made


def _fits(made: Job) -> None:
    """Whoever wrote the file may have summed up anything: each value is one that the row, and its readers, can take."""
    for name, kind in TYPES.items():
        value = getattr(made, name)
        if not isinstance(value, kind) or isinstance(value, bool) or (isinstance(value, int) and value > MOST):
            raise BadRow(f"{name} {value!r:.80} is not of its type")
    if made.run_at is None or made.created_at is None:
        raise BadRow("run_at or created_at is missing")
    stamps = set(map(str, made.options.get("stamped_headers") or ()))
    if odd := sorted(made.options.keys() - OPTIONS - stamps):
        raise BadRow(f"options.{odd[0]} is not known here")
    for name in LIMITED:
        storable(getattr(made, name), name)
    try:
        empty = [one.name for one in Job._meta.fields if one.name not in TYPES or not getattr(made, one.name)]
        made.clean_fields(exclude=empty)
    except ValidationError as exc:
        name, texts = next(iter(exc.message_dict.items()))
        raise BadRow(f"{name}: {texts[0]}") from None


class Tally:
    """Counts and sums up the lines of a file, as it is written and as it is read."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._sum = hashlib.sha256()

    def line(self, text: bytes) -> None:
        self._sum.update(text)

    @property
    def sha256(self) -> str:
        return self._sum.hexdigest()

    def footer(self) -> Record:
        counts = dict(sorted(self.counts.items()))
        return {"end": FORMAT, "jobs": self.counts.total(), "counts": counts, "sha256": self.sha256}

    def check(self, record: Record) -> None:
        """Raises BadRow unless the lines read are the lines written."""
        if record.get("sha256") != self.sha256:
            raise BadRow(f"the file was changed: its lines have the SHA-256 {self.sha256}, not {record.get('sha256')}")
        if record.get("jobs") != self.counts.total() or record.get("counts") != dict(self.counts):
            raise BadRow(f"the last line counts {record.get('jobs')} jobs, the file has {self.counts.total()}")


def written(record: Record) -> bytes:
    return (json.dumps(record, ensure_ascii=False, separators=(",", ":")) + "\n").encode()
