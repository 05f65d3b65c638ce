"""What people say about a time has one meaning, or is refused with what to write instead."""

import re
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from jobs.when import understood

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 11, 24, 9, 17, 30, 123456, tzinfo=UTC)  # a Tuesday, 10:17:30 in Berlin
EVE = datetime(2027, 3, 27, 20, 0, tzinfo=UTC)  # clocks go forward in the night


def berlin(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN)


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("in 30 minutes", timedelta(minutes=30)),
        ("30 min", timedelta(minutes=30)),
        ("In an hour", timedelta(hours=1)),
        ("in 1 hour 30 minutes", timedelta(minutes=90)),
        ("in 90 seconds", timedelta(seconds=90)),
        ("now", timedelta(0)),
        ("PT30M", timedelta(minutes=30)),
        (timedelta(minutes=5), timedelta(minutes=5)),
        ("tomorrow at 9am", berlin("2026-11-25 09:00")),
        ("9am", berlin("2026-11-25 09:00")),
        ("at 18:00", berlin("2026-11-24 18:00")),
        ("next monday at 8:30", berlin("2026-11-30 08:30")),
        ("friday", berlin("2026-11-27 00:00")),
        ("5 May", berlin("2027-05-05 00:00")),
        ("in 2 days", berlin("2026-11-26 10:17:30.123456")),
        ("2027-04-03", berlin("2027-04-03 00:00")),
        ("2027-04-03 09:30", berlin("2027-04-03 09:30")),
        ("2027-04-03T09:30+05:00", datetime(2027, 4, 3, 4, 30, tzinfo=UTC)),
        ("2027-04-03T09:30Z", datetime(2027, 4, 3, 9, 30, tzinfo=UTC)),
        ("13/04/2027 10:00", berlin("2027-04-13 10:00")),
        ("tomorrow at 9am EST", datetime(2026, 11, 25, 14, tzinfo=UTC)),
        (datetime(2027, 1, 1, 9), berlin("2027-01-01 09:00")),  # noqa: DTZ001
        (datetime(2027, 1, 1, 9, tzinfo=UTC), datetime(2027, 1, 1, 9, tzinfo=UTC)),
        (NOW - timedelta(seconds=2), NOW - timedelta(seconds=2)),
    ],
)
def test_times_are_read_as_they_are_meant(said: datetime | timedelta | str, meant: datetime | timedelta) -> None:
    assert understood(said, NOW, BERLIN) == meant


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("in 10 hours", timedelta(hours=10)),
        ("tomorrow at 9am", datetime(2027, 3, 28, 7, tzinfo=UTC)),
        ("in 1 day", datetime(2027, 3, 28, 19, tzinfo=UTC)),
    ],
)
def test_hours_are_hours_and_days_keep_the_time_of_day_when_the_clocks_change(said: str, meant: object) -> None:
    assert understood(said, EVE, BERLIN) == meant


@pytest.mark.parametrize(
    "said",
    [
        "",
        "banana",
        "soon",
        "every monday at 9",
        "31 feb 2027",
        "tomorrow at 25:00",
        "10 tomorrow",
        "may",
        "2027",
        "Pfft",
        "x" * 10_000,
    ],
)
def test_what_is_not_understood_is_refused_with_examples(said: str) -> None:
    with pytest.raises(ValueError, match=re.escape('Write for example "in 30 minutes"')) as refusal:
        understood(said, NOW, BERLIN)
    assert len(str(refusal.value)) < 300


@pytest.mark.parametrize("said", ["03/04/2027", "3.4.2027", "friday at 9", "9", "in 5"])
def test_what_may_mean_two_days_is_not_guessed(said: str) -> None:
    with pytest.raises(ValueError, match=r"may mean two days\. Write for example"):
        understood(said, NOW, BERLIN)


@pytest.mark.parametrize(
    "said", ["30 minutes ago", "yesterday", "2020-01-01", timedelta(hours=-1), NOW - timedelta(minutes=2)]
)
def test_the_past_is_refused(said: datetime | timedelta | str) -> None:
    with pytest.raises(ValueError, match=r"is in the past.*call delay\(\) to run it now"):
        understood(said, NOW, BERLIN)


@pytest.mark.parametrize("said", ["2027-03-28 02:30", "march 28 2027 at 2:30", datetime(2027, 3, 28, 2, 30)])  # noqa: DTZ001
def test_a_wall_time_that_is_left_out_is_refused(said: datetime | str) -> None:
    with pytest.raises(ValueError, match="does not exist in Europe/Berlin: clocks go forward over it"):
        understood(said, NOW, BERLIN)


def test_a_wall_time_that_comes_twice_is_refused_with_both() -> None:
    with pytest.raises(ValueError, match="happens twice in Europe/Berlin") as refusal:
        understood("2027-10-31 02:30", NOW, BERLIN)
    both = re.findall(r"2027-10-31T\S+\d", str(refusal.value))
    moments = [understood(one, NOW, BERLIN) for one in both]
    assert moments == [datetime(2027, 10, 31, 0, 30, tzinfo=UTC), datetime(2027, 10, 31, 1, 30, tzinfo=UTC)]


@pytest.mark.parametrize("said", [30, None, date(2027, 1, 1), True])
def test_what_is_no_time_is_refused(said: object) -> None:
    with pytest.raises(TypeError, match="Pass a datetime, a timedelta or a text"):
        understood(said, NOW, BERLIN)  # type: ignore[arg-type]
