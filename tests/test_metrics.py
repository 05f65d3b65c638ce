"""/metrics: who may read it, what it tells, what it costs, and that it names nobody."""

import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.db.utils import ConnectionHandler
from django.test import Client
from django.utils import timezone
from django_celery_beat.models import IntervalSchedule, PeriodicTask
from prometheus_client.parser import text_string_to_metric_families

from jobs import crews, pauses, stats
from jobs.models import Clock, Job
from notifications.models import Breaker, Delivery
from tests.factories import HOUR, MINUTE, alice, make_booking, make_job
from tests.virtual import one_moment as one_moment

pytestmark = pytest.mark.django_db
TOKEN = "a-token-of-more-than-twenty-letters"
Told = dict[tuple[str, tuple[tuple[str, str], ...]], float]


@pytest.fixture(autouse=True)
def _token(settings: Any) -> None:
    settings.METRICS_TOKEN = TOKEN


def ask(token: str = f"Bearer {TOKEN}", **headers: str) -> Any:
    return Client().get("/metrics", headers={"Authorization": token} | headers)


def told() -> Told:
    answer = ask()
    assert answer.status_code == 200, answer.content
    families = text_string_to_metric_families(answer.content.decode())
    return {(one.name, tuple(sorted(one.labels.items()))): one.value for family in families for one in family.samples}


def value(found: Told, name: str, **labels: str) -> float:
    return found[f"punctual_{name}", tuple(sorted(labels.items()))]


@pytest.fixture
def at_work(one_moment: None) -> None:
    """Beat and clock tick, two workers are here, messages of each kind, and pauses."""
    now = timezone.now()
    Clock.row()
    Clock.objects.update(ticked_at=now - timedelta(seconds=3), ticked_by="clock")
    every, _ = IntervalSchedule.objects.get_or_create(every=1, period="seconds")
    PeriodicTask.objects.create(name="t", task=stats.TICK, interval=every, last_run_at=now - timedelta(seconds=4))
    crews.tell("worker-one", ["default", "messages"], 3, scalable=True)
    crews.tell("worker-two", ["default"], 2, scalable=True)
    crews.desire("messages", 4, by="olga")
    pauses.pause("queue", ["messages"], by="olga")
    pauses.pause("tenant", ["acme"], by="olga")
    Breaker.objects.create(provider="smtp", state="open")
    Breaker.objects.create(provider="webhook hooks.acme.example", state="half-open")
    Breaker.objects.create(provider="webhook hooks.other.example", state="half-open")


