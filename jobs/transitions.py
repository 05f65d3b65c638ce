"""The state table, and the one helper that applies it.

Used by `ledger.py` and nobody else: nothing but `move` writes `Job.state`. The promise: a transition happens in one
UPDATE whose WHERE is the guard, and what `move` returns are exactly the rows that it changed.
"""

from collections.abc import Sequence
from typing import Any

from django.core.exceptions import EmptyResultSet
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.db.models.sql import UpdateQuery

from jobs.models import Job

S = Job.State

# verb: (from any of these states, to this one)
TRANSITIONS: dict[str, tuple[frozenset[Job.State], Job.State]] = {
    "dispatch": (frozenset({S.SCHEDULED}), S.QUEUED),
    "release": (frozenset({S.QUEUED}), S.SCHEDULED),
    "claim": (frozenset({S.QUEUED}), S.RUNNING),
    "succeed": (frozenset({S.RUNNING}), S.SUCCEEDED),
    "back_off": (frozenset({S.RUNNING}), S.SCHEDULED),
    "snooze": (frozenset({S.RUNNING}), S.SCHEDULED),
    "give_up": (frozenset({S.RUNNING}), S.FAILED),
    "stop": (frozenset({S.RUNNING}), S.CANCELLED),
    "rescue": (frozenset({S.RUNNING}), S.SCHEDULED),
    "give_back": (frozenset({S.RUNNING}), S.SCHEDULED),
    "bury": (frozenset({S.RUNNING}), S.FAILED),
    "reject": (frozenset({S.SCHEDULED}), S.FAILED),
    "expire": (frozenset({S.SCHEDULED, S.QUEUED}), S.EXPIRED),
    "cancel": (frozenset({S.SCHEDULED, S.QUEUED}), S.CANCELLED),
    "reschedule": (frozenset({S.SCHEDULED, S.QUEUED}), S.SCHEDULED),
    "retry": (frozenset({S.SUCCEEDED, S.FAILED, S.CANCELLED, S.EXPIRED}), S.SCHEDULED),
}

CHUNK = 500  # rows per statement: short locks on PostgreSQL, below the limit of variables of SQLite


# What the next step needs of a row; the rest stays in the database.
FEW = ("id", "state", "token", "worker", "started_at")
FOR_MESSAGE = ("id", "state", "token", "task", "queue", "options", "failures", "priority", "run_at")
ARGUMENTS = ("args", "kwargs", "version", "options")
FOR_RUN = (*FEW, "task", "queue", *ARGUMENTS, "failures", "checkpoint", "cancel_requested", "group_id", "group_index")


def over() -> dict[str, Any]:
    """What changes beside the state when a job ends."""
    return {"finished_at": Now(), "lease_until": None}


def idle() -> dict[str, Any]:
    """What changes beside the state when nobody holds the job any more."""
    return {"lease_until": None, "queued_at": None, "worker": ""}


def move(rows: QuerySet[Job], verb: str, columns: Sequence[str] = FEW, **changes: Any) -> list[Job]:
    """Apply one transition to those of `rows` that are in its source states. Returns them as they now are.

    One statement, UPDATE ... RETURNING, on PostgreSQL and SQLite alike. It brings back `columns` only: half of the
    cost of a small job was decoding columns that nobody read.
    """
    sources, target = TRANSITIONS[verb]
    query: Any = rows.filter(state__in=sorted(sources)).order_by().query.chain(UpdateQuery)
    query.add_update_values({"state": target, **changes})
    try:
        sql, params = query.get_compiler(rows.db).as_sql()
    except EmptyResultSet:  # pk IN (): nothing was locked
        return []
    returned = ", ".join(f'"{column}"' for column in columns)
    return list(Job.objects.using(rows.db).raw(f"{sql} RETURNING {returned}", params))


def lock(rows: QuerySet[Job], limit: int | None = None, *, wait: bool = False) -> QuerySet[Job]:
    """Lock up to `limit` of `rows`, in their order. Rows that somebody else has locked are skipped, or waited for."""
    ids = list(rows.select_for_update(skip_locked=not wait).values_list("pk", flat=True)[:limit])
    return Job.objects.filter(pk__in=ids)
