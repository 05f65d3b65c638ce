"""What may be said about a call beside its arguments: Celery's options, and what becomes of each on a row.

Used by `Durable`. An option is kept with the row, or understood as one of its columns, or refused with the reason;
none is ignored. None is no option: Celery's beat and canvas pass many of them as None.
"""

import math
import uuid
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.db.models.functions import Now

from jobs import canvas

LAST_YEAR = 2200
CARRIED = frozenset({"headers", "time_limit", "soft_time_limit", "shadow"})  # kept for the message
CONTEXT = frozenset({"root_id", "parent_id", "replaced_task_nesting", "stamped_headers"})  # kept for task.request
# Nothing is published by the call, so there is nothing that they could change.
NEEDLESS = frozenset({"producer", "router", "publisher", "add_to_parent", "chord_size"})

OTHERWISE = frozenset({"chord", "group_id", "group_index", "ignore_result", "origin"})  # columns, or the group's

NO_MESSAGE = "arguments are kept in the row and never travel"
REFUSED = {
    "serializer": NO_MESSAGE,
    "compression": NO_MESSAGE,
    "connection": "the call publishes nothing",
    "retry": "the dispatcher publishes, and tries until the broker takes the message",
    "retry_policy": "the dispatcher publishes, and tries until the broker takes the message",
    "reply_to": "results are in the ledger: use the handle that the call returns",
    "exchange": "a queue has one exchange, of its own name: pass queue=",
    "routing_key": "a queue has one routing key, its own name: pass queue=",
    "add_to_parent": "the ledger keeps each job's parent instead of each parent's children",
    "retries": "the ledger counts the failures itself",
    "max_retries": "it belongs to the task, or to self.retry(max_retries=...)",
    "rate_limit": "it belongs to the queue: see the limits in the admin",
}


def kept(task: str, pk: uuid.UUID, queue: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that stay with the row, as JSON. Raises TypeError for one that would mean nothing."""
    given = {name: value for name, value in options.items() if value is not None}
    stamps = set(given.get("stamped_headers") or ())
    for name, value in given.items():
        known = name in CARRIED | CONTEXT | NEEDLESS | canvas.LINKS | stamps | OTHERWISE
        if not (known or _is_default(name, value, queue)) or (name == "add_to_parent" and value):
            why = REFUSED.get(name, "there is no such option")
            raise TypeError(f"{task} is durable: its calls do not take {name}={value!r}; {why}.")
    found = {name: value for name, value in given.items() if name in CARRIED | CONTEXT | stamps and value}
    if given.get("ignore_result"):
        found["ignore_result"] = True
    return canvas.plain(found | canvas.links(pk, given))  # type: ignore[no-any-return]


def _is_default(name: str, value: Any, queue: str) -> bool:
    """Whether Celery says it of its own accord, and it is what we do anyway."""
    if name in ("exchange", "routing_key"):
        return str(getattr(value, "name", value)) in ("", queue)
    if name == "reply_to":
        return _is_uuid(value)  # canvas passes the id of the thread that wrote the signature
    return name in ("retry", "retries", "retry_policy") and not value


def _is_uuid(value: Any) -> bool:
    try:
        return bool(uuid.UUID(str(value)))
    except ValueError:
        return False


def moment(value: Any, name: str) -> Any:
    """An aware moment, or an ISO 8601 text as JSON keeps one. Raises ValueError for one that no database gives back."""
    value = datetime.fromisoformat(value) if isinstance(value, str) else value
    if value is not None and value.year > LAST_YEAR:
        raise ValueError(f"{name}={value} is too far away; the last year is {LAST_YEAR}.")
    if value is not None and value.tzinfo is None:
        raise ValueError(f"{name}={value} names no time zone. Pass an aware datetime, e.g. datetime(..., tzinfo=UTC).")
    return value


def until(expires: Any, now: datetime | Now) -> Any:
    """The end of a job's usefulness: seconds, a timedelta or a moment."""
    if expires is None or isinstance(expires, datetime | str):
        return moment(expires, "expires")
    seconds = expires.total_seconds() if isinstance(expires, timedelta) else float(expires)
    if not math.isfinite(seconds):
        raise ValueError(f"expires={expires} is not a number of seconds")
    return now + timedelta(seconds=seconds)


def as_uuid(value: Any, name: str) -> uuid.UUID:
    try:
        return value if isinstance(value, uuid.UUID) else uuid.UUID(value)
    except ValueError as exc:
        raise ValueError(f"{name}={value!r} is not a UUID. To name a job yourself, pass unique_key=.") from exc
