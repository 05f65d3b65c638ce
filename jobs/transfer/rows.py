"""A file's lines as what would be inserted: jobs, keys of jobs that are over, schedules; or why not.

Used by `importing`, which reads a file twice: once to look, once to write. Reads a chunk of lines at a time.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple, TypeVar

from django.core.exceptions import PermissionDenied
from django_celery_beat.models import PeriodicTask

from jobs import aliases, registry, signatures
from jobs.bulk import database_now
from jobs.durable import Durable, Priority
from jobs.library import people
from jobs.models import Job
from jobs.payload import PayloadError
from jobs.rows import lane
from jobs.transfer import agenda, bull, ours, plain, recurring
from jobs.transfer.owed import BadRow, Owed, Record, parsed
from jobs.transfer.sources import LONGEST_LINE, Source

SYSTEMS: dict[str, Any] = {"bull": bull, "agenda": agenda, "plain": plain}
OURS = "punctual"
LONGEST_KEY = 255
BY = "an import"
OVER = ("succeeded", "cancelled")
ENDED = ("running", *OVER)  # of which no job is made
Made = TypeVar("Made")


@dataclass(frozen=True)
class Wanted:
    """How to read a file."""

    names: Mapping[str, str] = field(default_factory=dict)  # theirs: ours
    scale: str = ""  # that numbers of priorities are on; empty: the system's own
    queue: str = ""  # in place of the task's own
    schedules: bool = False  # make schedules of what recurs
    system: str = ""  # empty: as the first line tells


@dataclass
class Row:
    line: int
    job: Job | None = None
    key: str = ""  # of a job that is over, remembered so that it is not made again
    schedule: PeriodicTask | None = None
    over: bool = False  # it is over, and nobody would ask for it again
    error: str = ""
    notes: list[str] = field(default_factory=list)

    @property
    def identities(self) -> list[tuple[str, ...]]:
        """What it is known by, first as it is told: of two rows that share one the second is not made."""
        if self.job:
            keys = [(f"key {self.job.unique_key}", self.job.tenant)] if self.job.unique_key else []
            return [(f"id {self.job.pk}",), *keys]
        if self.schedule:
            return [(f"schedule {self.schedule.name}",)]
        return [(f"key {self.key}", "")] if self.key else []


class _Line(NamedTuple):
    """What a line holds: one of our jobs, what another system's row says in our words, or why it is a bad one."""

    number: int
    size: int  # bytes
    system: str
    told: Record | Owed | str


def read(source: Source, wanted: Wanted, most: int) -> Iterator[list[Row]]:
    """Every row, the bad ones too, in chunks of up to `most`: what readers of payloads ask is asked once for each.

    Raises BadRow for a file that is none, was cut off or was changed.
    """
    now, lines, size = database_now(), list[_Line](), 0
    for line in _lines(source, wanted):
        lines.append(line)
        size += line.size
        if len(lines) == most or size > LONGEST_LINE:
            yield _rows(lines, source, wanted, now)
            lines, size = [], 0
    if lines:
        yield _rows(lines, source, wanted, now)


def _lines(source: Source, wanted: Wanted) -> Iterator[_Line]:
    system, ended, tally = wanted.system, False, ours.Tally()
    for number, raw in source.lines():
        if not raw.strip():
            tally.line(raw)
            continue
        if ended:
            raise BadRow(f"line {number} comes after the last line")
        try:
            record = _object(raw)
        except BadRow as exc:
            tally.line(raw)
            yield _Line(number, len(raw), system, str(exc))
            continue
        system = system or _system(record, number)
        if record.get("end") == ours.FORMAT:
            tally.check(record)
            ended = True
            continue
        tally.line(raw)
        if ours.is_header(record):
            ours.check(record)
            continue
        tally.counts[str(record.get("state", ""))] += 1
        told = record if system == OURS else _told(partial(_owed, record, system), system)
        yield _Line(number, len(raw), system, told)
    if system == OURS and not ended:
        raise BadRow("the file was cut off: its last line is missing")


def _owed(record: Record, system: str) -> Owed:
    owed: Owed = SYSTEMS[system].read(record)
    return owed


def _rows(lines: Sequence[_Line], source: Source, wanted: Wanted, now: datetime) -> list[Row]:
    owed = [line.told for line in lines if isinstance(line.told, Owed)]
    known = aliases.gathered(_calls(owed, wanted), people.trusted(BY))
    made = []
    for line in lines:
        row = _row(line, wanted, now, known)
        if not row.error and (first := source.seen.first(row.identities, line.number)) != line.number:
            row = Row(line.number, error=f"it is the same as line {first}: {row.identities[-1][0].partition(' ')[2]}")
        made.append(row)
    return made


def _calls(owed: Iterable[Owed], wanted: Wanted) -> Iterator[tuple[str, dict[str, Any], str]]:
    """The calls that the rows become."""
    for one in owed:
        if isinstance(one.name, str) and one.state not in ENDED and not one.recurs:
            yield wanted.names.get(one.name, one.name), one.data if isinstance(one.data, dict) else {}, ""


