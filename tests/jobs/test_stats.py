"""The figures of the ledger: what is due, held, paused, failed and to come, by whatever clock the database has."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django_celery_beat.models import PeriodicTask
from pytest_django import DjangoAssertNumQueries

from bench.plans import explained
from bench.rows import analyze, copies
from jobs import load, pauses, stats, ticks
from jobs.bulk import database_now
from jobs.models import Clock, Job, Pause, Queue, QueueWorker
from tests.factories import DAY, HOUR, MINUTE, make_job

pytestmark = pytest.mark.django_db
SECOND = timedelta(seconds=1)


@pytest.fixture(autouse=True)
def _no_queues(db: None) -> None:
    Queue.objects.all().delete()  # a module before this one may have left some


@pytest.fixture
def now() -> datetime:
    return timezone.now()


def there(queue: str, worker: str, processes: int, *, seen: timedelta = timedelta()) -> None:
    seen_at = timezone.now() - seen
    QueueWorker.objects.create(queue=queue, worker=worker, processes=processes, scalable=True, seen_at=seen_at)


def succeeded(began: datetime, took: timedelta, **fields: Any) -> Job:
    return make_job("succeeded", token=1, started_at=began, finished_at=began + took, **fields)


def test_what_is_due_by_queue_and_since_when(now: datetime) -> None:
    oldest = make_job(due=-HOUR)
    make_job(due=-MINUTE)
    make_job(due=DAY)
    make_job("queued", due=-DAY)
    make_job(due=HOUR, queue="messages")
    found = stats.due(now)
    assert found == {"default": stats.Due(2, oldest.run_at), "messages": stats.Due(0, None)}


def test_a_crowd_is_counted_up_to_a_number(now: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stats, "MOST", 3)
    for _ in range(5):
        make_job("failed")
    assert stats.failed(now - DAY) == stats.Failed(4, 4)


def test_failed_ones_of_today_and_of_before(now: datetime) -> None:
    make_job("failed", finished_at=now - 2 * DAY)
    make_job("failed", finished_at=now)
    make_job("succeeded")
    assert stats.failed(now - HOUR) == stats.Failed(2, 1)


def test_a_queue_with_its_jobs_its_workers_and_who_paused_it(now: datetime) -> None:
    Queue.objects.create(name="default", window=7, concurrency=3)
    Queue.objects.create(name="messages")
    make_job("queued")
    make_job("running")
    make_job("running")
    there("default", "one@here", 2)
    there("messages", "one@here", 2)
    there("messages", "two@here", 3, seen=HOUR)
    pauses.pause("queue", ["messages"], by="olga", reason="provider down")
    pauses.pause("tenant", ["practice 7"], by="maria")
    Pause.objects.create(kind="queue", name="default", by="olga", until=now - MINUTE)  # over
    found = stats.traffic(now + SECOND)
    default, messages = found.lanes
    assert (default.queued, default.running, default.crew.actual, default.pause) == (1, 2, 2, None)
    assert messages.pause is not None and (messages.pause.by, messages.pause.reason) == ("olga", "provider down")
    assert [one.name for one in found.pauses] == ["practice 7"]
    assert [(one.name, one.queues, one.here) for one in found.workers] == [
        ("one@here", ["default", "messages"], True),
        ("two@here", ["messages"], False),
    ]
    assert found.processes == stats.processes() == 2  # once, though it serves two queues


def test_a_queue_that_has_jobs_and_no_row_is_there_too(now: datetime) -> None:
    make_job(queue="nobody's")
    assert [(lane.row.name, lane.due.number) for lane in stats.traffic(now).lanes] == [("nobody's", 1)]


def test_a_pulse_that_is_missing_late_held_or_there() -> None:
    assert (stats.pulse().clock_late, stats.pulse().clock) == (True, None)
    at = database_now()
    Clock.objects.update(ticked_at=at - HOUR, ticked_by=ticks.CLOCK, held_since=at, held_reason="it jumped")
    old = stats.pulse()
    assert old.clock_late and old.clock is not None and old.clock > 59 * MINUTE
    assert (old.stands_in, old.held_since, old.held_reason) == (False, at, "it jumped")
    Clock.objects.update(ticked_at=at, ticked_by="one@here")
    PeriodicTask.objects.filter(task=stats.TICK).delete()
    assert not stats.pulse().clock_late and stats.pulse().stands_in and stats.pulse().beat_late
    interval = {"name": "tick", "task": stats.TICK, "last_run_at": at}
    PeriodicTask.objects.bulk_create([PeriodicTask(**interval)])
    assert not stats.pulse().beat_late


# --- What is to come ------------------------------------------------------------------------------------


def test_the_hours_to_come_by_queue(now: datetime) -> None:
    begins = load.ahead(now, processes=1).begins
    assert begins <= now < begins + HOUR
    make_job(run_at=begins + 3 * HOUR)
    make_job(run_at=begins + 4 * HOUR - SECOND, queue="messages")
    make_job(run_at=begins + 4 * HOUR)
    make_job(run_at=begins + load.HOURS * HOUR)  # beyond
    make_job(run_at=now - SECOND)  # due already
    make_job("queued", run_at=begins + 3 * HOUR)
    found = load.ahead(now, processes=1)
    assert {n: hour.jobs for n, hour in enumerate(found.hours) if hour.jobs} == {
        3: {"default": 1, "messages": 1},
        4: {"default": 1},
    }
    assert (found.total, found.busiest and found.busiest.total) == (3, 2)


def test_a_minute_with_more_than_is_counted_says_so(now: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "COUNT", load.COUNT.replace(f"LIMIT {load.MOST}", "LIMIT 2"))
    monkeypatch.setattr(load, "MOST", 2)
    for _ in range(3):
        make_job(run_at=now + HOUR)
    found = load.ahead(now, processes=1)
    assert (found.total, found.more) == (2, True)


def test_jobs_that_shared_a_message_share_its_time(now: datetime) -> None:
    for n in range(1, 5):
        succeeded(now - HOUR, n * SECOND)
    succeeded(now - MINUTE, 2 * SECOND)
    succeeded(now - MINUTE, 8 * SECOND, queue="messages")
    assert load.pace().seconds == pytest.approx({"default": 6 / 5, "messages": 8.0})


def test_the_processes_that_keep_the_goal(now: datetime, settings: object) -> None:
    settings.LATENESS_GOAL = 60  # type: ignore[attr-defined]
    succeeded(now - HOUR, 2 * SECOND)
    found = load.ahead(now, processes=1)
    assert (found.needed, found.capacity) == (0, 1800)
    at = found.begins + 5 * HOUR
    for n in range(60):
        make_job(run_at=at + n * timedelta(milliseconds=10))
    assert load.ahead(now, processes=1).needed == 2
    settings.LATENESS_GOAL = 10  # type: ignore[attr-defined]
    assert load.ahead(now, processes=1).needed == 12


def test_without_a_measurement_nothing_is_claimed(now: datetime) -> None:
    make_job(run_at=now + HOUR)
    found = load.ahead(now, processes=1)
    assert (found.total, found.needed, found.capacity) == (1, None, None)


# --- What it costs --------------------------------------------------------------------------------------


def test_a_fixed_number_of_statements(now: datetime, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    Clock.row()
    for expected in (1, 5):  # as many for one queue as for five
        for n in range(expected):
            Queue.objects.get_or_create(name=f"q{n}")
            make_job(queue=f"q{n}", due=HOUR)
            there(f"q{n}", f"one{expected}@here", 1)
        with django_assert_num_queries(2):
            stats.pulse()
        with django_assert_num_queries(6):
            stats.traffic(now)
        with django_assert_num_queries(2):
            stats.failed(now)
        with django_assert_num_queries(2):
            load.ahead(now, processes=1)


@pytest.mark.parametrize(
    "ask", [lambda now: stats.due(now), lambda now: load.ahead(now, processes=1)], ids=["due", "ahead"]
)
def test_a_crowd_costs_what_is_counted(now: datetime, ask) -> None:
    copies(Job(task="probe.ok", queue="default", run_at=now), 20_000, seconds="864000 + i")
    copies(Job(task="probe.ok", queue="messages", run_at=now), 200, seconds="i")
    analyze()
    with explained() as plans:
        ask(now)
    assert "job_due" in {used for plan in plans for used in plan.indexes}
    for plan in plans:
        assert not plan.whole, plan.text


def test_what_is_counted_is_told_by_the_database() -> None:
    with CaptureQueriesContext(connection) as asked:
        stats.due(database_now())
    assert len(asked) <= 2
