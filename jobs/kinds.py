"""The kinds of jobs that there are: each durable task with its arguments as JSON Schema, its limits and its names.

Used by `manage.py jobs types` and the API. What is told is what the code says at this moment; nothing is stored.
"""

import inspect
from typing import Any, TypedDict

from jobs import aliases, deadlines, registry
from jobs.durable import Durable
from jobs.models import Priority
from jobs.rows import lane, limit_of


class Described(TypedDict):
    task: str
    names: list[str]  # other ones that it is known by
    about: str
    arguments: str  # in a line, for people: those with ? may be left out
    schema: dict[str, Any]
    queue: str
    priority: str | int
    max_attempts: int | None  # None: no limit
    soft_time_limit: float | None  # seconds
    time_limit: float | None
    rate: str | None
    batch_size: int
    version: int
    internal: bool  # called by code alone


def all_of_them() -> list[Durable]:
    """By name."""
    return [registry.named(name) for name in registry.names()]


def described(kind: Durable) -> Described:
    schema, retries = kind.payload.schema(), limit_of(kind)
    soft, hard = deadlines.of(kind)
    level = kind.priority
    return {
        "task": str(kind.name),
        "names": aliases.of(str(kind.name)),
        "about": (inspect.getdoc(kind.run) or "").partition("\n\n")[0].replace("\n", " "),
        "arguments": ", ".join(_argument(name, schema) for name in schema["properties"]),
        "schema": schema,
        "queue": lane(kind),
        "priority": Priority(level).name.lower() if level in Priority.values else level,
        "max_attempts": None if retries is None else retries + 1,
        "soft_time_limit": soft,
        "time_limit": hard,
        "rate": getattr(kind, "rate_limit", None),
        "batch_size": kind.batch_size,
        "version": kind.version,
        "internal": kind.internal,
    }


def _argument(name: str, schema: dict[str, Any]) -> str:
    one = schema["properties"][name]
    kind = " or ".join(dict.fromkeys(_type(way, schema) for way in one.get("anyOf", (one,))))
    return f"{name}{'' if name in schema['required'] else '?'}: {kind}"


def _type(one: dict[str, Any], schema: dict[str, Any]) -> str:
    """A model is described elsewhere in the schema."""
    if "$ref" in one:
        one = schema.get("$defs", {}).get(one["$ref"].rpartition("/")[2], {"type": "object"})
    return str(one.get("type") or ("object" if one.get("properties") or one.get("oneOf") else "any"))
