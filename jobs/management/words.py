"""What people write on the command line, and what it means: durations, moments, names, JSON.

Used by the verbs of `manage.py jobs`. The promise: what has no meaning, or names nothing that there is, is refused
with what to write instead, before anything is done.
"""

import getpass
import json
import re
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from celery import current_app
from django.utils import timezone

from jobs import options, pauses, registry, when
from jobs.bulk import database_now
from jobs.durable import Durable
from jobs.management.terminal import Usage
from jobs.options import FIRST_YEAR, LAST_YEAR, LONGEST_WAIT

UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
MOST = 1_000_000_000  # of anything that is counted


def shortly(text: str) -> str:
    """What somebody wrote, as a complaint repeats it."""
    return repr(text) if len(text) <= 60 else f"{text[:60]!r}..."


def login() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container whose user has no name
        return "command line"


def add_why(parser: ArgumentParser) -> None:
    """Who asks, and why: kept in the record."""
    parser.add_argument("--by", default=login(), help="who asks (default: your login)")
    parser.add_argument("--reason", default="", help="why; kept in the record")


def duration(text: str) -> timedelta:
    """30, 30s, 10m, 2h or 1d: from a second to a hundred years."""
    return _span(text, 1, LONGEST_WAIT, "a hundred years")


def age(text: str) -> timedelta:
    """The same, or none: 0."""
    return _span(text, 0, LONGEST_WAIT, "a hundred years")


def pause(text: str) -> timedelta:
    """How long a pause may last."""
    days = pauses.LONGEST.days
    return _span(text, 1, days * UNITS["d"], f"{days}d; without an end it is until somebody resumes it")


def _span(text: str, least: int, most: int, told: str) -> timedelta:
    found = re.fullmatch(r"(\d{1,12})([smhd]?)", text, re.ASCII)
    if not found:
        raise ArgumentTypeError(f"{shortly(text)} is no duration. Write 30s, 10m, 2h or 1d.")
    seconds = int(found[1]) * UNITS[found[2] or "s"]
    if seconds < least:
        raise ArgumentTypeError(f"{text} is no time at all. Write 30s, 10m, 2h or 1d.")
    if seconds > most:
        raise ArgumentTypeError(f"{text} is more than {told}.")
    return timedelta(seconds=seconds)


def processes(text: str) -> int | None:
    """A number, or as-started."""
    if text == "as-started":
        return None
    if not text.isdecimal():
        raise ArgumentTypeError(f"{shortly(text)} is no number of processes. Write 4, or as-started.")
    return number()(text)


def number(least: int = 1, most: int = MOST) -> Callable[[str], int]:
    """The type of an option that counts something."""

    def read(text: str) -> int:
        if not re.fullmatch(r"\d{1,12}", text, re.ASCII) or not least <= int(text) <= most:
            raise ArgumentTypeError(f"{shortly(text)} is not a whole number from {least} to {most:,}.")
        return int(text)

    return read


def instant(text: str) -> datetime:
    """ISO 8601 (without a zone: in TIME_ZONE), so long from now (2h) or ago (2h ago)."""
    found = when.iso(text)
    if not isinstance(found, datetime):
        try:
            span = age(text.removesuffix("ago").strip())
        except ArgumentTypeError:
            told = f'{shortly(text)} is no moment. Write 2027-01-31T09:00+01:00, 2h or "2h ago".'
            raise ArgumentTypeError(told) from None
        found = database_now() + (-span if text.endswith("ago") else span)
    if not FIRST_YEAR <= found.year <= LAST_YEAR:
        raise ArgumentTypeError(f"{shortly(text)} is not between the years {FIRST_YEAR} and {LAST_YEAR}.")
    return found if found.tzinfo else timezone.make_aware(found)


def coming(text: str) -> datetime:
    """A time to come, in words or ISO 8601, as `Durable.schedule` reads it. Raises Usage."""
    now = database_now()
    try:
        found = when.understood(text, now, timezone.get_current_timezone())
        return options.moment(found if isinstance(found, datetime) else now + found, "the time")  # type: ignore[no-any-return]
    except OverflowError:
        raise Usage(f"{shortly(text)} is too far away; the last year is {LAST_YEAR}.") from None
    except ValueError as exc:
        raise Usage(str(exc)) from None


def data(text: str) -> Any:
    """JSON: an object of named arguments, or a list of them by place. @FILE reads it from a file."""
    try:
        found = json.loads(Path(text[1:]).read_text() if text.startswith("@") else text)
    except OSError as exc:
        raise ArgumentTypeError(f"{text[1:]} cannot be read: {exc.strerror}.") from None
    except (ValueError, RecursionError) as exc:  # [[[[...
        raise ArgumentTypeError(
            f"""that is not JSON ({exc}). Write '{{"name": "value"}}', '[1, 2]' or @FILE."""
        ) from None
    if not isinstance(found, dict | list):
        raise ArgumentTypeError("the arguments are an object of names, or a list.")
    return found


def known(kind: str, name: str) -> str:
    """The name, if it is no slip of the pen. Tenants are anybody's words. Raises Usage."""
    names: dict[str, Collection[str]] = {"queue": list(current_app.amqp.queues), "task": registry.names()}
    if kind in names and name not in names[kind]:
        raise Usage(f"There is no {kind} {name!r}. There are {', '.join(sorted(names[kind]))}.")
    return name


def task(name: str) -> Durable:
    return registry.named(known("task", name))
