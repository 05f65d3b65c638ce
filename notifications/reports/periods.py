"""The days, weeks and months that reports are about: from midnight to midnight by the clocks of a zone.

Pure: neither database nor clock. The promise: periods of one kind follow each other without a gap and without an
overlap, whatever the clocks do in between; a day may have 23, 24 or 25 hours.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal, get_args
from zoneinfo import ZoneInfo

Kind = Literal["day", "week", "month"]
KINDS: tuple[Kind, ...] = get_args(Kind)
DAY, HOUR = timedelta(days=1), timedelta(hours=1)


@dataclass(frozen=True)
class Period:
    kind: Kind
    first: date  # its first day
    zone: ZoneInfo

    @property
    def after(self) -> date:
        """The first day that is not in it any more."""
        if self.kind == "month":
            return _month(self.first + 31 * DAY)
        return self.first + (7 * DAY if self.kind == "week" else DAY)

    @property
    def last(self) -> date:
        return self.after - DAY

    @property
    def begins(self) -> datetime:
        return midnight(self.first, self.zone)

    @property
    def ends(self) -> datetime:
        """The first moment that is not in it any more."""
        return midnight(self.after, self.zone)

    @property
    def parts(self) -> list[datetime]:
        """When each hour of a day, or each day of a longer period, begins."""
        if self.kind != "day":
            return [midnight(self.first + n * DAY, self.zone) for n in range((self.after - self.first).days)]
        found, at = [], self.begins
        while at < self.ends:
            found.append(at)
            at += HOUR
        return found

    @property
    def previous(self) -> "Period":
        return containing(self.kind, self.first - DAY, self.zone)


def containing(kind: Kind, day: date, zone: ZoneInfo) -> Period:
    """The period with that day. Weeks begin on Monday. Raises ValueError for another kind, or a year that is none."""
    if kind not in KINDS:
        raise ValueError(f"There is no report of a {kind}. There are {', '.join(KINDS)}.")
    if not 1970 <= day.year <= 2200:
        raise ValueError(f"The year {day.year} is not between 1970 and 2200.")
    if kind == "week":
        return Period(kind, day - day.weekday() * DAY, zone)
    return Period(kind, _month(day) if kind == "month" else day, zone)


def last_whole(kind: Kind, now: datetime, zone: ZoneInfo) -> Period:
    """The latest that was over at that moment."""
    return containing(kind, now.astimezone(zone).date(), zone).previous


def midnight(day: date, zone: ZoneInfo) -> datetime:
    """When the day begins. Where the clocks leave midnight out, that is when they go forward."""
    return datetime.combine(day, time(), zone).astimezone(UTC)


def _month(day: date) -> date:
    return day.replace(day=1)
