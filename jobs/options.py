"""What may be said about a call beside its arguments: Celery's options, and what becomes of each on a row.

Used by `Durable`. An option is kept with the row, or understood as one of its columns, or refused with the reason;
none is ignored. None is no option: Celery's beat and canvas pass many of them as None. The table of them all is in
ARCHITECTURE.md.
"""

import math
import uuid
from collections.abc import Mapping
from datetime import datetime, timedelta, tzinfo
from typing import Any

from celery.app.task import Context
from django.db.models.functions import Now

from jobs import canvas, when
from jobs.models import Job, Priority
from jobs.payload import storable

FIRST_YEAR, LAST_YEAR = 1970, 2200  # further away, a database or a zone may have no such moment
LONGEST_WAIT = 100 * 365 * 86400  # seconds
CARRIED = frozenset({"headers", "time_limit", "soft_time_limit", "shadow"})  # kept for the message
CONTEXT = frozenset({"root_id", "parent_id", "replaced_task_nesting", "stamped_headers"})  # kept for task.request
# Nothing is published by the call, so there is nothing that they could change.
NEEDLESS = frozenset({"producer", "router", "publisher", "add_to_parent", "chord_size"})

OTHERWISE = frozenset({"chord", "group_id", "group_index", "ignore_result", "origin"})  # columns, or the group's

NO_MESSAGE = "arguments are kept in the row, as JSON, and never travel"
HIDDEN = "arguments never travel and are in no log and no event: there is nothing to hide"
NO_PUBLISHING = "the call publishes nothing; the dispatcher does, and tries until the broker takes the message"
NO_VALUE = "a message is only a nudge: it may get lost, and the row is looked at all the same"
REFUSED = {
    "serializer": NO_MESSAGE,
    "compression": NO_MESSAGE,
    "content_type": NO_MESSAGE,
    "content_encoding": NO_MESSAGE,
    "body": NO_MESSAGE,
    "connection": NO_PUBLISHING,
    "retry_policy": NO_PUBLISHING,
    "timeout": NO_PUBLISHING,
    "confirm_timeout": NO_PUBLISHING,
    "declare": NO_PUBLISHING,
    "delivery_mode": NO_VALUE,
    "mandatory": NO_VALUE,
    "immediate": NO_VALUE,
    "expiration": "pass expires=, which ends the job and not only a message",
    "argsrepr": HIDDEN,
    "kwargsrepr": HIDDEN,
    "reply_to": "results are in the ledger: use the handle that the call returns",
    "exchange": "a queue has one exchange, of its own name: pass queue=",
    "routing_key": "a queue has one routing key, its own name: pass queue=",
    "add_to_parent": "the ledger keeps each job's parent instead of each parent's children",
    "retries": "the ledger counts the failures itself",
    "max_retries": "it belongs to the task, or to self.retry(max_retries=...)",
    "rate_limit": "it belongs to the task, or to its queue: see the limits in the admin",
    "result_cls": "the handle is a JobResult",
    "task_type": "the task is the one that is called",
    "route_name": "routes are found by the task's name; pass queue=",
}
# Celery's protocol has them; one of the same name would be read as the message's own.
RESERVED = frozenset({"id", "task", "lang", "eta", "expires", "retries", "timelimit", "shadow", "group", "group_index"})
RESERVED |= {"root_id", "parent_id", "argsrepr", "kwargsrepr", "origin", "ignore_result", "stamps", "stamped_headers"}


