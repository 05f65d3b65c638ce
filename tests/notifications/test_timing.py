"""The arithmetic of time, on ordinary days and on the days the clocks change."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given, strategies as st

from notifications import timing

DAY, HOUR, QUARTER = timedelta(days=1), timedelta(hours=1), timedelta(minutes=15)
BERLIN = "Europe/Berlin"


def start(text: str) -> datetime:
    return datetime.fromisoformat(text)


@pytest.mark.parametrize(
    ("starts_at", "offset", "at", "sends_at"),
    [
        ("2027-03-20T10:00+01:00", -DAY, None, "2027-03-19T10:00+01:00"),
        ("2027-03-20T10:00+01:00", -HOUR, None, "2027-03-20T09:00+01:00"),
        ("2027-03-20T10:00+01:00", -QUARTER, None, "2027-03-20T09:45+01:00"),
        # 24 hours before is elapsed time: over the gap an hour earlier on the wall, over the fold an hour later
        ("2027-03-28T10:00+02:00", -DAY, None, "2027-03-27T09:00+01:00"),
        ("2027-10-31T10:00+01:00", -DAY, None, "2027-10-30T11:00+02:00"),
        # "the day before at 18:00" is a time on the wall
        ("2027-03-28T10:00+02:00", -DAY, time(18), "2027-03-27T18:00+01:00"),
        ("2027-10-31T10:00+01:00", -DAY, time(18), "2027-10-30T18:00+02:00"),
        # 02:30 does not exist on the 28th (moved on by the gap) and exists twice on the 31st (the first)
        ("2027-03-28T10:00+02:00", timedelta(), time(2, 30), "2027-03-28T03:30+02:00"),
        ("2027-10-31T10:00+01:00", timedelta(), time(2, 30), "2027-10-31T02:30+02:00"),
        ("2028-02-29T10:00+01:00", -DAY, time(18), "2028-02-28T18:00+01:00"),
        ("2028-03-01T10:00+01:00", -DAY, time(18), "2028-02-29T18:00+01:00"),
    ],
)
def test_when_a_booking_reminder_goes_out(starts_at, offset, at, sends_at) -> None:
    assert timing.around_start(start(starts_at), BERLIN, offset, at, None).send_at == start(sends_at)


def test_a_reminder_is_of_no_use_from_the_start_on() -> None:
    starts_at = start("2027-03-20T10:00+01:00")
    assert timing.around_start(starts_at, BERLIN, -DAY, None, None).useful_until == starts_at
    assert timing.around_start(starts_at, BERLIN, -QUARTER, None, HOUR).useful_until == starts_at
    assert timing.around_start(starts_at, BERLIN, -DAY, None, HOUR).useful_until == starts_at - DAY + HOUR


def test_a_message_after_the_start_is_useful_for_a_day() -> None:
    window = timing.around_start(start("2027-03-20T10:00+01:00"), BERLIN, HOUR, None, None)
    assert window.useful_until - window.send_at == DAY


@pytest.mark.parametrize(
    ("zone", "days", "sends_at"),
    [
        (BERLIN, -3, "2027-03-25T09:00+01:00"),
        (BERLIN, 0, "2027-03-28T09:00+02:00"),
        ("America/New_York", 0, "2027-03-28T09:00-04:00"),
        ("Asia/Kathmandu", 1, "2027-03-29T09:00+05:45"),
        ("Australia/Lord_Howe", 7, "2027-04-04T09:00+10:30"),  # its summer time is half an hour, and ends this day
        ("Pacific/Kiritimati", 0, "2027-03-28T09:00+14:00"),
    ],
)
def test_a_due_date_is_a_local_date(zone, days, sends_at) -> None:
    window = timing.around_date(date(2027, 3, 28), zone, days * DAY, None, None)
    assert window.send_at == start(sends_at)
    assert window.send_at.astimezone(ZoneInfo(zone)).time() == time(9)


def test_a_wall_time_in_the_gap_does_not_exist() -> None:
    assert not timing.exists(date(2027, 3, 28), time(2, 30), BERLIN)
    assert timing.exists(date(2027, 3, 28), time(3, 30), BERLIN)
    assert timing.exists(date(2027, 10, 31), time(2, 30), BERLIN)


def test_an_unknown_zone_and_a_naive_time_are_refused() -> None:
    with pytest.raises(ValueError, match="Use an IANA name"):
        timing.zone("Mars/Olympus")
    with pytest.raises(ValueError, match="names no time zone"):
        timing.aware(datetime(2027, 1, 1), "starts_at")  # noqa: DTZ001


@given(st.sampled_from(sorted(available_timezones())), st.dates(date(2024, 1, 1), date(2037, 12, 31)), st.times())
def test_a_wall_time_that_exists_is_what_the_clocks_show(zone: str, day: date, at: time) -> None:
    moment = timing.instant(day, at, zone)
    shown = moment.astimezone(ZoneInfo(zone))
    assert moment.tzinfo is UTC
    if timing.exists(day, at, zone):
        assert (shown.date(), shown.time().replace(fold=0)) == (day, at.replace(fold=0))
    else:
        assert shown.replace(tzinfo=None, fold=0) > datetime.combine(day, at.replace(fold=0))
