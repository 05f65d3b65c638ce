"""Lists, a page at a time by keyset: the answer says where the next page begins.

Used by every router. The promise: a page costs what is on it, and a row that was there all the time is on exactly one
page, whatever is added meanwhile.
"""

import base64
import binascii
import json
from datetime import UTC, datetime
from typing import Annotated, Any, Generic, TypeVar

from django.core.exceptions import ValidationError
from django.db.models import DateTimeField, Q
from ninja import Schema
from pydantic import Field

from jobs.api.bodies import UNSTORABLE
from jobs.api.problems import Problem, invalid

Item = TypeVar("Item")
Limit = Annotated[int, Field(ge=1, le=200, description="rows of a page")]
Cursor = Annotated[str, Field(max_length=500, description="`next` of the page before; empty: the first page")]


class Page(Schema, Generic[Item]):
    items: list[Item]
    next: str | None = Field(description="the cursor of the next page; null: this is the last")


def page(rows: Any, limit: int, cursor: str, order: tuple[str, ...] = ("-pk",)) -> dict[str, Any]:
    """A page of a queryset, ordered by columns of which the last is unique; all up, or all down ("-")."""
    down = order[0].startswith("-")
    columns = [name.lstrip("-") for name in order]
    if cursor:
        rows = rows.filter(_beyond(rows, columns, read(cursor, len(columns)), down))
    found = list(rows.order_by(*order)[: limit + 1])
    more = len(found) > limit
    found = found[:limit]
    return {"items": found, "next": write([_value(found[-1], name) for name in columns]) if more else None}


def _beyond(rows: Any, columns: list[str], values: list[Any], down: bool) -> Any:
    sign, beyond, same = ("lt" if down else "gt"), Q(), Q()
    for name, value in zip(columns, values, strict=True):
        field = rows.model._meta.pk if name == "pk" else rows.model._meta.get_field(name)
        value = _read(field, value)
        beyond |= same & Q(**{f"{name}__{sign}": value})
        same &= Q(**{name: value})
    return beyond


def _read(field: Any, value: Any) -> Any:
    """As `_value` wrote it. Anybody can write a cursor: a number for a moment, or one out of the calendar."""
    try:
        if isinstance(field, DateTimeField):
            value = datetime.fromisoformat(value).replace(tzinfo=UTC)  # `_value` gives UTC, whatever others write
        return field.to_python(value)
    except (ValidationError, TypeError, ValueError, OverflowError) as exc:
        raise _none_of_ours() from exc


def _value(row: Any, name: str) -> Any:
    value = row.pk if name == "pk" else getattr(row, name)
    return value.isoformat() if hasattr(value, "isoformat") else value if isinstance(value, int) else str(value)


def write(values: list[Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(values).encode()).decode().rstrip("=")


def read(cursor: str, size: int) -> list[Any]:
    """Raises Problem 422 for what is no cursor of this list."""
    try:
        values = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, binascii.Error, RecursionError) as exc:
        raise _none_of_ours() from exc
    plain = isinstance(values, list) and len(values) == size and all(type(one) in (str, int) for one in values)
    if not plain or any(abs(one) >= 2**63 if isinstance(one, int) else UNSTORABLE.search(one) for one in values):
        raise _none_of_ours()
    return list(values)


def _none_of_ours() -> Problem:
    return invalid("cursor", "is none of this list's; pass `next` of the page before")
