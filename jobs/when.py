"""What people and programs say about a time: "in 30 minutes", "tomorrow at 9am", ISO 8601, datetime, timedelta. Pure.

Used by `Durable.schedule`. `now` and the zone are arguments. What has no zone is wall time in that zone, so "tomorrow
at 9am" is nine o'clock whatever the clocks do that night, and "in 3 hours" is three hours. The promise: what has no
meaning, or two, is refused with what to write instead, and never guessed.
"""

import re
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

from pydantic import TypeAdapter

SOON = timedelta(minutes=1)  # a time that has passed so recently is meant as now
EXAMPLES = 'Write for example "in 30 minutes", "tomorrow at 9am", "2027-01-31 09:00" or "2027-01-31T09:00+01:00".'

_DURATION = TypeAdapter(timedelta)
_CALENDAR = re.compile(r"day|week|month|year|decade|tomorrow|tonight|\d\s*(d|w|y|mo)\b", re.IGNORECASE)
_UNITS = r"[ap]\.?m|st|nd|rd|th|s(ec\w*)?|m(in\w*|o(nths?)?)?|h(r|our)?s?|d(ay)?s?|w(eek|k)?s?|fortnights?|y(r|ear)?s?"
_MONTHS = r"of|(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*"
_AMOUNT = re.compile(rf"\d+([.,]\d+)?\s*({_UNITS}|{_MONTHS})(?![a-z])", re.IGNORECASE)  # 30 minutes, 9am, 1h30m, 5 May


def understood(when: datetime | timedelta | str, now: datetime, zone: tzinfo) -> datetime | timedelta:
    """A duration from now, or an aware moment. Raises ValueError or TypeError, with what to write instead."""
    if isinstance(when, str):
        found = _read(when.strip(), now.astimezone(zone).replace(tzinfo=None))
    elif isinstance(when, datetime | timedelta):
        found = when
    else:
        raise TypeError(f"{when!r} is no time. Pass a datetime, a timedelta or a text. {EXAMPLES}")
    if isinstance(found, datetime) and found.tzinfo is None:
        found = _placed(found, zone)
    ahead = found if isinstance(found, timedelta) else found - now
    if ahead < -SOON:
        told = f" (understood as {now + ahead:%Y-%m-%d %H:%M %Z})" if isinstance(when, str) else ""
        raise ValueError(f"{_shown(when)} is in the past{told}. Pass a time to come, or call delay() to run it now.")
    return found


def _read(text: str, local: datetime) -> datetime | timedelta:
    """`local` is now, as a wall clock of the zone shows it."""
    if (exact := iso(text)) is not None:
        return exact
    found, whole = _spoken(text, local)
    if found != _spoken(text, local, "DMY")[0]:
        raise ValueError(f"{_shown(text)} may mean two days. {EXAMPLES}")
    if found is None or not whole or _left_out(text, found, local):
        raise ValueError(f"{_shown(text)} is not understood as a time. {EXAMPLES}")
    later = local + timedelta(days=1, minutes=61)
    if found.tzinfo is None and not _CALENDAR.search(text) and _spoken(text, later)[0] == found + (later - local):
        return found - local
    return found


def iso(text: str) -> datetime | timedelta | None:
    """What ISO 8601 makes of it: a moment, or a duration (PT30M). None: it is not written so."""
    try:
        return _DURATION.validate_python(text) if text.startswith("P") else datetime.fromisoformat(text)
    except ValueError:  # pydantic's errors are such too
        return None


def _spoken(text: str, local: datetime, order: str = "MDY") -> tuple[datetime | None, bool]:
    """What the library makes of it, and whether that names a day: of "may" it would make the present day of May."""
    from dateparser.date import DateDataParser  # 50 ms: few processes read what people say

    settings: Any = {"RELATIVE_BASE": local, "PREFER_DATES_FROM": "future", "DATE_ORDER": order}
    read = DateDataParser(languages=["en"], settings=settings).get_date_data(text[:200])
    found = read.date_obj
    return found, found is not None and (read.period in ("day", "time", "week") or found.time() == local.time())


def _left_out(text: str, found: datetime, local: datetime) -> bool:
    """Whether the text names a number that the time does not show: "tomorrow at 25:00" is read as "tomorrow"."""
    shown = {found.year, found.month, found.day}
    if found.time() != local.time():
        shown |= {found.hour, found.hour % 12 or 12, found.minute, found.second}
    return not {int(number) for number in re.findall(r"\d+", _AMOUNT.sub("", text))} <= shown


def _placed(wall: datetime, zone: tzinfo) -> datetime:
    """The moment at which a wall clock in the zone shows that time."""
    first, second = (wall.replace(tzinfo=zone, fold=fold) for fold in (0, 1))
    if first.utcoffset() == second.utcoffset():
        return first
    if first.astimezone(UTC).astimezone(zone).replace(tzinfo=None) != wall:
        raise ValueError(f"{wall} does not exist in {zone}: clocks go forward over it. Pass another time.")
    either = " or ".join(moment.isoformat() for moment in (first, second))
    raise ValueError(f"{wall} happens twice in {zone}: clocks go back over it. Say which: {either}.")


def _shown(when: object) -> str:
    return repr(when)[:80]
