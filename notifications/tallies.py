"""What a simulation comes to, in numbers: by day, hour, channel, rule and reason, and against another set of rules.

Filled from the fates of one customer after another; what it keeps grows with the days and the rules, not with the
customers. Used by `manage.py simulate`.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Any

from notifications.forecast import Fate

HOUR = timedelta(hours=1)
DIFFERENCES = ("added", "moved", "other_channel", "withdrawn")


@dataclass
class Tally:
    """The days from `begins` to before `ends`, by the clocks of `zone`."""

    begins: datetime
    ends: datetime
    zone: tzinfo
    going: Counter[tuple[date, str, str]] = field(default_factory=Counter)  # day, channel, rule
    staying: Counter[tuple[date, str, str]] = field(default_factory=Counter)  # day, withdrawn or skipped, reason
    hours: Counter[datetime] = field(default_factory=Counter)  # when each began, UTC

    def add(self, fates: Iterable[Fate]) -> None:
        for fate in fates:
            if not self.covers(fate.at):
                continue
            shown = fate.at.astimezone(self.zone)
            if fate.reason:
                self.staying[shown.date(), "withdrawn" if fate.withdrawn else "skipped", fate.reason] += 1
                continue
            self.going[shown.date(), fate.delivery.channel, fate.delivery.rule.name] += 1
            self.hours[shown.replace(minute=0, second=0, microsecond=0).astimezone(UTC)] += 1

    def covers(self, moment: datetime) -> bool:
        return self.begins <= moment < self.ends

    @property
    def days(self) -> list[date]:
        """All of them, also those with nothing."""
        first, last = (at.astimezone(self.zone).date() for at in (self.begins, self.ends - timedelta(microseconds=1)))
        return [first + timedelta(days=n) for n in range((last - first).days + 1)]

    @property
    def busiest(self) -> tuple[datetime, int] | None:
        """The hour with the most messages, the first of several."""
        most = max(self.hours.values(), default=0)
        return min((hour, number) for hour, number in self.hours.items() if number == most) if most else None

    def by_clock(self) -> list[tuple[int, float, int]]:
        """For each hour that the clocks show: how many a day on average, and at most."""
        shown: dict[int, list[int]] = {hour: [] for hour in range(24)}
        for at, number in self.hours.items():
            shown[at.astimezone(self.zone).hour].append(number)
        return [(hour, sum(n) / len(self.days), max(n, default=0)) for hour, n in shown.items()]

    def as_data(self) -> dict[str, Any]:
        """For JSON. Every hour of the time is there, also the empty ones."""
        days: dict[date, dict[str, Any]] = {day: {"date": day, "total": 0, "going": [], "not": []} for day in self.days}
        for (day, channel, rule), number in sorted(self.going.items()):
            days[day]["total"] += number
            days[day]["going"].append({"channel": channel, "rule": rule, "number": number})
        for (day, kind, reason), number in sorted(self.staying.items()):
            days[day]["not"].append({"kind": kind, "reason": reason, "number": number})
        begin, hours = self.begins.astimezone(self.zone).replace(minute=0, second=0, microsecond=0).astimezone(UTC), []
        while begin < self.ends:
            hours.append({"from": begin.astimezone(self.zone).isoformat(), "number": self.hours[begin]})
            begin += HOUR
        busiest = self.busiest and {
            "from": self.busiest[0].astimezone(self.zone).isoformat(),
            "number": self.busiest[1],
        }
        return {
            "total": self.going.total(),
            "not": self.staying.total(),
            "days": list(days.values()),
            "hours": hours,
            "busiest": busiest,
        }


@dataclass
class Difference:
    """What other rules change about what goes out, by rule and kind."""

    tally: Tally
    numbers: Counter[tuple[str, str]] = field(default_factory=Counter)  # rule, one of DIFFERENCES

    def add(self, now: Iterable[Fate], then: Iterable[Fate]) -> None:
        """Of one customer. What is outside of the days by both sets of rules is left out."""
        before, after = _going(now), _going(then)
        for key in before.keys() | after.keys():
            old, new = before.get(key), after.get(key)
            if any(fate is not None and self.tally.covers(fate.at) for fate in (old, new)):
                self._compare(old, new)

    def _compare(self, old: Fate | None, new: Fate | None) -> None:
        if old is None and new is not None:
            self.numbers[new.delivery.rule.name, "added"] += 1
        elif old is not None and new is None:
            self.numbers[old.delivery.rule.name, "withdrawn"] += 1
        elif old is not None and new is not None:
            if old.delivery.channel != new.delivery.channel:
                self.numbers[new.delivery.rule.name, "other_channel"] += 1
            elif old.at != new.at:
                self.numbers[new.delivery.rule.name, "moved"] += 1


def _going(fates: Iterable[Fate]) -> dict[tuple[Any, ...], Fate]:
    found = {}
    for fate in fates:
        if not fate.reason:
            one = fate.delivery
            found[one.booking_id, one.payment_id, one.rule.name, one.occurrence, one.revision] = fate
    return found


def midnight(day: date, zone: tzinfo) -> datetime:
    return datetime.combine(day, time(), zone).astimezone(UTC)
