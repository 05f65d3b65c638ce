"""When a zone's clocks are put forward or back, and which times of day that leaves out or shows twice. Pure arithmetic.

Used by the page of a schedule. What a schedule does at such a time is `occurrences`' to say; this says that it comes.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from jobs.occurrences import Cron

STEP = timedelta(hours=6)  # nowhere do clocks change twice within it
MINUTE = timedelta(minutes=1)


@dataclass(frozen=True)
class Change:
    """The times from `begins` until before `ends`, on the wall of the zone, do not exist, or exist twice."""

    at: datetime
    begins: datetime
    ends: datetime
    twice: bool

    def walls(self) -> Iterator[datetime]:
        wall = self.begins
        while wall < self.ends:
            yield wall
            wall += MINUTE


def changes(zone: ZoneInfo, after: datetime, until: datetime) -> Iterator[Change]:
    moment = after.astimezone(UTC).replace(second=0, microsecond=0)
    while moment < until:
        if _offset(moment, zone) != _offset(moment + STEP, zone) and (found := _between(moment, zone)):
            yield found
        moment += STEP


def struck(rule: Cron, after: datetime, until: datetime) -> Iterator[tuple[datetime, Change]]:
    """The wall times of the rule that a change leaves out or doubles. A rule of every hour takes no notice."""
    if len(rule.hours) == 24:
        return
    for change in changes(rule.zone, after, until):
        yield from ((wall, change) for wall in change.walls() if _fits(rule, wall))


def _between(low: datetime, zone: ZoneInfo) -> Change | None:
    """The change within one step: where the offset becomes another, to the minute."""
    before, high = _offset(low, zone), low + STEP
    while high - low > MINUTE:
        middle = low + (high - low) // MINUTE // 2 * MINUTE
        low, high = (middle, high) if _offset(middle, zone) == before else (low, middle)
    after = _offset(high, zone)
    walls = sorted([(high + before).replace(tzinfo=None), (high + after).replace(tzinfo=None)])
    return Change(high, walls[0], walls[1], twice=after < before)


def _offset(moment: datetime, zone: ZoneInfo) -> timedelta:
    return moment.astimezone(zone).utcoffset() or timedelta()


def _fits(rule: Cron, wall: datetime) -> bool:
    return (
        wall.minute in rule.minutes
        and wall.hour in rule.hours
        and wall.isoweekday() % 7 in rule.weekdays
        and wall.day in rule.days
        and wall.month in rule.months
    )
