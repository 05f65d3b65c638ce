"""/health: what a probe may believe, at what cost, and that it tells no names."""

from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.db.utils import ConnectionHandler
from django.test import Client
from django.utils import timezone
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from config import health
from jobs import crews, pauses, stats
from jobs.api import throttle
from jobs.api.throttle import Counter
from jobs.models import Clock, QueueWorker
from tests.factories import HOUR, MINUTE, make_job
from tests.virtual import one_moment as one_moment

pytestmark = pytest.mark.django_db
NAMES = ("secret-queue", "secret-worker", "secret.task", "secret-tenant", "secret-reason")


def ask(what: str) -> Any:
    answer: Any = Client().get(f"/health/{what}")
    assert answer["Cache-Control"].startswith("max-age=0")
    return answer


@pytest.fixture
def ticking(one_moment: None) -> None:
    """Beat has just ticked, the clock has acted on it, and a worker is there."""
    now = timezone.now()
    Clock.row()
    Clock.objects.update(ticked_at=now, ticked_by="clock")
    every, _ = IntervalSchedule.objects.get_or_create(every=1, period="seconds")
    PeriodicTask.objects.create(name="t", task=stats.TICK, interval=every, last_run_at=now)
    crews.tell("secret-worker", ["default", "messages"], 3, scalable=True, started_at=now - HOUR, memory=1000)
    crews.tell("other-worker", ["default"], 2, scalable=True, started_at=now - MINUTE, memory=500)


def test_a_process_that_answers_lives_whatever_the_database_does(django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(0):
        answer = ask("live")
    assert answer.status_code == 200 and answer.json()["live"] and answer.json()["uptime_seconds"] > 0


def test_ready_with_the_database_and_its_tables(django_assert_num_queries: Any) -> None:
    health.newest()
    with django_assert_num_queries(2):
        answer = ask("ready")
    assert (answer.status_code, answer.json()) == (200, {"ready": True, "database": True, "schema": True})


def test_not_ready_while_a_migration_is_missing() -> None:
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'jobs'")
    answer = ask("ready")
    assert (answer.status_code, answer.json()) == (503, {"ready": False, "database": True, "schema": False})


def broken(tmp_path: Path) -> Any:
    """A database that cannot be opened."""
    settings = {**connection.settings_dict, "ENGINE": "django.db.backends.sqlite3", "NAME": tmp_path / "no" / "file"}
    return ConnectionHandler({"default": settings | {"OPTIONS": {}}})["default"]


def test_not_ready_without_the_database(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(health, "connection", broken(tmp_path))
    answer = ask("ready")
    assert (answer.status_code, answer.json()) == (503, {"ready": False, "database": False, "schema": False})


def test_not_ready_on_an_empty_database(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {**connection.settings_dict, "ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:", "OPTIONS": {}}
    empty = ConnectionHandler({"default": settings})["default"]
    monkeypatch.setattr(health, "connection", empty)
    assert ask("ready").json() == {"ready": False, "database": True, "schema": False}
    empty.close()


def test_workers_are_healthy_when_one_is_here_and_somebody_ticks(ticking: None) -> None:
    make_job("running"), make_job(), make_job(due=HOUR), make_job("failed")
    answer = ask("workers")
    told = answer.json()
    assert answer.status_code == 200 and told["healthy"] and told["beat"]["alive"] and told["clock"]["alive"]
    figures = ("workers", "processes", "running", "scheduled", "failed", "memory_bytes")
    assert [told[name] for name in figures] == [2, 5, 1, 2, 1, 1500]
    assert 3600 <= told["uptime_seconds"] < 7200 and told["beat"]["age_seconds"] == 0


@pytest.mark.parametrize("accident", ["no worker", "absent", "no tick", "held"])
def test_workers_are_not_healthy_when_nothing_would_run(ticking: None, accident: str) -> None:
    old = timezone.now() - MINUTE
    if accident == "no worker":
        QueueWorker.objects.all().delete()
    if accident == "absent":
        QueueWorker.objects.update(seen_at=old)
    if accident == "no tick":
        Clock.objects.update(ticked_at=old)
        PeriodicTask.objects.update(last_run_at=old)
    if accident == "held":
        Clock.objects.update(held_since=old, held_reason="secret-reason")
    answer = ask("workers")
    assert answer.status_code == 503 and answer.json()["healthy"] is False
    assert answer.json()["beat"]["alive"] == (accident != "no tick") and "secret" not in answer.content.decode()


def test_a_worker_that_stands_in_for_beat_is_healthy_and_beat_is_said_to_be_dead(ticking: None) -> None:
    PeriodicTask.objects.update(last_run_at=timezone.now() - MINUTE)
    Clock.objects.update(ticked_by="secret-worker")
    told = ask("workers").json()
    assert told["healthy"] and not told["beat"]["alive"] and told["clock"]["alive"]


@pytest.mark.usefixtures("one_moment")
def test_queues_are_healthy_while_nothing_waits_too_long(settings: Any) -> None:
    make_job(due=-MINUTE / 2), make_job(due=HOUR), make_job("queued"), make_job("failed")
    answer = ask("queues")
    told = answer.json()
    assert answer.status_code == 200 and told["healthy"]
    assert [told[name] for name in ("scheduled", "overdue", "queued", "active", "failed")] == [2, 1, 1, 0, 1]
    settings.LATENESS_GOAL = 10
    assert ask("queues").status_code == 503


def test_what_is_paused_may_wait() -> None:
    make_job(due=-HOUR)
    assert ask("queues").status_code == 503
    pauses.pause("queue", ["default"], by="olga", reason="secret-reason")
    answer = ask("queues")
    assert answer.status_code == 200 and answer.json()["paused"] == 1 and answer.json()["overdue"] == 1


def test_health_costs_a_fixed_number_of_statements(ticking: None, django_assert_num_queries: Any) -> None:
    for _ in range(20):
        make_job(), make_job("failed"), make_job("running", queue="messages")
    limit = 1 if connection.vendor == "postgresql" else 0  # the database's time
    for what, number in (("workers", 6), ("queues", 6)):
        with django_assert_num_queries(number + limit):
            ask(what)


def test_who_has_no_key_is_told_no_names(ticking: None) -> None:
    for n in range(3):
        make_job("failed", queue="secret-queue", task="secret.task", tenant="secret-tenant", reason="secret-reason")
        make_job(queue="secret-queue", due=-n * HOUR)
    for what in ("live", "ready", "workers", "queues"):
        text = ask(what).content.decode()
        assert not [name for name in NAMES if name in text] and "clock@" not in text
        values = _leaves(ask(what).json())
        assert all(isinstance(value, bool | int | float | None) for value in values)


def _leaves(told: Any) -> list[Any]:
    return [leaf for value in told.values() for leaf in (_leaves(value) if isinstance(value, dict) else [value])]


@pytest.mark.usefixtures("one_moment")
def test_nobody_asks_without_an_end_but_probes_of_the_process_go_on(settings: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(throttle, "counter", Counter(""))
    settings.API_RATE_OF_ADDRESS = 2
    codes = [ask("queues").status_code for _ in range(2)] + [Client().get("/health/queues").status_code]
    assert codes == [200, 200, 429]
    assert {ask("live").status_code for _ in range(5)} | {ask("ready").status_code for _ in range(5)} == {200}


def test_probes_need_no_tls_and_change_nothing(settings: Any) -> None:
    settings.SECURE_SSL_REDIRECT = True
    assert ask("ready").status_code == 200
    assert Client().post("/health/ready").status_code == 405
