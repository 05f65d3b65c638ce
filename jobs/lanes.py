"""The due jobs of a queue, as few of them as a choice needs, however many are due.

Used by `windows`. Usually little is due and it is read whole. When much is due, it is taken by lanes (the jobs of one
tenant, key, task and priority): a recursive query walks the index `job_lanes` from the head of each lane to the next.
Of a single open lane the oldest jobs go, and nobody needs to look at them first. A few are read one by one. Of many,
another recursive query walks down all of them at the same pace. That costs what there are lanes, plus what it returns;
100,000 jobs of one tenant are one lane. Paused, unknown and full lanes are passed by without a look at their jobs.
"""

import uuid
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import Any, NamedTuple

from django.db import connection
from django.db.models import Q

from jobs.expressions import indexed
from jobs.models import Job
from jobs.turns import Due, Key

DEEP = 4  # lanes of a tenant that may all be needed to their end: as many as there are priorities
FEW = 200  # due jobs that are read whole; of more each would be read several times before its turn comes
LANES = 8  # that are read one by one
COLUMNS = ("id", "tenant", "concurrency_key", "priority", "run_at")  # of Due


class Lane(NamedTuple):
    """Each field is a column of Job."""

    tenant: str
    concurrency_key: str
    task: str
    priority: int

    @property
    def jobs(self) -> Q:
        """Its scheduled jobs."""
        return Q(indexed(Job.State.SCHEDULED), **self._asdict())


@dataclass(frozen=True)
class Shut:
    """What stays where it is, though it is due."""

    tasks: Collection[str] = ()
    tenants: Collection[str] = ()
    keys: Collection[Key] = ()  # that are full


def oldest(queue: str, tasks: Collection[str], shut: Shut, now: datetime) -> list[Due] | None:
    """All that is due and open, if it is little. None: it is much, and has to be taken by lanes."""
    due = Job.objects.filter(indexed(Job.State.SCHEDULED), queue=queue, run_at__lte=now).order_by("run_at")
    rows = list(due.values_list(*COLUMNS, "task", "useful_until", "cancel_requested")[: FEW + 1])
    if len(rows) > FEW:
        return None
    return [
        Due(*row)
        for *row, task, useful_until, cancelled in rows
        if not cancelled
        and (useful_until is None or useful_until > now)
        and task in tasks
        and task not in shut.tasks
        and row[1] not in shut.tenants
    ]


def first(queue: str, tasks: Collection[str], shut: Shut, now: datetime) -> list[Lane]:
    """The lanes whose jobs may go, if they are a few and without keys. None of them: it takes a `crowd`."""
    sql, values = _sql(FIRST, queue, tasks, shut, now)
    with connection.cursor() as cursor:
        cursor.execute(sql, [*values, LANES + 1])
        ids = [pk for (pk,) in cursor.fetchall()]
    found = [Lane(*row) for row in Job.objects.filter(pk__among=ids).values_list(*Lane._fields)]
    return [] if len(found) > LANES or any(lane.concurrency_key for lane in found) else found


def heads(queue: str, found: Collection[Lane], now: datetime, *, room: int) -> list[Due]:
    """As many of the oldest jobs of each of these lanes as there is room for."""
    due = Job.objects.filter(queue=queue, run_at__lte=now, cancel_requested=False).exclude(useful_until__lte=now)
    lines = (due.filter(lane.jobs).order_by("run_at", "id").values_list(*COLUMNS)[:room] for lane in found)
    return [Due(*row) for line in lines for row in line]


def crowd(queue: str, tasks: Collection[str], shut: Shut, now: datetime, *, room: int, widest: int) -> list[Due]:
    """The oldest due jobs of each open lane: all heads, then row by row. Of a key at most `widest` in a lane."""
    sql, values = _sql(WALK, queue, tasks, shut, now)
    when = connection.ops.adapt_datetimefield_value(now)
    with connection.cursor() as cursor:
        cursor.execute(sql, [*values, when, when, widest, DEEP * room])
        ids = [pk if isinstance(pk, uuid.UUID) else uuid.UUID(pk) for (pk,) in cursor.fetchall()]
    rows = Job.objects.filter(pk__among=ids, cancel_requested=False).exclude(useful_until__lte=now)
    return [Due(*row) for row in rows.values_list(*COLUMNS)]


