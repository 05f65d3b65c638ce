"""Days, weeks and months by the clocks of a zone."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, strategies as st

from notifications.reports import periods
from notifications.reports.periods import KINDS, Kind, containing

HOUR = timedelta(hours=1)
BERLIN = ZoneInfo("Europe/Berlin")
ZONES = (
    "Europe/Berlin",
    "America/New_York",
    "America/Havana",  # back at one o'clock, so that midnight comes twice
    "America/Santiago",  # forward at midnight
    "Asia/Beirut",
    "Australia/Lord_Howe",  # by half an hour
    "Pacific/Apia",  # had no 30 December 2011
    "Asia/Kathmandu",
    "UTC",
)


@pytest.mark.parametrize(
    ("kind", "day", "first", "last"),
    [
        ("day", date(2025, 11, 3), date(2025, 11, 3), date(2025, 11, 3)),
        ("week", date(2025, 11, 9), date(2025, 11, 3), date(2025, 11, 9)),
        ("week", date(2026, 1, 1), date(2025, 12, 29), date(2026, 1, 4)),  # week 1 of 2026 begins in 2025
        ("week", date(2021, 1, 3), date(2020, 12, 28), date(2021, 1, 3)),  # week 53 of 2020 ends in 2021
        ("month", date(2025, 12, 31), date(2025, 12, 1), date(2025, 12, 31)),
        ("month", date(2024, 2, 29), date(2024, 2, 1), date(2024, 2, 29)),
        ("month", date(2025, 2, 1), date(2025, 2, 1), date(2025, 2, 28)),
    ],
)
def test_the_period_with_a_day(kind: Kind, day: date, first: date, last: date) -> None:
    found = containing(kind, day, BERLIN)
    assert (found.first, found.last) == (first, last)


def test_the_year_ends_at_midnight_where_one_is() -> None:
    found = containing("month", date(2025, 12, 31), ZoneInfo("Asia/Tokyo"))
    assert found.begins == datetime(2025, 11, 30, 15, tzinfo=UTC)
    assert found.ends == datetime(2025, 12, 31, 15, tzinfo=UTC)


@pytest.mark.parametrize(("day", "hours"), [(date(2025, 3, 30), 23), (date(2025, 10, 26), 25), (date(2025, 7, 1), 24)])
def test_a_day_has_as_many_parts_as_hours(day: date, hours: int) -> None:
    found = containing("day", day, BERLIN)
    assert found.ends - found.begins == hours * HOUR
    assert len(found.parts) == hours
    assert found.parts[0] == found.begins and found.parts[-1] == found.ends - HOUR


def test_the_parts_of_longer_ones_are_days() -> None:
    week = containing("week", date(2025, 10, 26), BERLIN)
    spans = [after - before for before, after in zip(week.parts, [*week.parts[1:], week.ends], strict=True)]
    assert spans == [24 * HOUR] * 6 + [25 * HOUR]
    assert len(containing("month", date(2024, 2, 1), BERLIN).parts) == 29


def test_where_midnight_is_left_out_the_day_begins_when_the_clocks_go_forward() -> None:
    found = containing("day", date(2025, 9, 7), ZoneInfo("America/Santiago"))
    assert found.begins == datetime(2025, 9, 7, 4, tzinfo=UTC)
    assert found.begins.astimezone(found.zone).hour == 1
    assert len(found.parts) == 23


def test_a_day_that_was_left_out_is_empty() -> None:
    found = containing("day", date(2011, 12, 30), ZoneInfo("Pacific/Apia"))
    assert found.begins == found.ends and found.parts == []


@given(
    kind=st.sampled_from(KINDS),
    day=st.dates(date(1971, 1, 1), date(2199, 12, 31)),
    zone=st.sampled_from(ZONES),
)
def test_periods_follow_each_other_without_gap_or_overlap(kind: Kind, day: date, zone: str) -> None:
    found = containing(kind, day, ZoneInfo(zone))
    assert found.first <= day <= found.last
    assert found.previous.ends == found.begins
    assert containing(kind, found.after, found.zone).begins == found.ends
    assert found.parts == sorted(found.parts)
    assert all(found.begins <= one < found.ends or found.begins == found.ends for one in found.parts)


@given(seconds=st.integers(0, 4_000_000_000), zone=st.sampled_from(ZONES))
def test_the_last_whole_one_was_over_and_the_next_was_not(seconds: int, zone: str) -> None:
    now = datetime.fromtimestamp(seconds + 86400 * 366, UTC)
    for kind in KINDS:
        found = periods.last_whole(kind, now, ZoneInfo(zone))
        following = containing(kind, found.after, found.zone)
        assert found.ends <= now < following.ends


def test_what_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="no report of a year"):
        containing("year", date(2025, 1, 1), BERLIN)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="The year 2201"):
        containing("day", date(2201, 1, 1), BERLIN)
