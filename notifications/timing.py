"""When a reminder goes out: a rule's offset applied to an anchor, in the anchor's time zone.

Pure: neither database nor clock. Used by `planning`, the fence, the importers and the models' validators.

Two kinds of rule differ on the day the clocks change: "24 hours before" is elapsed time; "the day before at 18:00"
is a time on the wall. A wall time that does not exist (clocks go forward) is moved on by the gap, one that exists
twice (clocks go back) means the first.
"""

from bisect import bisect_left
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from functools import cache, lru_cache
from hashlib import sha256
from itertools import pairwise
from zoneinfo import ZoneInfo, available_timezones

DAY, SECOND = timedelta(days=1), timedelta(seconds=1)
EARLY = timedelta(minutes=15)  # before quiet hours begin: a queue that is behind must not push a message into them
PUNCTUAL = timedelta(minutes=5)  # so late is as planned
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
    moved_from: datetime | None = field(default=None, compare=False)  # when it would go, but for quiet hours


def around_start(
    starts_at: datetime,
    zone_name: str,
    offset: timedelta,
    at: time | None,
    useful: timedelta | None,
    later: timedelta = timedelta(),
) -> Window:
    """For an anchor that is a moment. A reminder before the start is of no use from the start on.

    `later` is how much later than the first of its series a repetition is.
    """
    starts_at = starts_at.astimezone(UTC)
    if at is None:
        send_at = _after(starts_at + offset, later, zone_name)
    else:
        send_at = _after(
            instant(starts_at.astimezone(zone(zone_name)).date() + offset, at, zone_name), later, zone_name
        )
    if send_at < starts_at or offset < timedelta() or (at is not None and offset == timedelta()):
        return Window(send_at, min(starts_at, send_at + useful if useful else starts_at))
    return Window(send_at, send_at + (useful or DAY))


def around_date(
    day: date,
    zone_name: str,
    offset: timedelta,
    at: time | None,
    useful: timedelta | None,
    later: timedelta = timedelta(),
) -> Window:
    """For an anchor that is a date, counted in whole days of the zone. `later` as above."""
    send_at = _after(instant(day + offset, at or OFFICE_OPENS, zone_name), later, zone_name)
    return Window(send_at, send_at + (useful or DAY))


def of_event(happened_at: datetime, starts_at: datetime, offset: timedelta, useful: timedelta | None) -> Window:
    """For what happened to a booking. The message is of no use once the booking's time has come."""
    send_at = happened_at.astimezone(UTC) + offset
    return Window(send_at, min(starts_at.astimezone(UTC), send_at + (useful or DAY)))


def _after(moment: datetime, later: timedelta, zone_name: str) -> datetime:
    """Whole days later the clocks show the same time; anything else is elapsed time."""
    if not later or later % DAY:
        return moment + later
    wall = moment.astimezone(zone(zone_name))
    return instant(wall.date() + later, wall.time(), zone_name)


# --- Tolerance and quiet hours -------------------------------------------------------------------------


@dataclass(frozen=True)
class Quiet:
    """Quiet whenever the customer's clocks show a time from `begins` to before `ends`, over midnight or not.

    `how` is what becomes of a message that would come then: earlier, later or skip.
    """

    begins: time
    ends: time
    zone_name: str
    how: str

    def covers(self, moment: datetime) -> bool:
        shown = moment.astimezone(zone(self.zone_name)).time()
        if self.begins <= self.ends:
            return self.begins <= shown < self.ends
        return shown >= self.begins or shown < self.ends

    def span(self, moment: datetime) -> tuple[datetime, datetime] | None:
        """When the quiet around a moment that it covers began, and when it is over; None: not within two days."""
        spans = _quiet_around(self, moment.astimezone(zone(self.zone_name)).date())
        return next((span for span in spans if span[0] <= moment < span[1]), None)


@lru_cache(maxsize=10_000)  # many customers of a zone sleep in the same night
def _quiet_around(quiet: Quiet, day: date) -> list[tuple[datetime, datetime]]:
    """From when to when it is quiet, two days before and after `day`.

    Between two neighbouring edges nothing changes, whatever the clocks do in those days.
    """
    days = [day + n * DAY for n in range(-2, 3)]
    name = quiet.zone_name
    edges = {instant(on, at, name, fold) for on in days for at in (quiet.begins, quiet.ends) for fold in (0, 1)}
    edges.update(clock_changes(name, min(edges), max(edges)))
    spans: list[tuple[datetime, datetime]] = []
    for edge, following in pairwise(sorted(edges)):
        if not quiet.covers(edge):
            continue
        begins = spans.pop()[0] if spans and spans[-1][1] == edge else edge
        spans.append((begins, following))
    return spans


def clock_changes(zone_name: str, start: datetime, end: datetime) -> list[datetime]:
    """When the clocks of the zone are changed in that time. Two changes within one day are taken for none or one."""
    tz, found = zone(zone_name), []

    def offset(second: int) -> timedelta | None:
        return datetime.fromtimestamp(second, tz).utcoffset()

    step = int(DAY.total_seconds())
    for low in range(int(start.timestamp()), int(end.timestamp()), step):
        seconds = range(low, low + step + 1)
        if offset(seconds[0]) != (after := offset(seconds[-1])):
            place = bisect_left(seconds, True, key=lambda second: offset(second) == after)
            found.append(datetime.fromtimestamp(seconds[place], UTC))
    return found


def settled(window: Window, quiet: Quiet | None, *, since: datetime, key: str, tolerance: timedelta) -> Window | None:
    """The window as it is planned: spread within the tolerance, beside the quiet hours. None: not to go out at all.

    The same key is always spread the same. `since` is when it was first planned: a message that would have had to
    leave before that leaves later instead.
    """
    own = _spread(window, key, tolerance)
    spread = replace(window, send_at=window.send_at + own)
    if quiet is None or not quiet.covers(spread.send_at):
        return spread
    span = quiet.span(spread.send_at)
    if span is None or quiet.how == "skip":
        return None
    earlier, later = span[0] - EARLY - tolerance + own, span[1] + own
    for at in (earlier, later) if quiet.how == "earlier" else (later, earlier):
        if since < at < window.useful_until and not quiet.covers(at):
            return replace(window, send_at=at, moved_from=spread.send_at)
    return None


def _spread(window: Window, key: str, tolerance: timedelta) -> timedelta:
    """Less than the tolerance, and than half of the time in which the message is of use."""
    room = min(tolerance, (window.useful_until - window.send_at) / 2)
    if room < SECOND:
        return timedelta()
    share = int.from_bytes(sha256(key.encode()).digest()[:4], "big") / 2**32
    return timedelta(seconds=int(share * room.total_seconds()))


def out_of_quiet(now: datetime, send_at: datetime, useful_until: datetime, quiet: Quiet | None) -> datetime | None:
    """When a message that is due may go out: `now`, or later, or not at all any more (None).

    A few minutes late it goes out as planned; after an outage it must not fall into the quiet hours.
    """
    if quiet is None or not quiet.covers(now):
        return now
    if now - send_at <= PUNCTUAL and not quiet.covers(send_at):
        return now
    span = None if quiet.how == "skip" else quiet.span(now)
    return span[1] if span and span[1] < useful_until else None
