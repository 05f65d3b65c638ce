"""What may be exported: sources that the application registers, each with the columns and filters that there are.

Asked by `exports`. The promise: nothing that somebody wrote is ever part of a query: columns and filters are looked up
here by name, and a filter's value is read as the type that stands here.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import cached_property
from typing import Any, Literal

from django.db.models import QuerySet
from pydantic import AwareDatetime, TypeAdapter, ValidationError

from jobs.models import Job
from jobs.scopes import Scope

Kind = Literal["text", "integer", "boolean", "date", "moment"]
Plain = str | int | bool | None  # as JSON has it: a date and a moment are ISO 8601, moments in UTC


@dataclass(frozen=True)
class Column:
    """`path` is Django's, and the name where it is the same. `mask` is for those who may not know customers."""

    name: str
    kind: Kind = "text"
    path: str = ""
    mask: Callable[[str], str] | None = None

    def plain(self, value: Any, *, revealed: bool) -> Plain:
        """What is written of a value of the database."""
        if value is None:
            return None
        if self.mask is not None and not revealed:
            return self.mask(str(value)) if value else ""
        if isinstance(value, datetime):
            return value.astimezone(UTC).isoformat()
        if isinstance(value, date):
            return value.isoformat()
        return value if self.kind in ("integer", "boolean") else str(value)


@dataclass(frozen=True)
class Filter:
    """What `lookup` is asked for, as a value of the type."""

    lookup: str
    type: Any = str

    def value(self, name: str, said: Any) -> Any:
        """Raises ValueError."""
        try:
            return TypeAdapter(self.type).validate_python(said)
        except ValidationError as exc:
            raise ValueError(f"The filter {name} cannot be {said!r}: {exc.errors()[0]['msg']}.") from None


@dataclass(frozen=True)
class Source:
    """Rows with an ordered primary key. `reveals` is the permission to see what columns mask."""

    name: str
    rows: Callable[[], "QuerySet[Any]"]
    columns: tuple[Column, ...]
    permission: str
    filters: Mapping[str, Filter] = field(default_factory=dict)
    reveals: str = ""
    queue: str | None = None  # the columns by which a scope limits the rows; without any of them
    tenant: str | None = None  # only those may export it who have no scope

    @cached_property
    def by_name(self) -> dict[str, Column]:
        return {column.name: column for column in self.columns}

    def chosen(self, names: list[str]) -> list[Column]:
        """All of them for no names. Raises ValueError for a name that there is not, or twice."""
        if unknown := [name for name in names if name not in self.by_name]:
            raise ValueError(f"{self.name} has no column {unknown[0]!r}. There are {', '.join(self.by_name)}.")
        if len(set(names)) != len(names):
            raise ValueError("Name each column once.")
        return [self.by_name[name] for name in names] or list(self.columns)

    def conditions(self, said: Mapping[str, Any]) -> dict[str, Any]:
        """Filters for the query. Raises ValueError for one that there is not, and for a value that does not fit."""
        if unknown := [name for name in said if name not in self.filters]:
            known = ", ".join(self.filters) or "none"
            raise ValueError(f"{self.name} has no filter {unknown[0]!r}. There are: {known}.")
        return {self.filters[name].lookup: self.filters[name].value(name, value) for name, value in said.items()}

    def limits(self, scope: Scope) -> bool:
        """Whether the scope can be kept to. Its queues limit jobs only."""
        return scope.limits is None or bool(self.tenant)

    def within(self, scope: Scope, said: Mapping[str, Any]) -> "QuerySet[Any]":
        """What somebody with the scope may see of what the filters leave."""
        rows = self.rows().filter(**self.conditions(said))
        if not self.limits(scope):
            raise ValueError(f"{self.name} cannot be limited to a scope.")
        if self.queue:
            return scope.rows(rows, queue=self.queue, tenant=self.tenant)  # type: ignore[no-any-return]
        return scope.of_tenants(rows, self.tenant or "")  # type: ignore[no-any-return]


_registered: dict[str, Source] = {}


def register(*sources: Source) -> None:
    _registered.update({source.name: source for source in sources})


def named(name: str) -> Source:
    """Raises ValueError for one that nobody registered."""
    if name not in _registered:
        raise ValueError(f"There is no source {name!r}. There are {', '.join(sorted(_registered))}.")
    return _registered[name]


def known() -> list[Source]:
    return [_registered[name] for name in sorted(_registered)]


JOBS = Source(
    name="jobs",
    rows=lambda: Job.objects.all(),
    permission="jobs.view_job",
    queue="queue",
    tenant="tenant",
    columns=(  # no arguments, results and reasons: those may tell what a customer's row holds
        *(Column(name) for name in ("id", "task", "queue", "state", "tenant", "correlation_id", "signature")),
        *(Column(name, "integer") for name in ("priority", "failures", "token")),
        *(Column(name, "moment") for name in ("created_at", "run_at", "started_at", "finished_at")),
    ),
    filters={
        "state": Filter("state", Literal[tuple(Job.State.values)]),
        "queue": Filter("queue"),
        "task": Filter("task"),
        "tenant": Filter("tenant"),
        "created_from": Filter("created_at__gte", AwareDatetime),
        "created_before": Filter("created_at__lt", AwareDatetime),
    },
)
