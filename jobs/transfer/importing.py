"""A file of jobs into the ledger.

Used by `manage.py jobs import`. The file is read twice: all of it is looked at before anything is written, and one bad
row refuses all, unless the caller leaves such rows behind. The promise: up to 500 rows and their record are one
transaction, looked up by as many statements as one; each row is known by its id or key, so that a second import, or one
after an interruption, adds what is missing and nothing twice, two at a time neither; and what a chunk says it added is
what the database said that it inserted.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from django.db import transaction
from django_celery_beat.models import PeriodicTask

from jobs import bulk, keys
from jobs.ids import new_id
from jobs.models import Job
from jobs.orders import CHUNK, Asked
from jobs.transfer import recurring
from jobs.transfer.owed import BadRow
from jobs.transfer.rows import Row, Wanted, read
from jobs.transfer.sources import Source

SHOWN = 1_000  # bad rows that are kept to be told
Told = Callable[[int], object]


@dataclass
class Outcome:
    """What becomes of a file, or became of it."""

    counts: Counter[str] = field(default_factory=Counter)  # added, there, other, remembered, over, schedules, bad
    notes: Counter[str] = field(default_factory=Counter)
    bad: list[Row] = field(default_factory=list)  # and those that are another job here

    @property
    def rows(self) -> int:
        return self.counts.total()

    def take(self, rows: list[Row], counts: Counter[str]) -> None:
        self.counts += counts
        for row in rows:
            self.notes.update(row.notes)
            if row.error and len(self.bad) < SHOWN:
                self.bad.append(row)


def look(source: Source, wanted: Wanted, told: Told = lambda _line: None) -> Outcome:
    """What would become of it now; nothing is written. Raises BadRow for a file that cannot be read as a whole."""
    outcome = Outcome()
    for chunk in _chunks(source, wanted):
        outcome.take(chunk, _judged(chunk))
        told(chunk[-1].line)
    return outcome


def bring_in(source: Source, wanted: Wanted, *, by: str, reason: str, told: Told = lambda _line: None) -> Outcome:
    """Write what `look` found to be good. Raises BadRow for a file that is another one by now, and says what is in."""
    outcome, asked = Outcome(), Asked(by, reason)
    try:
        for chunk in _chunks(source, wanted):
            with transaction.atomic():
                counts = _written(chunk, asked)
            outcome.take(chunk, counts)
            told(chunk[-1].line)
    except BadRow as exc:
        raise BadRow(f"{exc}; the {outcome.rows:,} rows before were brought in and stay") from None
    return outcome


def _chunks(source: Source, wanted: Wanted) -> Iterator[list[Row]]:
    for chunk in read(source, wanted, CHUNK):
        source.check()
        yield chunk


def _written(chunk: list[Row], asked: Asked) -> Counter[str]:
    good = [row for row in chunk if not row.error]
    added = bulk.insert_missing([row.job for row in good if row.job])
    asked.write(keys.IMPORT, dict.fromkeys(added, ""), dict.fromkeys(added, "made"))
    keys.keep([(new_id(), row.key, "", Job.State.SUCCEEDED) for row in good if row.key])
    made = {row.line for row in good if row.schedule and recurring.insert(row.schedule)}
    rest = [row for row in chunk if not (row.line in made or (row.job and row.job.pk in added))]
    counts = _judged(rest, made=True)
    return counts + Counter(added=len(added), schedules=len(made))


def _judged(rows: list[Row], *, made: bool = False) -> Counter[str]:
    """What each is. With `made`, those that are missing were inserted: what is not there then is lost."""
    known, names = _Known([row.job for row in rows if row.job and not row.error]), _schedules(rows)
    counts: Counter[str] = Counter()
    for row in rows:
        what = _what(row, known, names)
        if made and what in ("added", "schedules"):
            raise BadRow(f"line {row.line} was neither inserted nor is it there; its chunk is taken back")
        counts[what] += 1
    return counts


def _what(row: Row, known: "_Known", names: set[str]) -> str:
    if row.error:
        return "bad"
    if row.job:
        found = known.of(row.job)
        if isinstance(found, tuple) and not _same(row.job, *found):
            name = row.job.unique_key or row.job.pk
            row.error = f"{name} is another job here, or has changed itself: {found[0]}, left as it is"
            return "other"
        return "there" if found else "added"
    if row.schedule:
        return "there" if row.schedule.name in names else "schedules"
    return "remembered" if row.key else "over"


def _same(job: Job, task: str, args: object, kwargs: object) -> bool:
    """What it is about may be in rows beside it; then its arguments are its own id, which is new at each reading."""
    return task == job.task and (job.beside is not None or (args, kwargs) == (job.args, job.kwargs))


def _schedules(rows: list[Row]) -> set[str]:
    wanted = [row.schedule.name for row in rows if row.schedule and not row.error]
    return set(PeriodicTask.objects.filter(name__in=wanted).values_list("name", flat=True)) if wanted else set()


class _Known:
    """Which of these jobs are there, by id or key, or were there and are deleted."""

    def __init__(self, jobs: list[Job]) -> None:
        fields = ("pk", "tenant", "unique_key", "task", "args", "kwargs")
        by_id = Job.objects.filter(pk__among=[job.pk for job in jobs])
        by_key = Job.objects.filter(unique_key__in=[job.unique_key for job in jobs if job.unique_key])
        self._spent: set[keys.Name] = set()
        self._jobs: dict[object, tuple[str, object, object]] = {}
        for pk, tenant, key, *rest in [*by_key.values_list(*fields), *by_id.values_list(*fields)] if jobs else []:
            self._jobs |= {pk: tuple(rest)} | ({(tenant, key): tuple(rest)} if key else {})
        missing = [job for job in jobs if not self.of(job)]  # after the jobs: one that goes leaves its name
        self._spent |= keys.spent(name for job in missing for name in keys.names(job)).keys()

    def of(self, job: Job) -> tuple[str, object, object] | bool:
        """Its task and arguments, or whether its name is that of a deleted one."""
        found = self._jobs.get(job.pk) or self._jobs.get((job.tenant, job.unique_key))
        return found or not self._spent.isdisjoint(keys.names(job))
