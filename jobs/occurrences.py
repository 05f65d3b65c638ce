"""When a schedule is due: arithmetic only, neither database nor clock is touched here.

Used by `schedules`. An occurrence is the moment at which a schedule was to fire, not the one at which somebody noticed;
everybody who computes it finds the same one, however many compute it, so it can be part of a unique key.

When clocks go forward, a time they leave out moves on by the gap (02:30 runs at 03:30). When they go back, a schedule
of certain hours runs the first time only, and one of every hour runs each time, as that is every hour.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from itertools import islice
from typing import Protocol
from zoneinfo import ZoneInfo

DAY = timedelta(days=1)
EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
ON_TIME = timedelta(minutes=1)  # an occurrence noticed this soon was not missed: beat was restarted
MOST = 1_000  # occurrences that are made up for at once
FARTHEST = 366 * 8  # days to look ahead: 29 February comes back within eight years


class Missed(StrEnum):
    """What becomes of occurrences at which nobody was there."""

    SKIP = "skip"  # they are over
    ONCE = "once"  # one run makes up for all of them: the latest
    ALL = "all"  # each has its run


class Rule(Protocol):
    """A schedule as a row of moments."""

    def back(self, until: datetime, after: datetime) -> Iterator[datetime]:
        """The occurrences that are not later than `until` and later than `after`, the latest first."""

    def following(self, after: datetime) -> datetime | None:
        """The next occurrence after that moment; None if there is none."""


@dataclass(frozen=True)
class Every:
    """Every so often, counted from `start`: not from the last run, which each beat would remember differently."""

    every: timedelta
    start: datetime = EPOCH

    def back(self, until: datetime, after: datetime) -> Iterator[datetime]:
        slot = self.start + (until - self.start) // self.every * self.every
        while slot > after:
            yield slot
            slot -= self.every

    def following(self, after: datetime) -> datetime:
        return self.start + ((after - self.start) // self.every + 1) * self.every


@dataclass(frozen=True)
class Once:
    """At one moment."""

    at: datetime

    def back(self, until: datetime, after: datetime) -> Iterator[datetime]:
        if self.at <= until:  # made for a time that was past already: at once, as Celery does it
            yield self.at

    def following(self, after: datetime) -> datetime | None:
        return self.at if self.at > after else None


@dataclass(frozen=True)
class Cron:
    """At the wall times that fit all five fields, in a zone. Sunday is day 0 of the week."""

    minutes: frozenset[int]
    hours: frozenset[int]
    weekdays: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    zone: ZoneInfo

    def back(self, until: datetime, after: datetime) -> Iterator[datetime]:
        day, first = until.astimezone(self.zone).date() + DAY, after.astimezone(self.zone).date() - DAY
        latest = until + timedelta(microseconds=1)
        while day >= first:
            for slot in reversed(self._of(day)):
                if after < slot < latest:
                    latest = slot
                    yield slot
            day -= DAY

    def following(self, after: datetime) -> datetime | None:
        day = after.astimezone(self.zone).date() - DAY  # a time that moved on may have left its day
        for _ in range(FARTHEST):
            if later := [slot for slot in self._of(day) if slot > after]:
                return later[0]
            day += DAY
        return None

    def _of(self, day: date) -> list[datetime]:
        """The moments of a day, in order."""
        if day.month not in self.months or day.day not in self.days or day.isoweekday() % 7 not in self.weekdays:
            return []
        walls = [
            datetime(day.year, day.month, day.day, h, m, tzinfo=self.zone) for h in self.hours for m in self.minutes
        ]
        moments = {wall.astimezone(UTC) for wall in walls}
        if len(self.hours) == 24:
            moments |= {second.astimezone(UTC) for wall in walls if (second := self._again(wall))}
        return sorted(moments)

    def _again(self, wall: datetime) -> datetime | None:
        """The second time that the clocks show this time, if they do."""
        second = wall.replace(fold=1)
        shown = second.astimezone(UTC).astimezone(self.zone)
        return second if shown.fold and shown.replace(tzinfo=None, fold=0) == wall.replace(tzinfo=None) else None


def due(rule: Rule, after: datetime, now: datetime, missed: str, window: timedelta | None) -> list[datetime]:
    """The occurrences to run now, oldest first, when the last look was at `after`.

    `window` is how late an occurrence may be made up for; None sets no limit.
    """
    limit = ON_TIME if missed == Missed.SKIP else window
    if limit is not None:
        after = max(after, now - max(limit, ON_TIME) - timedelta(microseconds=1))
    return list(islice(rule.back(now, after), MOST if missed == Missed.ALL else 1))[::-1]
