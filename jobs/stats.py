"""How the ledger is doing at this moment: what is due, each queue, who works, whether anybody ticks, what failed.

Used by the dashboard and the command line. Each function is a fixed number of statements that go by an index, and
counts `MOST` rows at most: it takes as long with a million jobs as with a thousand. A number above `MOST` says "more
than that".
"""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.db import connection
from django.db.models import Count, Max
from django_celery_beat.models import PeriodicTask

from jobs import buckets, crews, limits, pauses, queues, ticks
from jobs.expressions import HELD, indexed
from jobs.models import Clock, Job, Pause, Queue, QueueWorker
from jobs.scopes import ALL, Scope

MOST = 10_000
TICK = "jobs.dispatch"  # the task that beat sends each second

DUE = f"""
WITH RECURSIVE {queues.NAMES}
SELECT queue,
    (SELECT COUNT(*) FROM (SELECT 1 FROM jobs_job WHERE jobs_job.queue = names.queue AND state = 'scheduled'
        AND run_at <= %s LIMIT {MOST + 1}) few),
    (SELECT MIN(run_at) FROM jobs_job WHERE jobs_job.queue = names.queue AND state = 'scheduled')
FROM names WHERE queue IS NOT NULL
"""  # noqa: S608  (of our own words)


@dataclass(frozen=True)
class Due:
    """The jobs of a queue whose time has come and that are not sent yet."""

    number: int
    oldest: datetime | None  # since when the longest waits
    more: bool = False  # not all were counted


@dataclass(frozen=True)
class Pulse:
    """Whether anybody ticks. Ages are None where nobody ever did."""

    beat: timedelta | None  # since beat last sent a tick
    clock: timedelta | None  # since somebody acted on one
    by: str  # who: `ticks.CLOCK`, or the worker that stands in
    held_since: datetime | None
    held_reason: str

    @property
    def beat_late(self) -> bool:
        return self.beat is None or abs(self.beat) > ticks.STALE

    @property
    def clock_late(self) -> bool:
        return self.clock is None or abs(self.clock) > ticks.STALE

    @property
    def stands_in(self) -> bool:
        """A worker ticks in place of beat or of the clock's worker."""
        return self.by != ticks.CLOCK


@dataclass(frozen=True)
class Lane:
    """A queue as it is now."""

    row: Queue
    due: Due
    queued: int  # at the broker, of `row.window`
    running: int
    crew: crews.Crew
    pause: Pause | None

    @property
    def rate(self) -> buckets.Rate | None:
        return limits.rate_of(self.row)


@dataclass(frozen=True)
class Worker:
    name: str
    processes: int
    queues: list[str]
    seen: timedelta  # since it last said so
    here: bool


@dataclass(frozen=True)
class Traffic:
    lanes: list[Lane]
    workers: list[Worker] = field(default_factory=list)
    pauses: list[Pause] = field(default_factory=list)  # of tasks and tenants

    @property
    def processes(self) -> int:
        """Of all workers that are here."""
        return sum(worker.processes for worker in self.workers if worker.here)


@dataclass(frozen=True)
class Failed:
    """Jobs that were given up and wait for a person."""

    number: int
    since: int  # of those, given up since the moment that was asked for


def due(now: datetime, scope: Scope = ALL) -> dict[str, Due]:
    """What is due and not sent, by queue. One statement."""
    if scope.by_tenant:
        return _due_of_tenants(now, scope)
    with connection.cursor() as cursor:
        cursor.execute(DUE, [connection.ops.adapt_datetimefield_value(now)])
        rows = cursor.fetchall()
    return {
        queue: Due(number, _moment(first) if number else None, number > MOST)
        for queue, number, first in rows
        if scope.owns(queue)
    }


def _due_of_tenants(now: datetime, scope: Scope) -> dict[str, Due]:
    """The longest waiting of all their queues, `MOST` together."""
    rows = scope.rows(Job.objects.filter(indexed(Job.State.SCHEDULED), run_at__lte=now))
    waiting = list(rows.order_by("run_at").values_list("queue", "run_at")[: MOST + 1])
    counts = Counter(queue for queue, _run_at in waiting)
    first = dict(reversed(waiting))
    return {queue: Due(number, first[queue], len(waiting) > MOST) for queue, number in counts.items()}


