"""The arithmetic of time against a second implementation: `python -m tests.timing_property [--every 1]`.

The second one shares nothing with `notifications.timing` but the files of the zone database: it reads them itself,
and finds answers by trying every offset and every minute. All IANA zones, all clock changes from 2024 to 2037, cases
on both sides of each. Prints the number of cases and of failures; exit 1 if there is one.
"""

import argparse
import importlib.resources
import re
import sys
import time as clock
import zoneinfo
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice, product
from pathlib import Path
from struct import iter_unpack, unpack

from notifications import timing

FIRST, LAST = (int(datetime(year, 1, 1, tzinfo=UTC).timestamp()) for year in (2024, 2038))
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
WALL = datetime(1970, 1, 1)  # noqa: DTZ001  a wall time is a number of seconds too
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
NAME, HOURS = r"(?:[A-Za-z]+|<[^>]+>)", r"([+-]?[0-9:]+)"
DAY_OF_RULE = r"M(\d+)\.(\d)\.(\d)(?:/([+-]?[0-9:]+))?"
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)

OFFSETS = (-DAY, -HOUR, -15 * MINUTE, 2 * HOUR)
DAYS_AND_TIMES = tuple(product((-DAY, 0 * DAY, DAY), (time(0), time(0, 30), time(2), time(2, 30), time(3), time(18))))
STARTS = (-30 * HOUR, -24 * HOUR, -90 * MINUTE, -MINUTE, 0 * MINUTE, 29 * MINUTE, 3 * HOUR, 25 * HOUR)
WALL_MINUTES = tuple(range(-150, 151, 10))
NIGHTS = (
    (time(21), time(8)),
    (time(23), time(6)),
    (time(1), time(2, 30)),
    (time(2, 30), time(5)),
    (time(0), time(0, 30)),
)


# --- The second implementation -------------------------------------------------------------------------


class Clocks:
    """A zone as its file says: from which second on which offset counts."""

    def __init__(self, name: str) -> None:
        data = _file(name)
        start, size = _second_part(data), 8
        _, _, _, many, types, _ = unpack(">6l", data[start + 20 : start + 44])
        at = start + 44
        self.since = [second for (second,) in iter_unpack(">q", data[at : at + many * size])]
        which = data[at + many * size : at + many * (size + 1)]
        table = data[at + many * (size + 1) : at + many * (size + 1) + types * 6]
        offsets = [offset for offset, _, _ in iter_unpack(">lBB", table)]
        self.offsets = [offsets[0], *(offsets[index] for index in which)]
        self._go_on(data.rsplit(b"\n", 2)[-2].decode())

    def _go_on(self, rule: str) -> None:
        """What the file's last line says about the years after its last change: `CET-1CEST,M3.5.0,M10.5.0/3`."""
        found = re.fullmatch(rf"{NAME}{HOURS}{NAME}{HOURS}?,{DAY_OF_RULE},{DAY_OF_RULE}", rule)
        if not found:
            if "," in rule:
                raise SystemExit(f"a rule that is not understood here: {rule}")
            return
        winter, summer, *days = found.groups()
        standard = -_seconds(winter)
        saving = standard + 3600 if summer is None else -_seconds(summer)
        for year in range(2024, 2039):
            changes = [
                (_day_of_rule(year, days[0:3]) + _seconds(days[3] or "2") - standard, saving),
                (_day_of_rule(year, days[4:7]) + _seconds(days[7] or "2") - saving, standard),
            ]
            for second, offset in sorted(changes):
                if second > self.since[-1]:
                    self.since.append(second)
                    self.offsets.append(offset)

    def offset(self, second: int) -> int:
        return self.offsets[bisect_right(self.since, second)]

    def shown(self, second: int) -> int:
        """What the clocks show, as seconds: of the day if modulo 86400."""
        return second + self.offset(second)

    def seconds(self, wall: int) -> list[int]:
        """All the moments at which the clocks show it: none, one or two, tried one offset after the other."""
        near = {self.offset(wall + hours * 3600) for hours in range(-48, 49, 6)}
        return sorted({wall - offset for offset in near if self.shown(wall - offset) == wall})

    def moment(self, wall: int) -> int:
        """The first of them; a time that is left out comes later by what is left out."""
        if found := self.seconds(wall):
            return found[0]
        return wall - self.offset(wall - 86400)

    def changes(self) -> list[int]:
        pairs = zip(self.since, self.offsets, self.offsets[1:], strict=False)
        return [second for second, before, after in pairs if FIRST <= second < LAST and before != after]


def _file(name: str) -> bytes:
    for folder in zoneinfo.TZPATH:
        if (path := Path(folder, name)).is_file():
            return path.read_bytes()
    return importlib.resources.files("tzdata").joinpath("zoneinfo", *name.split("/")).read_bytes()


def _second_part(data: bytes) -> int:
    """Where the part with 64 bits begins: behind the one with 32."""
    isutc, isstd, leap, many, types, chars = unpack(">6l", data[20:44])
    return int(44 + many * 5 + types * 6 + chars + leap * 8 + isstd + isutc)


def _seconds(text: str) -> int:
    """`-3:30` as seconds."""
    hours, *minutes = text.lstrip("+-").split(":")
    number = int(hours) * 3600 + int(minutes[0] if minutes else 0) * 60
    return -number if text.startswith("-") else number


def _day_of_rule(year: int, month_week_day: list[str]) -> int:
    """The midnight that begins the n-th (5: last) such weekday of the month, 0 is Sunday, as seconds on the wall."""
    month, week, weekday = (int(part) for part in month_week_day)
    fitting = [
        day
        for day in (date(year, month, 1) + n * DAY for n in range(31))
        if day.month == month and day.isoweekday() % 7 == weekday
    ]
    return (fitting[min(week, len(fitting)) - 1] - date(1970, 1, 1)).days * 86400


