"""The state table, and the one helper that applies it.

Used by `ledger.py` and nobody else: nothing but `move` (and `count`, the same) writes `Job.state`. The promise: a
transition happens in one UPDATE whose WHERE is the guard, and what `move` returns are exactly the rows it changed.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from django.core.exceptions import EmptyResultSet
from django.db import connections
from django.db.models import JSONField, QuerySet
from django.db.models.base import ModelState
from django.db.models.functions import Now
from django.db.models.sql import UpdateQuery

from jobs.expressions import in_state
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
OWN = ("id", "state", "token", "worker")
FEW = (*OWN, "started_at")
FOR_MESSAGE = ("id", "state", "token", "task", "queue", "options", "failures", "priority", "run_at")
FOR_RUN = (
    *(*OWN, "task", "queue", "args", "kwargs", "version", "options", "failures", "max_attempts", "checkpoint"),
    *("cancel_requested", "group_id", "group_index", "correlation_id"),
)


def over() -> dict[str, Any]:
    """What changes beside the state when a job ends."""
    return {"finished_at": Now(), "lease_until": None}


def idle() -> dict[str, Any]:
    """What changes beside the state when nobody holds the job any more."""
    return {"lease_until": None, "queued_at": None, "worker": ""}


def move(rows: QuerySet[Job], verb: str, columns: Sequence[str] = FEW, **changes: Any) -> list[Job]:
    """Apply one transition to those of `rows` that are in its source states. Returns them as they now are.

    `rows` are chosen by id. One statement, UPDATE ... RETURNING, on PostgreSQL and SQLite alike. It brings back
    `columns` only: half of the cost of a small job was decoding columns that nobody read.
    """
    compiler = _compiler(rows, verb, changes)
    try:
        sql, params = compiler.as_sql()
    except EmptyResultSet:
        return []
    names = ", ".join(f'"{column}"' for column in columns)
    with compiler.connection.cursor() as cursor:
        cursor.execute(f"{sql} RETURNING {names}", params)
        fields: list[Any] = [Job._meta.get_field(column) for column in columns]
        read = compiler.get_converters([field.get_col(Job._meta.db_table) for field in fields])
        read |= {n: ([_json], None) for n, field in enumerate(fields) if isinstance(field, JSONField)}
        return [_loaded(columns, row, rows.db) for row in compiler.apply_converters(cursor.fetchall(), read)]


def count(rows: QuerySet[Job], verb: str, **changes: Any) -> int:
    """The same, for those who only ask how many."""
    try:
        sql, params = _compiler(rows, verb, changes).as_sql()
    except EmptyResultSet:
        return 0
    with connections[rows.db].cursor() as cursor:
        cursor.execute(sql, params)
        return int(cursor.rowcount)


def _compiler(rows: QuerySet[Job], verb: str, changes: Mapping[str, Any]) -> Any:
    sources, target = TRANSITIONS[verb]
    query: Any = rows.filter(in_state(*sources)).order_by().query.chain(UpdateQuery)
    query.add_update_values({"state": target, **changes})
    return query.get_compiler(rows.db)


def _json(text: str | None, *_: Any) -> Any:
    """Most jobs have no options, and many no arguments; a decoder takes its time to find that out."""
    return [] if text == "[]" else {} if text == "{}" else text and json.loads(text)


def _loaded(columns: Sequence[str], row: Sequence[Any], alias: str) -> Job:
    """A job with these columns; the others are read when somebody asks. As Model.from_db, at a tenth of its time."""
    job = Job.__new__(Job)
    job._state = ModelState()
    job._state.db, job._state.adding = alias, False
    job.__dict__.update(zip(columns, row, strict=True))
    return job


def lock(rows: QuerySet[Job], limit: int | None = None, *, wait: bool = False) -> QuerySet[Job]:
    """Lock up to `limit` of `rows`, in their order. Rows that somebody else has locked are skipped, or waited for.

    Within the statement that uses the answer, and before it changes anything.
    """
    return Job.objects.filter(pk__among=rows.select_for_update(skip_locked=not wait).values("pk")[:limit])


def lock_first(rows: QuerySet[Job]) -> QuerySet[Job]:
    """The same by a statement of its own, which waits: the next one sees what the others did meanwhile.

    For whoever asks the rows for more than that they are his. Within one statement only the rows that matched as it
    began are looked at again after the wait, and one that matches since then is not found.
    """
    return Job.objects.filter(pk__among=list(rows.select_for_update().values_list("pk", flat=True)))
