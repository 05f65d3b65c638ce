"""Rows as the API tells them: their columns by name, what they refer to by its id.

Used by every router, so that no answer reads another row for each of its own.
"""

from collections.abc import Callable
from typing import Any

from django.db.models import Model


def columns(row: Model) -> dict[str, Any]:
    return {field.name: getattr(row, field.attname) for field in row._meta.concrete_fields}


def listed(page: dict[str, Any], tell: Callable[[Any], dict[str, Any]] = columns) -> dict[str, Any]:
    """A page of rows as a page of what is told of each."""
    return page | {"items": [tell(row) for row in page["items"]]}