@pytest.mark.parametrize(
    "header", ["", TOKEN, f"Basic {TOKEN}", "Bearer", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", "Bearer é"]
)
def test_who_does_not_have_the_token_is_told_nothing(header: str, django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(0):
        answer = ask(header)
    assert (answer.status_code, answer["WWW-Authenticate"]) == (401, "Bearer")
    assert "punctual_" not in answer.content.decode() and TOKEN not in answer.content.decode()


@pytest.mark.parametrize("header", ["", "Bearer ", f"Bearer {TOKEN}"])
def test_without_a_token_in_the_settings_there_is_nothing(settings: Any, header: str) -> None:
    settings.METRICS_TOKEN = ""
    assert ask(header).status_code == 404


def test_it_is_for_looking_only_and_past_the_proxy(settings: Any) -> None:
    settings.SECURE_SSL_REDIRECT = True
    answer = ask()
    assert answer.status_code == 200 and "no-store" in answer["Cache-Control"]
    assert Client().post("/metrics", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 405


def test_the_newer_format_for_who_asks_for_it() -> None:
    accept = "application/openmetrics-text;version=1.0.0,text/plain;q=0.5"
    answer = ask(Accept=accept)
    assert answer["Content-Type"].startswith("application/openmetrics-text")
    assert answer.content.decode().endswith("# EOF\n") and ask()["Content-Type"].startswith("text/plain")


def test_jobs_by_state_and_queues(at_work: None, settings: Any) -> None:
    make_job(due=-MINUTE / 2), make_job(due=-HOUR), make_job(due=HOUR), make_job(due=-MINUTE, queue="called-anything")
    make_job("queued"), make_job("running"), make_job("running"), make_job("failed"), make_job("succeeded")
    found = told()
    states = {state: value(found, "jobs", state=state) for state in ("scheduled", "queued", "running", "failed")}
    assert states == {"scheduled": 4, "queued": 1, "running": 2, "failed": 1}
    queue = {what: value(found, f"queue_{what}_jobs", queue="default") for what in ("due", "overdue", "queued")}
    assert queue == {"due": 2, "overdue": 1, "queued": 1}
    assert value(found, "queue_running_jobs", queue="default") == 2
    assert 3599 < value(found, "queue_oldest_due_age_seconds", queue="default") < 3660
    assert value(found, "queue_oldest_due_age_seconds", queue="messages") == 0
    assert value(found, "queue_due_jobs", queue="other") == 1
    assert {dict(labels).get("queue") for _, labels in found} == {None, *settings.JOBS_QUEUES, "other"}


def test_workers_pauses_ticks_and_breakers(at_work: None) -> None:
    found = told()
    assert (value(found, "workers"), value(found, "worker_processes")) == (2, 5)
    assert value(found, "queue_processes", queue="default") == 5
    assert value(found, "queue_processes_desired", queue="messages") == 4
    assert ("punctual_queue_processes_desired", (("queue", "default"),)) not in found
    paused = [value(found, "queue_paused", queue=name) for name in ("messages", "default")]
    assert paused == [1, 0] and value(found, "pauses", kind="tenant") == 1 and value(found, "pauses", kind="task") == 0
    assert 3 <= value(found, "clock_age_seconds") < 60 and 4 <= value(found, "beat_age_seconds") < 60
    assert value(found, "dispatch_held") == 0
    Clock.objects.update(held_since=timezone.now(), held_reason="secret")
    assert value(told(), "dispatch_held") == 1
    assert value(found, "breakers", provider="smtp", state="open") == 1
    assert value(found, "breakers", provider="webhook", state="half-open") == 2


@pytest.mark.usefixtures("one_moment")
def test_messages_of_today_and_how_late_they_were() -> None:
    make_booking(alice())
    now = timezone.now()
    sent, refused, doubt = Delivery.objects.order_by("pk")[:3]
    Delivery.objects.filter(pk=sent.pk).update(state="sent", send_at=now - timedelta(seconds=7), sent_at=now)
    Delivery.objects.filter(pk=refused.pk).update(state="refused", send_at=now)
    Delivery.objects.filter(pk=doubt.pk).update(state="in_doubt", send_at=now)
    found = told()
    today = {state: value(found, "deliveries_today", channel="email", state=state) for state in ("sent", "refused")}
    assert today == {"sent": 1, "refused": 1} and value(found, "deliveries_in_doubt") == 1
    late = [value(found, "lateness_today_seconds", quantile=quantile) for quantile in ("0.5", "0.95", "0.99")]
    assert late == pytest.approx([7, 7, 7], abs=0.01)


def test_before_anything_happened_it_answers_and_leaves_out_what_nobody_knows() -> None:
    found = told()
    names = {name for name, _ in found}
    assert not names & {"punctual_beat_age_seconds", "punctual_lateness_today_seconds"}
    assert value(found, "workers") == 0 and value(found, "deliveries_in_doubt") == 0


def test_the_number_of_statements_does_not_grow(at_work: None, django_assert_num_queries: Any) -> None:
    limit = 18 + (connection.vendor == "postgresql")  # the database's time
    with django_assert_num_queries(limit):
        ask()
    for n in range(30):
        make_job(tenant=f"t{n}", queue=f"queue-{n}"), make_job("failed"), make_job("running", task=f"task.{n}")
        Breaker.objects.create(provider=f"webhook {n}.example", state="closed")
    lines = len(told())
    with django_assert_num_queries(limit):
        ask()
    make_job(tenant="one-more", queue="one-more", task="one.more")
    assert len(told()) == lines  # nor do the lines


def test_it_names_nobody(at_work: None) -> None:
    job = make_job("failed", tenant="acme", task="secret.task", reason="secret reason", correlation_id="booking:17")
    make_job(queue="secret-queue", tenant="acme")
    booking = make_booking(alice())
    text = ask().content.decode()
    hidden = ("secret", "acme", "olga", "worker-", "booking", "example", str(job.pk), booking.customer.email, "Alice")
    assert not [word for word in hidden if word in text] and Job.objects.filter(tenant="acme").exists()


def test_names_and_texts_are_as_prometheus_wants_them(at_work: None) -> None:
    families = list(text_string_to_metric_families(ask().content.decode()))
    assert len(families) > 15
    for family in families:
        assert family.name.startswith("punctual_") and family.documentation.endswith("."), family.name
        assert family.type == "gauge" and not family.name.endswith(("_total", "_count", "_ms"))


def test_without_the_database_it_is_503_and_no_traceback(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    away = {**connection.settings_dict, "ENGINE": "django.db.backends.sqlite3", "NAME": tmp_path / "no" / "file"}
    broken = ConnectionHandler({"default": away | {"OPTIONS": {}}})["default"]
    for module in ("config.metrics", "jobs.bulk", "jobs.stats", "notifications.punctuality"):
        monkeypatch.setattr(f"{module}.connection", broken)
    answer = ask()
    assert (answer.status_code, answer.content.decode()) == (503, "The database does not answer.\n")


LOADED = """
import django
django.setup()
import sys
from django.test import Client
from django.conf import settings
settings.METRICS_TOKEN = "x" * 20
assert Client().get("/metrics").status_code == 401
print("prometheus_client" in sys.modules)
"""


def test_nothing_is_loaded_for_it_until_somebody_asks(tmp_path: Path) -> None:
    here = {"DJANGO_SETTINGS_MODULE": "config.settings", "DATABASE_URL": "sqlite://:memory:", "DATA_DIR": str(tmp_path)}
    command, env = [sys.executable, "-c", LOADED], os.environ | here | {"PUBLIC_URL": "http://testserver"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout == "False\n", done.stderr
