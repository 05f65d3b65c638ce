"""Beat with durable tasks: one job for each occurrence, however many beats run and whatever they slept through."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from celery import current_app
from django.db import OperationalError
from django_celery_beat.models import ClockedSchedule, CrontabSchedule, IntervalSchedule, PeriodicTask

from jobs import ledger, pruner
from jobs.models import Job, SchedulePolicy
from jobs.schedules import Scheduler
from tests.factories import DAY, HOUR, MINUTE

pytestmark = pytest.mark.django_db


class World:
    """The time, as beats see it."""

    def __init__(self, traveller: time_machine.Traveller) -> None:
        self.traveller = traveller

    def at(self, text: str) -> None:
        self.traveller.move_to(datetime.fromisoformat(text).replace(tzinfo=UTC))

    def pass_by(self, until: str, *beats: Scheduler, step: timedelta = 10 * MINUTE) -> None:
        """Time passes while these beats take turns."""
        turn = 0
        while datetime.now(UTC) < datetime.fromisoformat(until).replace(tzinfo=UTC):
            self.traveller.shift(step)
            look(beats[turn % len(beats)])
            turn += 1


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    # A beat drops its connections now and then; here that would be the test's transaction.
    monkeypatch.setattr("django_celery_beat.schedulers.close_old_connections", lambda: None)
    with time_machine.travel(datetime(2027, 6, 1, 9, 5, tzinfo=UTC), tick=False) as traveller:
        yield World(traveller)


def beat() -> Scheduler:
    """A beat that has just started; `lazy` leaves out the application's own schedules."""
    started = Scheduler(app=current_app._get_current_object(), lazy=True)  # type: ignore[attr-defined]
    look(started)
    return started


def look(scheduler: Scheduler) -> None:
    for _ in range(50):
        if scheduler.tick() != 0:
            return
    raise AssertionError("it never comes to rest")


def hourly(**fields: Any) -> PeriodicTask:
    return crontab(minute="0", **fields)


def crontab(minute: str = "30", hour: str = "*", zone: str = "Europe/Berlin", **fields: Any) -> PeriodicTask:
    schedule = CrontabSchedule.objects.create(minute=minute, hour=hour, timezone=zone)
    return PeriodicTask.objects.create(**{"name": "report", "task": "probe.ok", "crontab": schedule} | fields)


def occurrences() -> list[str]:
    return [at.strftime("%d %H:%M") for at in Job.objects.order_by("run_at").values_list("run_at", flat=True)]


def policy(task: PeriodicTask, missed: str, window: timedelta | None = None) -> None:
    SchedulePolicy.objects.create(schedule=task, missed=missed, window=window)


def test_an_occurrence_is_a_job_with_its_moment_its_key_and_its_options(world: World) -> None:
    hourly(args="[7]", kwargs='{"note": "hi"}', queue="messages", expire_seconds=600)
    scheduler = beat()
    world.pass_by("2027-06-01T10:10", scheduler)
    job = Job.objects.get()
    assert (job.args, job.kwargs, job.queue) == ([7], {"note": "hi"}, "messages")
    assert job.run_at == datetime(2027, 6, 1, 10, tzinfo=UTC)
    assert job.unique_key == "report@2027-06-01T10:00:00+00:00"
    assert job.options["headers"] == {"periodic_task_name": "report"}
    assert job.useful_until
    assert PeriodicTask.objects.get().total_run_count == 1


@pytest.mark.parametrize("many", [2, 5])
def test_an_occurrence_is_one_job_however_many_beats_run(world: World, many: int) -> None:
    hourly()
    beats = [beat() for _ in range(many)]
    for hour in (10, 11, 12):
        world.at(f"2027-06-01T{hour}:00:01")
        for each in beats:
            look(each)
    assert occurrences() == ["01 10:00", "01 11:00", "01 12:00"]