def pulse() -> Pulse:
    """Two statements."""
    row = Clock.row()
    sent = PeriodicTask.objects.filter(task=TICK, enabled=True).aggregate(at=Max("last_run_at"))["at"]
    age = row.now - row.ticked_at if row.ticked_at else None
    return Pulse(row.now - sent if sent else None, age, row.ticked_by, row.held_since, row.held_reason)


def failed(since: datetime, scope: Scope = ALL) -> Failed:
    """Two statements."""
    rows = scope.rows(Job.objects.filter(indexed(Job.State.FAILED)))
    lately = rows.filter(finished_at__gte=since)
    return Failed(*(some.order_by()[: MOST + 1].count() for some in (rows, lately)))


def counts(only: Collection[str] = Job.State.values, scope: Scope = ALL) -> dict[str, int]:
    """How many jobs there are of each state, up to `MOST` and one more. A statement for each state."""
    rows = scope.rows(Job.objects.order_by())
    return {state: rows.filter(indexed(Job.State(state)))[: MOST + 1].count() for state in only}


def finished_since(since: datetime, scope: Scope = ALL) -> dict[str, int]:
    """How many came to each end since then, up to `MOST` and one more. A statement for each end."""
    over = scope.rows(Job.objects.order_by().filter(finished_at__isnull=False, finished_at__gte=since))
    ends = (Job.State.SUCCEEDED, Job.State.FAILED, Job.State.CANCELLED, Job.State.EXPIRED)
    return {state.value: over.filter(indexed(state))[: MOST + 1].count() for state in ends}


def traffic(now: datetime, scope: Scope = ALL) -> Traffic:
    """The queues with everything about them, and the workers. Six statements."""
    waiting, held = due(now, scope), _held(scope)
    rows = {row.name: row for row in scope.rows(Queue.objects.all(), queue="name", tenant=None)}
    stopped = list(pauses.in_force(Pause.objects.all(), now))
    shut = {one.name: one for one in stopped if one.kind == Pause.Kind.QUEUE}
    names = (rows.keys() - {settings.JOBS_CLOCK_QUEUE}) | waiting.keys()  # in that one are ticks, no jobs
    members = crews.of(names)
    lanes = [
        Lane(
            rows.get(crew.queue) or Queue(name=crew.queue),
            waiting.get(crew.queue, Due(0, None)),
            held.get((crew.queue, "queued"), 0),
            held.get((crew.queue, "running"), 0),
            crew,
            shut.get(crew.queue),
        )
        for crew in members
    ]
    others = [one for one in stopped if one.kind != Pause.Kind.QUEUE and scope.owns_pause(one.kind, one.name)]
    return Traffic(lanes, _workers(members, now), others)


def _held(scope: Scope) -> dict[tuple[str, str], int]:
    counts = scope.rows(Job.objects.filter(HELD)).values_list("queue", "state").annotate(Count("pk")).order_by()
    return {(queue, state): number for queue, state, number in counts}


def _workers(members: Collection[crews.Crew], now: datetime) -> list[Worker]:
    """Each once, though it may serve several queues with the same processes."""
    found: dict[str, Worker] = {}
    for crew in members:
        for row in (*crew.members, *crew.absent):
            served = [*found[row.worker].queues, crew.queue] if row.worker in found else [crew.queue]
            found[row.worker] = Worker(row.worker, row.processes, served, now - row.seen_at, row in crew.members)
    return [found[name] for name in sorted(found)]


def _moment(value: datetime | str) -> datetime:
    """SQLite answers raw statements with text."""
    return datetime.fromisoformat(value).replace(tzinfo=UTC) if isinstance(value, str) else value


def processes(scope: Scope = ALL) -> int:
    """Of all workers that are here. One statement."""
    rows = scope.rows(QueueWorker.objects.filter(crews.PRESENT), tenant=None)
    return sum(dict(rows.values_list("worker", "processes")).values())