# --- Cases -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Failure:
    zone: str
    what: str
    found: object
    expected: object

    def __str__(self) -> str:
        return f"{self.zone}: {self.what}: {self.found} instead of {self.expected}"


Case = tuple[str, object, object]  # what, found, expected


def moment(second: int) -> datetime:
    return EPOCH + timedelta(seconds=second)


def of_walls(name: str, clocks: Clocks, change: int) -> Iterator[Case]:
    for minutes in WALL_MINUTES:
        wall = clocks.shown(change - 1) + 1 + minutes * 60
        shown = WALL + timedelta(seconds=wall)
        found = clocks.seconds(wall)
        yield f"{shown}", timing.instant(shown.date(), shown.time(), name), moment(clocks.moment(wall))
        yield f"exists {shown}", timing.exists(shown.date(), shown.time(), name), bool(found)
        if len(found) == 2:
            yield f"second {shown}", timing.instant(shown.date(), shown.time(), name, 1), moment(found[1])


def of_starts(name: str, clocks: Clocks, change: int) -> Iterator[Case]:
    for ahead in STARTS:
        start = change + int(ahead.total_seconds())
        starts_at = moment(start)
        for offset in OFFSETS:
            found = timing.around_start(starts_at, name, offset, None, None).send_at
            yield f"{offset} of {starts_at}", found, moment(start + int(offset.total_seconds()))
        today = clocks.shown(start) // 86400
        for offset, at in DAYS_AND_TIMES:
            expected = clocks.moment((today + offset.days) * 86400 + at.hour * 3600 + at.minute * 60)
            window = timing.around_start(starts_at, name, offset, at, None)
            yield f"{offset.days} days, {at} of {starts_at}", window.send_at, moment(expected)
            if offset < timedelta():
                yield f"until {starts_at}", window.useful_until, starts_at


def of_dates(name: str, clocks: Clocks, change: int) -> Iterator[Case]:
    today = clocks.shown(change) // 86400
    for due, (offset, at) in product((-1, 0, 1), DAYS_AND_TIMES):
        day = date(1970, 1, 1) + timedelta(days=today + due)
        expected = clocks.moment((today + due + offset.days) * 86400 + at.hour * 3600 + at.minute * 60)
        found = timing.around_date(day, name, offset, at, None).send_at
        yield f"{offset.days} days, {at} of {day}", found, moment(expected)


def of_nights(name: str, clocks: Clocks, change: int) -> Iterator[Case]:
    """Quiet hours, found by going from minute to minute."""
    early = int(timing.EARLY.total_seconds())
    for (begins, ends), minutes in product(NIGHTS, (-400, -31, 20, 95)):
        send, until = change + minutes * 60, change + minutes * 60 + 20 * 3600

        def quiet(second: int, begins: time = begins, ends: time = ends) -> bool:
            shown = WALL.replace(hour=0) + timedelta(seconds=clocks.shown(second) % 86400)
            at = shown.time()
            return begins <= at < ends if begins <= ends else at >= begins or at < ends

        later = earlier = send
        while quiet(later):
            later += 60
        while quiet(earlier - 60):
            earlier -= 60
        window = timing.Window(moment(send), moment(until))
        for how, expected in (("later", later), ("earlier", earlier - early), ("skip", None)):
            hours = timing.Quiet(begins, ends, name, how)
            got = timing.settled(window, hours, since=LONG_AGO, key="x", tolerance=timedelta())
            if not quiet(send):
                expected = send
            elif how == "later" and (later >= until or quiet(later)):
                expected = earlier - early
            if expected is not None and expected != send and quiet(expected):
                continue  # quiet hours so close to each other that neither way leads out; not of this world
            wanted = None if expected is None else moment(expected)
            yield f"{how} of {moment(send)}, quiet {begins}-{ends}", got and got.send_at, wanted
        if quiet(send):
            over = moment(later) if later < until else None
            found = timing.out_of_quiet(
                moment(send), LONG_AGO, moment(until), timing.Quiet(begins, ends, name, "later")
            )
            yield f"late at {moment(send)}, quiet {begins}-{ends}", found, over


def places() -> Iterator[tuple[str, Clocks, int]]:
    """Every zone at every change of its clocks, and once in each year where they are left alone."""
    for name in sorted(zoneinfo.available_timezones()):
        clocks = Clocks(name)
        years = [int(datetime(year, 6, 15, tzinfo=UTC).timestamp()) for year in range(2024, 2038)]
        for change in clocks.changes() or years:
            yield name, clocks, change


def run(every: int = 1) -> tuple[int, int, list[Failure]]:
    """Places, cases and failures. `every` n-th place only."""
    seen, cases, failures = 0, 0, []
    for name, clocks, change in islice(places(), 0, None, every):
        seen += 1
        for kind in (of_walls, of_starts, of_dates, of_nights):
            for what, found, expected in kind(name, clocks, change):
                cases += 1
                if found != expected:
                    failures.append(Failure(name, what, found, expected))
    return seen, cases, failures


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--every", type=int, default=1, help="n-th clock change only")
    began = clock.monotonic()
    seen, cases, failures = run(options.parse_args().every)
    for failure in failures[:20]:
        print(failure)
    zones = len(zoneinfo.available_timezones())
    took = clock.monotonic() - began
    print(f"{zones} zones, {seen:,} clock changes, {cases:,} cases, {len(failures):,} failures, {took:.0f} s")
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
