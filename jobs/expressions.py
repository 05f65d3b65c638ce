"""What the ledger says to the database that Django would say otherwise: many ids, a value for each row, and states.

Used by all who look for jobs or change many of them. Each expression here decides which index a query goes by, or how
often a subquery is run; the tests of plans hold them to it.
"""

import json
import uuid
from collections.abc import Mapping
from typing import Any

from django.db import models
from django.db.models import CharField, F, Func, Q, Value
from django.db.models.lookups import In

from jobs.models import Job


class _Literal(Value):
    """A word of ours within the text of the statement, not as a parameter of it."""

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, tuple[str | int, ...]]:
        return f"'{Job.State(self.value)}'", ()


def indexed(*states: Job.State) -> Q:
    """A condition on the state for queries that live by a partial index, to be written as the index has it.

    An index `WHERE state = 'scheduled'` serves only queries that visibly imply it. SQLite plans before it sees the
    parameters, so `state = ?` would go through all jobs.
    """
    literals = [_Literal(state.value) for state in states]
    return Q(state=literals[0]) if len(literals) == 1 else Q(state__in=literals)


HELD = indexed(Job.State.QUEUED, Job.State.RUNNING)
_PLAIN = Func(F("state"), Value(""), arg_joiner=" || ", template="(%(expressions)s)", output_field=CharField())


class _Fixed(Value):
    """A number, or no text, within the text of the statement."""

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, tuple[str | int, ...]]:
        return str(int(self.value)) if self.value else "0" if self.value == 0 else "''", ()


# What the admin's partial indexes hold, written as they have it.
TAGGED, OWNED = Q(correlation_id__gt=_Fixed("")), Q(tenant__gt=_Fixed(""))
RETRYING = indexed(Job.State.SCHEDULED) & Q(failures__gt=_Fixed(0))


def in_state(*states: Job.State) -> In:
    """A condition on the state for rows that are chosen by their ids. No index serves it.

    One on the state would lead the planner through all the rows that are or lately were in it, for the few asked for.
    """
    return In(_PLAIN, sorted(states))


@models.UUIDField.register_lookup
class Among(models.Lookup[Any]):
    """`pk__among`: ids as one parameter, or a subquery that is run exactly once.

    `pk__in` renders each id as a parameter of its own, which took longer than the database took for the rows. And
    PostgreSQL may run the inside of `IN (...)` again for each row: with SKIP LOCKED in it, each time for other rows.
    """

    lookup_name = "among"

    def get_prep_lookup(self) -> Any:
        if hasattr(self.rhs, "resolve_expression") or hasattr(self.rhs, "as_sql"):
            return self.rhs
        return [pk.hex if isinstance(pk, uuid.UUID) else pk.replace("-", "") for pk in self.rhs]

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, Any]:
        """SQLite, whose ids are 32 digits of text."""
        column, params = self.process_lhs(compiler, connection)
        if not isinstance(self.rhs, list):
            rows, more = compiler.compile(self.rhs)
            return f"{column} IN {rows}", [*params, *more]
        return f"{column} IN (SELECT value FROM json_each(%s))", [*params, json.dumps(self.rhs)]  # noqa: S608

    def as_postgresql(self, compiler: Any, connection: Any) -> tuple[str, list[Any]]:
        column, params = self.process_lhs(compiler, connection)
        if not isinstance(self.rhs, list):
            rows, more = compiler.compile(self.rhs)
            return f"{column} = ANY(ARRAY{rows})", [*params, *more]
        return f"{column} = ANY(%s::uuid[])", [*params, f"{{{','.join(self.rhs)}}}"]


class Given(Func):
    """A JSON value for each row, by its id; NULL for rows that are not among them."""

    def __init__(self, pk: Any, values: Mapping[uuid.UUID, Any]) -> None:
        self.values = values
        super().__init__(pk, output_field=models.JSONField())

    # Texts within the text, because SQLite takes true and a JSON "true" out of an object as the same thing.

    def as_sql(self, compiler: Any, connection: Any, **_: Any) -> tuple[str, list[Any]]:  # type: ignore[override]
        pk, params = compiler.compile(self.source_expressions[0])
        texts = json.dumps({pk.hex: json.dumps(value) for pk, value in self.values.items()})
        return f"json_extract(%s, '$.\"' || {pk} || '\"')", [texts, *params]

    def as_postgresql(self, compiler: Any, connection: Any, **_: Any) -> tuple[str, list[Any]]:
        pk, params = compiler.compile(self.source_expressions[0])
        texts = json.dumps({str(pk): json.dumps(value) for pk, value in self.values.items()})
        return f"(%s::jsonb ->> {pk}::text)::jsonb", [texts, *params]
