"""When a reminder goes out: a rule's offset applied to an anchor, in the anchor's time zone.

Pure: neither database nor clock. Used by `reminders.plan`, the importers and the models' validators.

Two kinds of rule differ on the day the clocks change: "24 hours before" is elapsed time; "the day before at 18:00"
is a time on the wall. A wall time that does not exist (clocks go forward) is moved on by the gap, one that exists
twice (clocks go back) means the first.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

DAY = timedelta(days=1)
OFFICE_OPENS = time(9)  # when a rule about a date names no time


@cache
def _names() -> frozenset[str]:
    return frozenset(available_timezones())  # walks the whole zone database: 3 ms


def zone(name: str) -> ZoneInfo:
    """The IANA zone of that name. Raises ValueError for any other text."""
    if name not in _names():
        raise ValueError(f"Unknown time zone {name!r}. Use an IANA name such as Europe/Berlin.")
    return ZoneInfo(name)


def instant(day: date, at: time, zone_name: str, fold: int = 0) -> datetime:
    """The moment, in UTC, when the clocks of the zone show `at` on `day`."""
    return datetime.combine(day, at.replace(fold=fold), zone(zone_name)).astimezone(UTC)


def exists(day: date, at: time, zone_name: str) -> bool:
    """False for the wall times, or whole days, that are left out when clocks go forward."""
    shown = instant(day, at, zone_name).astimezone(zone(zone_name))
    return shown.replace(tzinfo=None, fold=0) == datetime.combine(day, at.replace(fold=0))


def aware(moment: datetime, name: str) -> datetime:
    """The moment, if it names its zone. Raises ValueError: a naive time would be right only by luck."""
    if moment.tzinfo is None or moment.utcoffset() is None:
        raise ValueError(f"{name} ({moment.isoformat()}) names no time zone. Pass an aware datetime.")
    return moment


@dataclass(frozen=True)
class Window:
    """Not before `send_at`, of no use from `useful_until` on. Both aware."""

    send_at: datetime
    useful_until: datetime


def around_start(
    starts_at: datetime, zone_name: str, offset: timedelta, at: time | None, useful: timedelta | None
) -> Window:
    """For an anchor that is a moment. A reminder before the start is of no use from the start on."""
    if at is None:
        send_at = starts_at.astimezone(UTC) + offset
    else:
        send_at = instant(starts_at.astimezone(zone(zone_name)).date() + offset, at, zone_name)
    if send_at < starts_at or offset < timedelta() or (at is not None and offset == timedelta()):
        return Window(
            send_at, min(starts_at.astimezone(UTC), send_at + useful if useful else starts_at.astimezone(UTC))
        )
    return Window(send_at, send_at + (useful or DAY))


def around_date(day: date, zone_name: str, offset: timedelta, at: time | None, useful: timedelta | None) -> Window:
    """For an anchor that is a date, counted in whole days of the zone."""
    send_at = instant(day + offset, at or OFFICE_OPENS, zone_name)
    return Window(send_at, send_at + (useful or DAY))