def _object(raw: bytes) -> dict[str, Any]:
    try:
        found = parsed(raw.decode("utf-8-sig"))
    except UnicodeDecodeError as exc:
        raise BadRow(f"it is no UTF-8: {exc.reason} at byte {exc.start}") from None
    if not isinstance(found, dict):
        raise BadRow("it is no JSON object")
    return found


def _system(record: Record, number: int) -> str:
    if ours.is_header(record):
        return OURS
    for name, module in SYSTEMS.items():
        if module.is_one(record):
            return name
    raise BadRow(f"by line {number} it is not a file of {', '.join([OURS, *SYSTEMS])}; docs/migrating.md shows each")


def _row(line: _Line, wanted: Wanted, now: datetime, known: aliases.Gathered) -> Row:
    what = line.told
    if isinstance(what, Owed):
        row = _told(partial(_foreign, Row(line.number, notes=what.notes), what, wanted, now, known), line.system)
    elif isinstance(what, str):
        row = what
    else:
        row = _told(lambda: Row(line.number, job=_own(what, wanted)), line.system)
    return Row(line.number, error=row) if isinstance(row, str) else row


def _told(does: Callable[[], Made], system: str) -> Made | str:
    """What it gives, or why that row is a bad one."""
    try:
        return does()
    except (BadRow, LookupError, PayloadError, PermissionDenied, TypeError, ValueError) as exc:
        return str(exc.args[0] if exc.args else exc)
    except (AttributeError, ArithmeticError, RecursionError) as exc:  # a text where an object belongs, and the like
        return f"it has not the shape of a row of {system}: {exc}"


def _own(record: Record, wanted: Wanted) -> Job:
    made = ours.job(record)
    kind = _kind(made.task, wanted)
    made.task, made.queue = str(kind.name), lane(kind, wanted.queue or made.queue)
    if made.version == kind.version and made.state == Job.State.SCHEDULED:
        kind.arguments(made.args, made.kwargs)  # what does not fit the task fails here and not at three in the morning
    return made


def _foreign(row: Row, owed: Owed, wanted: Wanted, now: datetime, known: aliases.Gathered) -> Row:
    if len(owed.key) > LONGEST_KEY:
        raise BadRow(f"its id has more than {LONGEST_KEY} letters")
    if owed.state == "running":
        raise BadRow("it was running, and how that ended is not in the file: stop its workers and export again")
    if owed.state in OVER:
        row.over, row.key = True, owed.key if owed.chosen else ""
        return row
    kind = _kind(owed.name, wanted)
    if not isinstance(owed.data, dict | list):
        raise BadRow(f"its data is {type(owed.data).__name__}, no object of arguments by name")
    args, named = (owed.data, {}) if isinstance(owed.data, list) else ([], owed.data)
    if owed.recurs:
        if aliases.is_read(wanted.names.get(owed.name, owed.name)):
            raise BadRow(f"it recurs, and {owed.name} is read anew for each run: make a schedule of {kind.name}")
        if not wanted.schedules:
            raise BadRow(
                f"it recurs ({owed.recurs.cron or owed.recurs.every}): make schedules of such with --schedules"
            )
        row.schedule = recurring.schedule(owed.recurs, kind, kind.job(args, named), wanted.queue)
        return row
    row.job = aliases.job(
        kind,
        wanted.names.get(owed.name, owed.name),
        args,
        named,
        people.trusted(BY),
        known,
        queue=wanted.queue or None,
        priority=_priority(owed, wanted),
        unique_key=owed.key,
        max_attempts=owed.attempts,
        time_limit=owed.timeout,
        eta=owed.run_at or now,
        now=now,
    )
    _its_past(row.job, owed, now)
    return row


def _its_past(job: Job, owed: Owed, now: datetime) -> None:
    """What it has behind it: a job that failed waits for a person here too."""
    most = job.max_attempts
    job.failures = owed.failures if most is None else min(owed.failures, most if owed.state == "failed" else most - 1)
    job.reason = owed.reason[:10_000]
    if owed.state == "failed":
        job.state, job.finished_at = Job.State.FAILED, owed.finished_at or now
        job.signature = signatures.of(owed.reason)


def _kind(name: str, wanted: Wanted) -> Durable:
    meant = aliases.meant(wanted.names.get(name, name))
    try:
        kind = registry.named(meant)
    except LookupError:
        raise BadRow(f"there is no task {meant!r}: say which it is, --names {name}=TASK") from None
    return kind


def _priority(owed: Owed, wanted: Wanted) -> Priority | None:
    if owed.priority is None:
        return None
    scale = wanted.scale or owed.scale
    if isinstance(owed.priority, int) and not scale:
        raise BadRow(f"priority {owed.priority} is first on one scale and last on another: say --priorities SCALE")
    try:
        return Priority.of(owed.priority, scale=scale or "ours")
    except ValueError as exc:
        raise BadRow(f"{exc} Say --priorities SCALE if it is on another (BullMQ's goes to 2,097,152: bullmq)") from None
