"""What the page of a schedule foretells: the next runs, and the times that a change of the clocks spoils."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django_celery_beat.models import ClockedSchedule, CrontabSchedule, IntervalSchedule, PeriodicTask, SolarSchedule

from jobs import forecast
from jobs.clock_changes import changes

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)


def cron(minute: str, hour: str, zone: str = "Europe/Berlin", **fields: object) -> PeriodicTask:
    crontab = CrontabSchedule.objects.create(minute=minute, hour=hour, timezone=zone)
    return PeriodicTask.objects.create(name=f"{minute} {hour}", task="probe.ok", crontab=crontab, **fields)


def test_the_next_runs_of_a_crontab_in_its_own_zone_over_the_change_of_the_clocks() -> None:
    runs = forecast.next_runs(cron("30", "9"), datetime(2027, 3, 27, 12, tzinfo=UTC), count=2)
    assert runs == [datetime(2027, 3, 28, 7, 30, tzinfo=UTC), datetime(2027, 3, 29, 7, 30, tzinfo=UTC)]


def test_half_past_two_is_left_out_in_spring_and_comes_twice_in_autumn() -> None:
    found = forecast.spoilt(cron("30", "2"), NOW)
    assert [(wall, change.twice) for wall, change in found] == [
        (datetime(2027, 3, 28, 2, 30), False),  # noqa: DTZ001  what a wall shows
        (datetime(2027, 10, 31, 2, 30), True),  # noqa: DTZ001
    ]


@pytest.mark.parametrize(
    ("minute", "hour", "zone"), [("30", "3", "Europe/Berlin"), ("*/5", "*", "Europe/Berlin"), ("30", "2", "UTC")]
)
def test_other_times_every_hour_and_zones_without_changes_are_no_matter(minute: str, hour: str, zone: str) -> None:
    assert forecast.spoilt(cron(minute, hour, zone), NOW) == []


def test_a_zone_whose_clocks_change_by_half_an_hour() -> None:
    found = list(changes(ZoneInfo("Australia/Lord_Howe"), NOW, NOW + timedelta(days=365)))
    assert [(change.twice, change.ends - change.begins) for change in found] == [
        (True, timedelta(minutes=30)),
        (False, timedelta(minutes=30)),
    ]


def test_intervals_clock_times_ends_and_what_cannot_be_told() -> None:
    hourly = IntervalSchedule.objects.create(every=1, period="hours")
    durable = PeriodicTask.objects.create(name="durable", task="probe.ok", interval=hourly)
    assert forecast.next_runs(durable, NOW, 2) == [NOW + timedelta(hours=1), NOW + timedelta(hours=2)]
    other = PeriodicTask(name="tick", task="jobs.dispatch", interval=hourly, last_run_at=NOW - timedelta(minutes=10))
    assert forecast.next_runs(other, NOW, 1) == [NOW + timedelta(minutes=50)]
    at = ClockedSchedule.objects.create(clocked_time=NOW + timedelta(days=1))
    once = PeriodicTask(name="once", task="probe.ok", clocked=at, one_off=True)
    assert forecast.next_runs(once, NOW) == [NOW + timedelta(days=1)]
    assert forecast.next_runs(once, NOW + timedelta(days=2)) == []
    ending = cron("0", "9", expires=NOW + timedelta(days=1))
    assert len(forecast.next_runs(ending, NOW)) == 1
    sun = SolarSchedule.objects.create(event="sunrise", latitude=52, longitude=13)
    with pytest.raises(ValueError, match="no fixed moments"):
        forecast.next_runs(PeriodicTask(name="sun", task="probe.ok", solar=sun), NOW)