def _sql(text: str, queue: str, tasks: Collection[str], shut: Shut, now: datetime) -> tuple[str, list[Any]]:
    """The query with what stays open filled in, and the values for it."""
    known = [task for task in tasks if task not in shut.tasks]
    sql = text.format(
        tasks=_marks(known),
        tenants=_marks(shut.tenants),
        keys=", ".join(["(%s, %s)"] * len(shut.keys)) or "(NULL, NULL)",
        next_lane=_plain("tenant", "concurrency_key", "task", "priority"),
        next_job=_plain("run_at", "id"),
    )
    return sql, [queue, connection.ops.adapt_datetimefield_value(now), *known, *shut.tenants, *chain(*shut.keys)]


def _marks(values: Collection[object]) -> str:
    return ", ".join(["%s"] * len(values)) or "NULL"


def _plain(*columns: str) -> str:
    return ", ".join(f"COALESCE(head.{column}, head.{column})" for column in columns)


# Subqueries instead of joins leave the planner one way to go, the index, whatever the statistics say.
# In `lanes` each step finds the next lane's head by one look into the index, in `walk` the lane's next job. A recursive
# query proceeds breadth first and is read only as far as its LIMIT, on PostgreSQL and SQLite alike. The states are
# literals because a partial index serves only queries that visibly imply its condition; `_plain` because SQLite uses no
# more than the first column of an index for (a, b) > (c, d) where c and d are bare columns.
HEADS = """
WITH RECURSIVE lanes(id) AS (
    SELECT * FROM (
        SELECT id FROM jobs_job WHERE state = 'scheduled' AND queue = %s AND tenant >= ''
        ORDER BY tenant, concurrency_key, task, priority, run_at, id LIMIT 1
    ) AS first
    UNION ALL
    SELECT (
        SELECT (
            SELECT next.id FROM jobs_job AS next
            WHERE next.state = 'scheduled' AND next.queue = head.queue
            AND (next.tenant, next.concurrency_key, next.task, next.priority) > ({next_lane})
            ORDER BY next.tenant, next.concurrency_key, next.task, next.priority, next.run_at, next.id LIMIT 1
        )
        FROM jobs_job AS head WHERE head.id = lanes.id
    )
    FROM lanes WHERE id IS NOT NULL
),
open_lanes(id) AS (
    SELECT id FROM lanes WHERE (
        SELECT head.run_at <= %s AND head.task IN ({tasks})
        AND (head.tenant IN ({tenants})) IS NOT TRUE
        AND ((head.tenant, head.concurrency_key) IN (VALUES {keys})) IS NOT TRUE
        FROM jobs_job AS head WHERE head.id = lanes.id
    )
)"""
FIRST = "\n".join([HEADS, "SELECT id FROM open_lanes LIMIT %s"])
WALK = ",\n".join(
    [
        HEADS,
        """walk(id, depth) AS (
    SELECT id, 1 FROM open_lanes
    UNION ALL
    SELECT (
        SELECT (
            SELECT next.id FROM jobs_job AS next
            WHERE next.state = 'scheduled' AND next.queue = head.queue AND next.tenant = head.tenant
            AND next.concurrency_key = head.concurrency_key AND next.task = head.task AND next.priority = head.priority
            AND (next.run_at, next.id) > ({next_job}) AND next.run_at <= %s
            AND (next.useful_until IS NULL OR next.useful_until > %s)
            ORDER BY next.run_at, next.id LIMIT 1
        )
        FROM jobs_job AS head WHERE head.id = walk.id AND (head.concurrency_key = '' OR walk.depth < %s)
    ), depth + 1
    FROM walk WHERE id IS NOT NULL
)
SELECT id FROM (SELECT id FROM walk LIMIT %s + 2 * (SELECT COUNT(*) FROM open_lanes)) AS found WHERE id IS NOT NULL""",
    ]
)