@pytest.fixture
def _deaf(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever looks has read the schedules before the others noted what they did."""
    monkeypatch.setattr(Scheduler, "schedule_changed", lambda self: False)
    monkeypatch.setattr("django_celery_beat.schedulers.SCHEDULE_SYNC_MAX_INTERVAL", 10**9)


@pytest.mark.usefixtures("_deaf")
def test_beats_that_hear_nothing_of_each_other_make_one_job_each_time(world: World) -> None:
    hourly()
    beats = [beat(), beat()]
    for hour in (10, 11, 12):
        world.at(f"2027-06-01T{hour}:00:01")
        for each in beats:
            look(each)
    assert occurrences() == ["01 10:00", "01 11:00", "01 12:00"]


def test_beats_that_take_turns_leave_nothing_out(world: World) -> None:
    hourly()
    world.pass_by("2027-06-01T15:10", beat(), beat(), beat(), step=7 * MINUTE)
    assert occurrences() == [f"01 {hour}:00" for hour in range(10, 16)]


@pytest.mark.parametrize(
    ("begin", "end", "hour", "expected"),
    [
        ("2027-03-27T00:05", "2027-03-29T12:00", "2", ["27 01:30", "28 01:30", "29 00:30"]),
        ("2027-10-30T00:05", "2027-11-01T12:00", "2", ["30 00:30", "31 00:30", "01 01:30"]),
        ("2027-03-27T23:05", "2027-03-28T03:05", "*", ["27 23:30", "28 00:30", "28 01:30", "28 02:30"]),
        ("2027-10-30T23:05", "2027-10-31T03:05", "*", ["30 23:30", "31 00:30", "31 01:30", "31 02:30"]),
    ],
    ids=["02:30 in spring", "02:30 in autumn", "hourly in spring", "hourly in autumn"],
)
def test_schedules_keep_their_hours_when_berlin_changes_its_clocks(
    world: World, begin: str, end: str, hour: str, expected: list[str]
) -> None:
    world.at(begin)
    crontab(minute="30", hour=hour)
    world.pass_by(end, beat(), beat())
    assert occurrences() == expected


@pytest.mark.parametrize(
    ("missed", "window", "expected"),
    [
        (None, None, ["01 13:00"]),
        ("skip", None, []),
        ("once", None, ["01 13:00"]),
        ("all", None, ["01 10:00", "01 11:00", "01 12:00", "01 13:00"]),
        ("all", 100 * MINUTE, ["01 12:00", "01 13:00"]),
    ],
)
def test_after_a_downtime_the_policy_decides(
    world: World, missed: str | None, window: timedelta | None, expected: list[str]
) -> None:
    task = hourly(last_run_at=datetime(2027, 6, 1, 9, 0, 1, tzinfo=UTC))
    if missed:
        policy(task, missed, window)
    world.at("2027-06-01T13:20")
    beat()
    assert occurrences() == expected
    assert PeriodicTask.objects.get().total_run_count == (1 if expected else 0)
    world.pass_by("2027-06-01T14:05", beat())
    assert occurrences() == [*expected, "01 14:00"]  # and then it goes on as ever


def test_a_missed_run_of_another_hour_of_the_day_is_made_up_for(world: World) -> None:
    crontab(minute="0", hour="3", zone="UTC", last_run_at=datetime(2027, 5, 31, 3, 0, 1, tzinfo=UTC))
    world.at("2027-06-01T15:00")
    beat()
    assert occurrences() == ["01 03:00"]


def test_intervals_are_counted_from_a_fixed_moment_and_not_from_the_last_run(world: World) -> None:
    schedule = IntervalSchedule.objects.create(every=20, period="minutes")
    PeriodicTask.objects.create(name="poll", task="probe.ok", interval=schedule)
    world.pass_by("2027-06-01T10:15", beat(), beat(), step=3 * MINUTE)
    assert occurrences() == ["01 09:20", "01 09:40", "01 10:00"]


def test_nothing_runs_before_the_start_and_intervals_count_from_it(world: World) -> None:
    schedule = IntervalSchedule.objects.create(every=1, period="hours")
    start = datetime(2027, 6, 1, 10, 15, tzinfo=UTC)
    task = PeriodicTask.objects.create(name="poll", task="probe.ok", interval=schedule, start_time=start)
    policy(task, "all")
    world.pass_by("2027-06-01T12:20", beat(), step=5 * MINUTE)
    assert occurrences() == ["01 10:15", "01 11:15", "01 12:15"]


def test_a_clock_time_is_one_job_by_two_beats(world: World) -> None:
    schedule = ClockedSchedule.objects.create(clocked_time=datetime(2027, 6, 1, 9, 30, tzinfo=UTC))
    PeriodicTask.objects.create(name="launch", task="probe.ok", clocked=schedule, one_off=True)
    first, second = beat(), beat()
    world.at("2027-06-01T09:30:01")
    look(first)
    look(second)
    world.pass_by("2027-06-01T10:30", first, second)
    assert occurrences() == ["01 09:30"]


def test_a_beat_that_was_killed_between_the_job_and_its_note_makes_no_second_job(world: World) -> None:
    task = hourly(last_run_at=datetime(2027, 6, 1, 9, 0, 1, tzinfo=UTC))
    world.at("2027-06-01T10:00:01")
    beat()
    PeriodicTask.objects.filter(pk=task.pk).update(last_run_at=task.last_run_at)
    beat()
    assert occurrences() == ["01 10:00"]


@pytest.mark.usefixtures("_deaf")
def test_a_beat_that_wakes_after_the_job_was_deleted_makes_no_second_job(world: World) -> None:
    hourly()
    sleeper, other = beat(), beat()
    world.at("2027-06-01T10:00:01")
    look(other)
    Job.objects.update(state="succeeded", finished_at=datetime(2020, 1, 1, tzinfo=UTC))
    assert pruner.prune() == {"succeeded": 1}
    look(sleeper)
    assert not Job.objects.exists()


def test_what_the_database_did_not_take_is_tried_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    task = hourly()
    policy(task, "all")
    scheduler = beat()
    with monkeypatch.context() as broken:

        def down(*_: object) -> None:
            raise OperationalError("the database system is shutting down")

        broken.setattr(ledger, "enqueue_many", down)
        for hour in (10, 11):
            world.at(f"2027-06-01T{hour}:00:01")
            assert any(scheduler.tick() == 1.0 for _ in range(3))
    assert occurrences() == []
    look(scheduler)
    assert occurrences() == ["01 10:00", "01 11:00"]
    assert PeriodicTask.objects.get().total_run_count == 1


def test_a_call_that_cannot_be_stored_at_all_does_not_stop_the_others(world: World) -> None:
    hourly(args="[1, 2, 3, 4]")
    hourly(name="other")
    world.pass_by("2027-06-01T10:05", beat())
    assert [job.unique_key for job in Job.objects.all()] == ["other@2027-06-01T10:00:00+00:00"]


def test_tasks_of_plain_celery_are_fired_as_ever(world: World, worker: Any) -> None:
    hourly(task="jobs.rescue", queue="clock")
    world.pass_by("2027-06-01T10:05", beat())
    (message,) = worker.messages()
    assert message.headers["task"] == "jobs.rescue"
    assert not Job.objects.exists()


def test_the_applications_own_schedules_can_be_read(world: World) -> None:
    scheduler = Scheduler(app=current_app._get_current_object())  # type: ignore[attr-defined]
    assert {"jobs: dispatch what is due", "jobs: delete what has been over for long"} <= set(scheduler.schedule)


def test_far_ahead_nothing_is_due(world: World) -> None:
    crontab(hour="2")
    scheduler = beat()
    assert 0 < scheduler.tick() <= 5
    world.traveller.shift(HOUR)
    look(scheduler)
    assert occurrences() == []
    world.traveller.shift(DAY)
    look(scheduler)
    assert occurrences() == ["02 00:30"]
