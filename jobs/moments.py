"""Moments that the database writes: the present one into a new row, and a column of them in one UPDATE.

`ById` is used by `ledger.reschedule` and by the product's plans: each row gets the one that belongs to its id. One
parameter instead of a WHEN for each row: Django takes as long to compile a thousand of those as the database takes to
move a hundred thousand rows.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import DateTimeField, Expression, F
from django.db.models.functions import Now
from django.utils import timezone


class Present(Now):
    """The database's clock. SQLite's is this machine's, whose own word for it knows thousandths of a second only."""

    def as_sqlite(self, compiler: Any, connection: Any, **_: Any) -> tuple[str, tuple[Any, ...]]:
        return "%s", (str(connection.ops.adapt_datetimefield_value(timezone.now())),)


class ById(Expression):
    """The moment of the row's id; NULL for an id without one."""

    def __init__(self, moments: Mapping[UUID, datetime | None]) -> None:
        super().__init__(output_field=DateTimeField())
        self._moments, self._pk = moments, F("pk")

    def get_source_expressions(self) -> list[Any]:
        return [self._pk]

    def set_source_expressions(self, exprs: Any) -> None:
        [self._pk] = exprs

    def as_sql(self, compiler: Any, connection: Any, **_: Any) -> tuple[str, tuple[Any, ...]]:
        pk, params = compiler.compile(self._pk)
        text = {str(key): moment and moment.isoformat() for key, moment in self._moments.items()}
        return f"((%s::jsonb) ->> ({pk})::text)::timestamptz", (json.dumps(text), *params)

    def as_sqlite(self, compiler: Any, connection: Any, **_: Any) -> tuple[str, tuple[Any, ...]]:
        pk, params = compiler.compile(self._pk)
        stored = connection.ops.adapt_datetimefield_value
        text = {key.hex: moment and str(stored(moment)) for key, moment in self._moments.items()}
        return f"""json_extract(%s, '$."' || {pk} || '"')""", (json.dumps(text), *params)
