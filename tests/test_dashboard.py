"""The admin's first page: its figures in words, who sees which, and what it asks of the database."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone, translation
from django_celery_beat.models import PeriodicTask

from config.dashboard.figures import many, span
from jobs import pauses, stats
from jobs.models import Clock, Queue, QueueWorker
from notifications.models import Breaker, Delivery
from tests.factories import DAY, HOUR, MINUTE, alice, make_booking, make_job
from tests.virtual import one_moment as one_moment

pytestmark = pytest.mark.django_db
INDEX, NOW, AHEAD = reverse("admin:index"), reverse("dashboard_now"), reverse("dashboard_ahead")
STATEMENTS = 20  # of the parts of the page, for whoever sees all of them


def client_of(*views: str) -> Client:
    user = User.objects.create_user(f"somebody {User.objects.count()}", is_staff=True)
    for view in views:
        app, model = view.split(".")
        user.user_permissions.add(Permission.objects.get(content_type__app_label=app, codename=f"view_{model}"))
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def root(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("root"))
    return client


@pytest.fixture
def scene(one_moment: None) -> None:
    """Something of everything."""
    now = timezone.now()
    Queue.objects.all().delete()  # a module before this one may have left some
    Queue.objects.create(name="default", window=7)
    for _ in range(3):
        make_job(due=-2 * HOUR)
    make_job("failed")
    make_job("succeeded", token=1, started_at=now - timedelta(seconds=2), finished_at=now)
    make_job(due=5 * HOUR)
    pauses.pause("queue", ["default"], by="olga", reason="moving house")
    pauses.pause("tenant", ["practice 7"], by="olga")
    QueueWorker.objects.create(queue="default", worker="one@here", processes=3, scalable=True, seen_at=now)
    QueueWorker.objects.create(queue="default", worker="two@here", processes=1, scalable=True, seen_at=now - HOUR)
    Breaker.objects.create(provider="smtp.example.com", state="open", failures=5, opened_at=now)
    doubt, sent = make_booking(alice()).deliveries.all()[:2]
    midnight = timezone.localtime(now).replace(hour=0, minute=0, second=0, microsecond=0)
    Delivery.objects.filter(pk=sent.pk).update(state="sent", send_at=midnight, sent_at=midnight + 3 * MINUTE)
    Delivery.objects.filter(pk=doubt.pk).update(state="in_doubt", send_at=midnight)
    Clock.row()
    Clock.objects.update(ticked_at=now - HOUR, ticked_by="clock", held_since=now, held_reason="the clock jumped")
    PeriodicTask.objects.bulk_create([PeriodicTask(name="tick", task=stats.TICK, last_run_at=now)])


def figures(answer: Any) -> dict[str, Any]:
    part = answer.context["now"] if "now" in answer.context else answer.context["ahead"]
    return {figure.name: figure for figure in part["figures"]}


def test_it_says_what_is_the_matter(root: Client, scene: None) -> None:
    found = figures(root.get(INDEX))
    assert (found["Due now"].value, found["Due now"].note, found["Due now"].word) == (
        "3",
        "the oldest for 2 h 0 min",
        "late",
    )
    assert (found["Failed jobs"].value, found["Failed jobs"].note) == ("1", "1 of them today")
    assert (found["In doubt"].value, found["In doubt"].tone) == ("1", "warning")
    lateness = found["Lateness today, 95%"]
    assert (lateness.value, lateness.word) == ("3 min", "over the goal of 60 s")
    assert (found["Clock"].word, found["Clock"].tone, found["Clock"].value) == (
        "nothing is sent",
        "danger",
        "1 h 0 min ago",
    )
    assert (found["Beat"].word, found["Beat"].tone) == ("ticks", "success")
    assert (found["Held"].note, found["Held"].tone) == ("the clock jumped", "danger")
    assert (found["Workers"].value, found["Workers"].note, found["Workers"].word) == (
        "1 worker",
        "3 processes",
        "1 absent",
    )
    assert (found["Providers"].value, found["Providers"].note) == ("1 left alone", "smtp.example.com")
    page = root.get(NOW).content.decode()
    for text in ("paused by olga", "moving house", "practice 7", "two@here", "0 / 7", "smtp.example.com"):
        assert text in page


def test_it_says_what_is_to_come_and_who_is_needed_for_it(root: Client, scene: None) -> None:
    found = figures(root.get(AHEAD))
    assert found["In the next 48 hours"].value.endswith("jobs")
    assert found["Capacity"].value == "5,400 jobs an hour"
    assert (found["Processes needed"].value, found["Processes needed"].word) == ("1", "3 are here")


def test_an_empty_installation_has_a_first_page_too(root: Client) -> None:
    found = figures(root.get(INDEX))
    assert (found["Due now"].value, found["Due now"].note) == ("0", "nothing waits")
    assert (found["Beat"].value, found["Clock"].word) == ("never", "nothing is sent")
    assert found["Workers"].word == "nobody works"
    assert figures(root.get(AHEAD))["Capacity"].note.startswith("not measured yet")


# --- Who sees it ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [INDEX, NOW, AHEAD])
def test_nobody_sees_it_without_a_login(client: Client, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 302 and answer["Location"].startswith(reverse("admin:login"))
    client.force_login(User.objects.create_user("a customer"))
    assert client.get(path).status_code == 302


SEEN = {
    "jobs.job": {"Due now", "Failed jobs"},
    "jobs.clock": {"Held", "Beat", "Clock"},
    "jobs.queueworker": {"Workers"},
    "notifications.delivery": {"Lateness today, 95%", "In doubt"},
    "notifications.breaker": {"Providers"},
}


@pytest.mark.parametrize("view", SEEN)
def test_each_permission_shows_its_part_and_no_other(scene: None, view: str) -> None:
    client = client_of(view)
    assert set(figures(client.get(INDEX))) == set(figures(client.get(NOW))) == SEEN[view]
    assert bool(client.get(AHEAD).content.strip()) == (view == "jobs.job")


def test_what_one_may_not_see_is_not_asked_for(scene: None) -> None:
    client = client_of("notifications.breaker")
    with CaptureQueriesContext(connection) as asked:
        client.get(NOW)
    told = [query["sql"] for query in asked if '"jobs_jobscope"' not in query["sql"]]  # whose rows one sees
    assert not [sql for sql in told if "jobs_" in sql or "notifications_delivery" in sql]


def test_whoever_sees_nothing_of_it_sees_the_tables(scene: None) -> None:
    page = client_of("notifications.customer").get(INDEX)
    assert page.status_code == 200
    assert "data-refresh" not in page.content.decode()
    assert reverse("admin:notifications_customer_changelist") in page.content.decode()


def test_what_people_wrote_is_text(root: Client) -> None:
    pauses.pause("queue", ["default"], by="<b>olga</b>", reason="<script>alert(1)</script>")
    page = root.get(NOW).content.decode()
    assert "<script>alert" not in page and "<b>olga" not in page


# --- What it costs --------------------------------------------------------------------------------------


def statements(client: Client, path: str) -> int:
    with CaptureQueriesContext(connection) as asked:
        assert client.get(path).status_code == 200
    return len([query for query in asked if "session" not in query["sql"] and "auth_" not in query["sql"]])


@pytest.mark.parametrize("path", [INDEX, NOW, AHEAD])
def test_as_many_statements_for_much_as_for_little(root: Client, scene: None, path: str) -> None:
    root.get(path)  # what is kept in the cache is there now
    before = statements(root, path)
    for n in range(5):
        Queue.objects.create(name=f"q{n}")
        make_job(queue=f"q{n}")
        make_job("failed", queue=f"q{n}")
        QueueWorker.objects.create(queue=f"q{n}", worker=f"w{n}", processes=1, scalable=True, seen_at=timezone.now())
        pauses.pause("task", [f"t{n}"], by="olga")
        Breaker.objects.create(provider=f"p{n}")
    assert statements(root, path) == before <= STATEMENTS + 3


# --- Words ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("length", "said"),
    [
        (timedelta(milliseconds=1234), "1.2 s"),
        (timedelta(seconds=59), "59 s"),
        (timedelta(seconds=150), "2 min"),
        (HOUR + 5 * MINUTE, "1 h 5 min"),
        (2 * DAY + 3 * HOUR, "2 d 3 h"),
        (None, "-"),
    ],
)
def test_spans_of_time(length: timedelta | None, said: str) -> None:
    assert span(length) == said


def test_numbers() -> None:
    assert [many(1234), many(10_001, 10_000), many(10_000, 10_000)] == ["1,234", "10,000+", "10,000"]
    with translation.override("de"):
        assert many(1234) == "1.234"
