"""The moments of schedules: over the changes of clocks, at the ends of months, after downtimes."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, strategies as st

from jobs.occurrences import EPOCH, MOST, Cron, Every, Once, Rule, due
from tests.factories import DAY, HOUR, MINUTE

BERLIN = ZoneInfo("Europe/Berlin")
ALL_HOURS = range(24)


def cron(hours: object = ALL_HOURS, minutes: object = (30,), zone: ZoneInfo = BERLIN, **fields: object) -> Cron:
    usual = {"weekdays": range(7), "days": range(1, 32), "months": range(1, 13)} | fields
    sets = {name: frozenset(value) for name, value in usual.items()}  # type: ignore[call-overload]
    return Cron(minutes=frozenset(minutes), hours=frozenset(hours), zone=zone, **sets)  # type: ignore[call-overload]


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def between(rule: Rule, after: datetime, until: datetime) -> list[str]:
    return [slot.isoformat(" ", "minutes")[:16] for slot in reversed(list(rule.back(until, after)))]


# Berlin goes forward on 2027-03-28 at 02:00 (01:00 UTC) and back on 2027-10-31 at 03:00 (01:00 UTC).


def test_a_time_that_the_clocks_leave_out_moves_on_by_the_gap() -> None:
    found = between(cron(hours=[2]), utc("2027-03-26 12:00"), utc("2027-03-29 12:00"))
    assert found == ["2027-03-27 01:30", "2027-03-28 01:30", "2027-03-29 00:30"]  # 02:30, 03:30 and 02:30 in Berlin


def test_a_time_that_the_clocks_show_twice_runs_the_first_time() -> None:
    found = between(cron(hours=[2]), utc("2027-10-29 12:00"), utc("2027-11-01 12:00"))
    assert found == ["2027-10-30 00:30", "2027-10-31 00:30", "2027-11-01 01:30"]


@pytest.mark.parametrize("day", ["2027-03-28", "2027-10-31"])
def test_every_hour_is_every_hour_whatever_the_clocks_do(day: str) -> None:
    found = between(cron(), utc(f"{day} 00:00") - 4 * HOUR, utc(f"{day} 06:00"))
    start = utc(f"{day} 00:30") - 4 * HOUR
    assert found == [(start + n * HOUR).isoformat(" ", "minutes")[:16] for n in range(10)]


def test_two_schedules_that_meet_in_the_gap_are_one_occurrence() -> None:
    found = between(cron(hours=[2, 3]), utc("2027-03-28 00:00"), utc("2027-03-28 12:00"))
    assert found == ["2027-03-28 01:30"]


def test_a_half_hour_of_lord_howe_is_no_stumbling_block() -> None:
    zone = ZoneInfo("Australia/Lord_Howe")  # back by 30 minutes on 2027-04-04 at 02:00
    found = between(cron(minutes=[45], zone=zone), utc("2027-04-03 12:00"), utc("2027-04-03 18:00"))
    assert len(found) == len(set(found))
    assert "2027-04-03 14:45" in found and "2027-04-03 15:15" in found  # 01:45, twice


@pytest.mark.parametrize(
    ("rule", "after", "following"),
    [
        (cron(hours=[9], minutes=[0], days=[31]), "2027-02-01 00:00", "2027-03-31 07:00"),
        (cron(hours=[9], minutes=[0], days=[29], months=[2]), "2027-02-01 00:00", "2028-02-29 08:00"),
        (cron(hours=[9], minutes=[0], weekdays=[0]), "2027-03-27 12:00", "2027-03-28 07:00"),  # a Sunday
        (cron(hours=[0], minutes=[0]), "2027-12-31 22:59", "2027-12-31 23:00"),
        (Every(timedelta(minutes=5)), "2027-01-01 10:03", "2027-01-01 10:05"),
        (Every(timedelta(minutes=5)), "2027-01-01 10:05", "2027-01-01 10:10"),
        (Every(DAY, utc("2027-01-01 15:00")), "2027-01-02 15:00", "2027-01-03 15:00"),
        (Once(utc("2027-01-01 15:00")), "2027-01-01 14:00", "2027-01-01 15:00"),
    ],
)
def test_the_next_occurrence(rule: Rule, after: str, following: str) -> None:
    assert rule.following(utc(after)) == utc(following)


def test_a_schedule_that_never_fits_has_no_next() -> None:
    assert cron(days=[30], months=[2]).following(utc("2027-01-01 00:00")) is None
    assert Once(utc("2027-01-01 15:00")).following(utc("2027-01-01 15:00")) is None


RULES: list[Rule] = [cron(), cron(hours=[2]), cron(minutes=[0, 20, 40]), Every(7 * MINUTE), Every(DAY, EPOCH + HOUR)]


@pytest.mark.parametrize("rule", RULES)
@given(
    start=st.datetimes(datetime(2027, 1, 1), datetime(2027, 12, 31)),  # noqa: DTZ001
    cuts=st.lists(st.integers(0, 4_000), min_size=1, max_size=6),
)
def test_however_the_time_is_cut_each_occurrence_is_found_once(rule: Rule, start: datetime, cuts: list[int]) -> None:
    begin = start.replace(tzinfo=UTC)
    looks = [begin + timedelta(minutes=cut) for cut in sorted(cuts)]
    found = []
    for after, now in zip([begin, *looks], looks, strict=False):
        found += due(rule, after, now, "all", None)
    assert found == list(rule.back(looks[-1], begin))[::-1]
    assert all(rule.following(slot - timedelta(seconds=1)) == slot for slot in found)


# --- What was missed -----------------------------------------------------------------------------------

HOURLY, NOON = cron(minutes=[0]), utc("2027-06-01 12:10")


@pytest.mark.parametrize(
    ("missed", "window", "hours"),
    [
        ("skip", None, []),
        ("once", None, [12]),
        ("once", 5 * MINUTE, []),
        ("once", HOUR, [12]),
        ("all", None, [10, 11, 12]),
        ("all", 90 * MINUTE, [11, 12]),
        ("all", 70 * MINUTE, [11, 12]),  # eleven o'clock is exactly as late as may be
    ],
)
def test_what_was_missed_is_made_up_for_by_the_policy(missed: str, window: timedelta | None, hours: list[int]) -> None:
    assert [slot.hour for slot in due(HOURLY, NOON - 3 * HOUR, NOON, missed, window)] == hours


@pytest.mark.parametrize("missed", ["skip", "once", "all"])
def test_an_occurrence_that_is_noticed_at_once_runs_by_every_policy(missed: str) -> None:
    now = utc("2027-06-01 12:00") + timedelta(seconds=50)
    assert due(HOURLY, now - 2 * MINUTE, now, missed, timedelta()) == [utc("2027-06-01 12:00")]


def test_a_year_of_minutes_is_not_made_up_for_at_once() -> None:
    found = due(Every(MINUTE), NOON - 365 * DAY, NOON, "all", None)
    assert len(found) == MOST and found[-1] == NOON