def kept(task: str, pk: uuid.UUID, queue: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that stay with the row, as JSON. Raises TypeError for one that would mean nothing."""
    given = {name: value for name, value in options.items() if value is not None}
    stamps = set(given.get("stamped_headers") or ())
    for name, value in given.items():
        known = name in CARRIED | CONTEXT | NEEDLESS | canvas.LINKS | stamps | OTHERWISE
        if not (known or _is_default(name, value, queue)) or (name == "add_to_parent" and value):
            why = REFUSED.get(name, "there is no such option")
            raise TypeError(f"{task} is durable: its calls do not take {name}={value!r}; {why}.")
    _check_headers(given.get("headers") or {})
    check_limits(given.get("soft_time_limit"), given.get("time_limit"))
    found = {name: value for name, value in given.items() if name in CARRIED | CONTEXT | stamps and value}
    if "ignore_result" in given:
        found["ignore_result"] = bool(given["ignore_result"])
    return canvas.plain(found | canvas.links(pk, given))  # type: ignore[no-any-return]


def _is_default(name: str, value: Any, queue: str) -> bool:
    """Whether Celery says it of its own accord, and it is what we do anyway."""
    if name in ("exchange", "routing_key"):
        return str(getattr(value, "name", value)) in ("", queue)
    if name == "reply_to":
        return _is_uuid(value)  # canvas passes the id of the thread that wrote the signature
    if name == "serializer":
        return bool(value == "json")
    if name == "retry":
        return True  # no call waits for the broker, and no message is given up
    return name in ("retries", "retry_policy", "mandatory", "immediate", "compression") and not value


def _is_uuid(value: Any) -> bool:
    try:
        return bool(uuid.UUID(str(value)))
    except ValueError:
        return False


def _check_headers(headers: Any) -> None:
    if not isinstance(headers, Mapping):
        raise TypeError(f"headers={headers!r} is not a mapping of names to values")
    if taken := sorted(RESERVED & headers.keys()):
        raise ValueError(f"headers may not be named {', '.join(taken)}: Celery's own headers are.")


def check_limits(soft: Any, hard: Any) -> None:
    """Raises TypeError or ValueError for time limits that limit nothing."""
    for name, value in (("soft_time_limit", soft), ("time_limit", hard)):
        if value is not None and (not is_number(value)):
            raise TypeError(f"{name}={value!r} is not a number of seconds")
        if value is not None and not 0 < value < math.inf:
            raise ValueError(f"{name}={value!r} limits nothing; pass more than 0 seconds, or leave it out")
    if soft and hard and soft > hard:
        raise ValueError(f"soft_time_limit={soft} would come after time_limit={hard}; make it less")


def is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def run_at(now: datetime | Now, zone: tzinfo, clock: datetime, **said: Any) -> Any:
    """When to run. Of countdown, eta and when one may be said. Raises TypeError or ValueError.

    `now` is the clock of the database, in an expression; `clock` is this machine's, to read words such as tomorrow.
    """
    given = {name: value for name, value in said.items() if value is not None}
    if len(given) > 1:
        raise TypeError(f"{' and '.join(sorted(given))} both say when to run; pass one of them")
    if "when" in given:
        meant = when.understood(given["when"], clock, zone)
        return moment(meant, "when") if isinstance(meant, datetime) else now + meant
    if "eta" in given:
        return moment(given["eta"], "eta")
    return now + timedelta(seconds=seconds(given["countdown"], "countdown")) if given.get("countdown") else now


def seconds(value: Any, name: str) -> float:
    """Raises TypeError or ValueError for what is no number of seconds that a database can add."""
    if not is_number(value):
        raise TypeError(f"{name}={value!r} is not a number of seconds")
    if not abs(value) <= LONGEST_WAIT:  # also NaN
        raise ValueError(f"{name}={value!r} is not a number of seconds, or more than a hundred years")
    return float(value)


def moment(value: Any, name: str) -> Any:
    """An aware moment, or an ISO 8601 text as JSON keeps one. Raises ValueError for one that no database gives back."""
    value = datetime.fromisoformat(value) if isinstance(value, str) else value
    if value is None:
        return None
    if not isinstance(value, datetime):
        raise TypeError(f"{name}={value!r} is no moment. Pass an aware datetime, e.g. datetime(..., tzinfo=UTC).")
    if not FIRST_YEAR <= value.year <= LAST_YEAR:
        raise ValueError(f"{name}={value} is too far away; the years are {FIRST_YEAR} to {LAST_YEAR}.")
    if value.tzinfo is None:
        raise ValueError(f"{name}={value} names no time zone. Pass an aware datetime, e.g. datetime(..., tzinfo=UTC).")
    return value


def until(expires: Any, now: datetime | Now) -> Any:
    """The end of a job's usefulness: seconds, a timedelta or a moment."""
    if expires is None or isinstance(expires, datetime | str):
        return moment(expires, "expires")
    if isinstance(expires, timedelta):
        expires = expires.total_seconds()
    return now + timedelta(seconds=seconds(expires, "expires"))


def level(priority: Any) -> int:
    """A priority by number, where more is sooner, or by name. Raises TypeError or ValueError."""
    if isinstance(priority, str):
        return Priority.of(priority)
    if not isinstance(priority, int) or isinstance(priority, bool):
        raise TypeError(f"priority={priority!r} is no number and no name; there are {', '.join(Priority.names)}")
    if abs(priority) >= 2**15:
        raise ValueError(f"priority={priority} is not between -32767 and 32767")
    return priority


def word(value: Any, name: str) -> str:
    """The text of a column. None is empty. Raises TypeError, or ValueError for one that a database would not take."""
    column: Any = Job._meta.get_field(name)
    longest = column.max_length
    if not isinstance(value, str | None):
        raise TypeError(f"{name}={value!r} is no text")
    if len(value or "") > longest:
        raise ValueError(f"{name} has {len(value or '')} characters; at most {longest} are kept")
    return str(storable(value or "", name))


def key(value: Any) -> str | None:
    """A unique key. An empty one would make all the jobs of those who forgot theirs the same job."""
    if value == "":
        raise ValueError("unique_key is empty. Name what shall be done once, or leave it out.")
    return None if value is None else word(value, "unique_key")


def as_uuid(value: Any, name: str) -> uuid.UUID:
    try:
        return value if isinstance(value, uuid.UUID) else uuid.UUID(value)
    except ValueError as exc:
        raise ValueError(f"{name}={value!r} is not a UUID. To name a job yourself, pass unique_key=.") from exc


def of_message(request: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a call that came as a message, past `apply_async`. Celery has waited for its eta already."""
    options = Context(dict(request)).as_execution_options()
    own = {"task_id", "retries", "reply_to", "origin"}
    said = {name: value for name, value in options.items() if name not in own and value is not None}
    headers = said.pop("headers", None) or {}
    said["headers"] = {name: value for name, value in headers.items() if name not in RESERVED and value is not None}
    said["ignore_result"] = request.get("ignore_result") or None
    return said
