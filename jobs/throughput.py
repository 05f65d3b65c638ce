"""What each queue got done in the last hour, how late and how long, and what it has yet to wait for.

Used by the API, beside `stats`. A fixed number of statements; `MOST` finished jobs are read, the latest of all queues
together, and as many waiting ones of each counted: with a million jobs it takes as long as with ten thousand.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db import connection
from django.db.models import Count, QuerySet

from jobs import queues
from jobs.expressions import indexed
from jobs.models import Job
from jobs.scopes import ALL, Scope

MOST = 10_000
SPAN = timedelta(hours=1)
PERCENTILES = (50, 95, 99)
S = Job.State

LATER = f"""
WITH RECURSIVE {queues.NAMES}
SELECT queue, (SELECT COUNT(*) FROM (SELECT 1 FROM jobs_job WHERE jobs_job.queue = names.queue AND state = 'scheduled'
    AND run_at > %s LIMIT {MOST + 1}) few)
FROM names WHERE queue IS NOT NULL
"""  # noqa: S608  (of our own words)


@dataclass
class Lately:
    """A queue in the last hour."""

    succeeded: int = 0
    failed: int = 0
    waits: list[float] = field(default_factory=list)  # seconds from due to its start, of those that succeeded
    runs: list[float] = field(default_factory=list)  # seconds from its start to its end


@dataclass(frozen=True)
class Throughput:
    """By queue. `span` is shorter than an hour where more finished in it than were read."""

    lately: dict[str, Lately]
    span: timedelta
    failed: dict[str, int]  # that wait for a person
    delayed: dict[str, int]  # that wait for their time; `MOST` + 1 is "more than MOST"

    def of(self, queue: str) -> Lately:
        return self.lately.get(queue) or Lately()

    def a_minute(self, queue: str) -> float:
        return self.of(queue).succeeded / (self.span / timedelta(minutes=1))


def measured(now: datetime, scope: Scope = ALL) -> Throughput:
    """Four statements."""
    rows = scope.rows(Job.objects.all())
    done = _finished(rows, S.SUCCEEDED, now)
    lost = _finished(rows, S.FAILED, now)
    spans = [now - some[-1][3] for some in (done, lost) if len(some) == MOST]
    span = max(min([SPAN, *spans]), timedelta(seconds=1))
    lately: dict[str, Lately] = {}
    for queue, due, started, finished in done:
        if now - finished > span:
            break
        found = lately.setdefault(queue, Lately())
        found.succeeded += 1
        if started:  # one that was replaced never started under this name
            found.waits.append(max((started - due).total_seconds(), 0.0))
            found.runs.append(max((finished - started).total_seconds(), 0.0))
    for queue, _due, _started, finished in lost:
        if now - finished <= span:
            lately.setdefault(queue, Lately()).failed += 1
    return Throughput(lately, span, _failed(rows), _delayed(now, scope))


def percentiles(values: Sequence[float]) -> dict[str, float | None]:
    """p50, p95 and p99: of so many percent it is this much or less. None where nothing was measured."""
    ranked = sorted(values)
    return {f"p{p}": ranked[math.ceil(len(ranked) * p / 100) - 1] if ranked else None for p in PERCENTILES}


def _finished(rows: "QuerySet[Job]", state: S, now: datetime) -> list[tuple[str, datetime, datetime | None, datetime]]:
    """The latest, by the index of what is over. As a look at all queues: one by one, it would read those of others."""
    over = rows.filter(indexed(state), finished_at__isnull=False, finished_at__gt=now - SPAN)
    found = over.order_by("-finished_at").values_list("queue", "run_at", "started_at", "finished_at")[:MOST]
    return [(queue, due, started, finished) for queue, due, started, finished in found if finished]


def _failed(rows: "QuerySet[Job]") -> dict[str, int]:
    few = rows.filter(indexed(S.FAILED)).order_by("-pk").values_list("queue", flat=True)[: MOST + 1]
    return dict(Counter(few))


def _delayed(now: datetime, scope: Scope) -> dict[str, int]:
    if scope.by_tenant:
        waiting = scope.rows(Job.objects.filter(indexed(S.SCHEDULED), run_at__gt=now)).order_by()
        return dict(waiting.values_list("queue").annotate(n=Count("pk")))
    with connection.cursor() as cursor:
        cursor.execute(LATER, [connection.ops.adapt_datetimefield_value(now)])
        return {queue: number for queue, number in cursor.fetchall() if scope.owns(queue)}
