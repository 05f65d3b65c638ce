"""What a row of any system's export says, in our words; and how a row is refused.

Made by `bull`, `agenda` and `plain`, read by `importing`. Nothing of a row is ignored in silence: what has no meaning
here is a note, which the import counts, or an error.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from jobs.options import FIRST_YEAR, LAST_YEAR

Record = Mapping[str, Any]
NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")
MOST = 2**31 - 1  # what a column holds


class BadRow(ValueError):
    """This row cannot be imported, and why."""


@dataclass(frozen=True)
class Recurs:
    """A schedule: by a cron text in a zone, or every so often."""

    name: str
    cron: str = ""
    zone: str = "UTC"
    every: timedelta | None = None


@dataclass
class Owed:
    name: str
    data: Any
    key: str  # the same for the same row of the same system
    chosen: bool = False  # the key is one that the application chose, and will use again
    state: str = "scheduled"
    run_at: datetime | None = None  # None: now
    priority: int | str | None = None
    scale: str = ""  # that a number is on, where the system says so
    attempts: int | None = None  # at most
    failures: int = 0
    timeout: float | None = None  # seconds
    reason: str = ""
    finished_at: datetime | None = None
    recurs: Recurs | None = None
    notes: list[str] = field(default_factory=list)


def parsed(text: str, what: str = "it") -> Any:
    """JSON that means one thing and that every database takes. Raises BadRow."""
    try:
        found = json.loads(text, object_pairs_hook=_once, parse_constant=_no_number)
        text.encode()
        json.dumps(found, ensure_ascii=False, allow_nan=False).encode()
    except UnicodeEncodeError:
        raise BadRow(f"{what} holds half a surrogate pair, which databases refuse") from None
    except BadRow:
        raise
    except RecursionError:
        raise BadRow(f"{what} is nested too deeply") from None
    except ValueError as exc:
        raise BadRow(f"{what} is no JSON: {exc}") from None
    if NUL.search(text):
        raise BadRow(f"{what} holds a NUL character, which databases refuse")
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Of two values for one name Python would take the last, and others the first."""
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _value in pairs]
        raise BadRow(f"{next(name for name in names if names.count(name) > 1)!r} is there twice")
    return found


def _no_number(text: str) -> Any:
    raise BadRow(f"{text} is no number that databases take")


def moment(value: Any, what: str) -> datetime | None:
    """Milliseconds since 1970, or ISO 8601 with a zone. None: there is none."""
    if value is None or value == "":
        return None
    try:
        if isinstance(value, str) and not value.lstrip("-").isdigit():
            found = datetime.fromisoformat(value)
        else:
            found = datetime.fromtimestamp(int(value) / 1000, UTC)
    except (ValueError, TypeError, OverflowError, OSError):
        raise BadRow(f"{what} {value!r} is no moment") from None
    if found.tzinfo is None:
        raise BadRow(f"{what} {value!r} names no time zone")
    if not FIRST_YEAR <= found.year <= LAST_YEAR:
        raise BadRow(f"{what} {value!r} is not between {FIRST_YEAR} and {LAST_YEAR}")
    return found


def number(value: Any, what: str, most: int = MOST) -> int:
    """A whole number; nothing is 0."""
    try:
        found = int(value or 0)
    except (TypeError, ValueError, OverflowError):
        raise BadRow(f"{what} {value!r} is no number") from None
    if abs(found) > most:
        raise BadRow(f"{what} {found} is too large")
    return found


def span(milliseconds: Any, what: str) -> timedelta:
    return timedelta(milliseconds=number(milliseconds, what, 2**53))
