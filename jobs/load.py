"""What is to come: the jobs of the next two days by hour, and the processes that keep them on time.

Used by the dashboard. The schedule is data, so it is counted and not foretold; jobs that are yet to be made are not in
it. What a job takes is measured on the last that succeeded. Counts go by the index of due jobs, minute by minute.
"""

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property

from django.conf import settings
from django.db import connection
from django.db.models import Count
from django.db.models.functions import TruncMinute
from django.utils import timezone

from jobs import capacity, queues
from jobs.expressions import indexed
from jobs.models import Job
from jobs.scopes import ALL, Scope

HOURS = 48
MINUTES = 60
MINUTE = timedelta(minutes=1)
MOST = 10_000  # jobs of one queue and minute that are counted
SAMPLE = 1_000  # succeeded jobs that are measured
LEAST = 0.001  # seconds; below that the database's clock tells nothing
# When a minute begins, as each database says it.
MOMENT = {
    "postgresql": "(%s::timestamptz + {} * interval '1 minute')",
    "sqlite": "strftime('%%Y-%%m-%%d %%H:%%M:%%S', %s, ({}) || ' minutes')",
}
COUNT = f"""
WITH RECURSIVE {queues.NAMES}, minutes(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM minutes WHERE n < %s)
SELECT queue, n, (SELECT COUNT(*) FROM (
    SELECT 1 FROM jobs_job WHERE jobs_job.queue = names.queue AND state = 'scheduled'
    AND run_at >= {{begin}} AND run_at < {{end}} AND run_at > %s LIMIT {MOST}) few)
FROM names, minutes WHERE queue IS NOT NULL
"""  # noqa: S608  (of our own words)


@dataclass(frozen=True)
class Hour:
    begins: datetime
    jobs: dict[str, int]  # by queue
    more: bool  # not all were counted

    @property
    def total(self) -> int:
        return sum(self.jobs.values())


@dataclass(frozen=True)
class Pace:
    """What one job took one process, by queue: jobs that shared a message share its time."""

    seconds: dict[str, float]
    sample: int

    def of(self, queue: str) -> float | None:
        """A queue of which nothing is known is taken for an average one."""
        known = self.seconds.values()
        return self.seconds.get(queue) or (sum(known) / len(known) if known else None)


@dataclass(frozen=True)
class Load:
    begins: datetime
    minutes: dict[str, Counter[int]]  # by queue: how many in each minute since then
    pace: Pace
    processes: int  # that work now
    goal: timedelta

    @cached_property
    def hours(self) -> list[Hour]:
        found = []
        for n in range(HOURS):
            span = range(n * MINUTES, (n + 1) * MINUTES)
            jobs = {queue: sum(some[minute] for minute in span) for queue, some in self.minutes.items()}
            more = any(some[minute] >= MOST for some in self.minutes.values() for minute in span)
            found.append(
                Hour(self.begins + timedelta(hours=n), {q: number for q, number in jobs.items() if number}, more)
            )
        return found

    @property
    def total(self) -> int:
        return sum(hour.total for hour in self.hours)

    @property
    def more(self) -> bool:
        return any(hour.more for hour in self.hours)

    @property
    def busiest(self) -> Hour | None:
        most = max(self.hours, key=lambda hour: hour.total)
        return most if most.total else None

    @cached_property
    def work(self) -> list[float] | None:
        """Seconds of one process in each minute. None: nothing was measured yet."""
        if not self.pace.seconds:
            return None
        slots = [0.0] * HOURS * MINUTES
        for queue, some in self.minutes.items():
            seconds = self.pace.of(queue) or 0.0
            for minute, number in some.items():
                slots[minute] += number * seconds
        return slots

    @cached_property
    def needed(self) -> int | None:
        """The processes that have every job done within the goal after its time."""
        if self.work is None:
            return None
        return capacity.needed(self.work, goal=self.goal.total_seconds(), width=MINUTE.total_seconds())

    @property
    def seconds(self) -> float | None:
        """That a job of those to come takes on average; of those that were, when none is to come."""
        if self.work is None:
            return None
        return sum(self.work) / self.total if self.total else self.pace.of("")

    @property
    def capacity(self) -> int | None:
        """Jobs an hour, with the processes that work now."""
        return round(capacity.an_hour(self.seconds, self.processes)) if self.seconds else None


def ahead(now: datetime, *, processes: int, scope: Scope = ALL) -> Load:
    """The next hours, from the beginning of this one. Two statements."""
    local = timezone.localtime(now).replace(minute=0, second=0, microsecond=0)
    begins = local.astimezone(UTC)
    goal = timedelta(seconds=settings.LATENESS_GOAL)
    return Load(begins, _minutes(begins, now, scope), pace(scope), processes, goal)


def pace(scope: Scope = ALL) -> Pace:
    """What the last succeeded jobs of one's queues took. One statement; none for some tenants, see the dashboard."""
    if scope.by_tenant:
        return Pace({}, 0)
    rows = Job.objects.filter(indexed(Job.State.SUCCEEDED), finished_at__isnull=False)
    lately = rows.order_by("-finished_at").values_list("queue", "started_at", "finished_at")[:SAMPLE]
    messages: dict[tuple[str, datetime], tuple[datetime, int]] = {}
    for queue, started, finished in lately:
        if started is None or finished is None or not scope.owns(queue):
            continue  # not a condition of the query, whose index does not know it
        last, number = messages.get((queue, started), (finished, 0))
        messages[queue, started] = max(last, finished), number + 1
    took: Counter[str] = Counter()
    jobs: Counter[str] = Counter()
    for (queue, started), (finished, number) in messages.items():
        took[queue] += max((finished - started) // timedelta(microseconds=1), 0)
        jobs[queue] += number
    return Pace({queue: max(took[queue] / 1e6 / n, LEAST) for queue, n in jobs.items()}, jobs.total())


def _minutes(begins: datetime, now: datetime, scope: Scope) -> dict[str, Counter[int]]:
    if scope.by_tenant:
        return _minutes_of_tenants(begins, now, scope)
    moment = MOMENT[connection.vendor]
    sql = COUNT.format(begin=moment.format("n"), end=moment.format("(n + 1)"))
    first, at = (connection.ops.adapt_datetimefield_value(one) for one in (begins, now))
    with connection.cursor() as cursor:
        cursor.execute(sql, [HOURS * MINUTES - 1, first, first, at])
        rows = cursor.fetchall()
    found: dict[str, Counter[int]] = {}
    for queue, minute, number in rows:
        if number and scope.owns(queue):  # as a condition of the statement it would be counted twice
            found.setdefault(queue, Counter())[minute] = number
    return found


def _minutes_of_tenants(begins: datetime, now: datetime, scope: Scope) -> dict[str, Counter[int]]:
    """Costs as much as they have; the others' jobs are not read."""
    ahead = Job.objects.filter(
        indexed(Job.State.SCHEDULED), run_at__gt=now, run_at__lt=begins + HOURS * MINUTES * MINUTE
    )
    minutes = scope.rows(ahead).order_by().annotate(minute=TruncMinute("run_at", tzinfo=UTC)).values("queue", "minute")
    found: dict[str, Counter[int]] = {}
    for queue, minute, number in minutes.annotate(n=Count("pk")).values_list("queue", "minute", "n"):
        found.setdefault(queue, Counter())[(minute - begins) // MINUTE] = number
    return found
