"""What somebody tries who sees some queues or tenants only, and who may look but not change."""

import json
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.urls import reverse
from django.utils import timezone
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from jobs import pauses, scopes, stats
from jobs.models import Clock, JobScope, KeyLimit, Queue, QueueWorker, TaskRate
from tests.factories import HOUR, make_job
from tests.jobs.test_scopes import client_of, person

pytestmark = pytest.mark.django_db
NOW, AHEAD = reverse("dashboard_now"), reverse("dashboard_ahead")
CHANGE = "admin:django_celery_beat_periodictask_change"


def listed(name: str) -> str:
    return reverse(f"admin:{name}_changelist")


# --- Scopes ---


def figures(page: Any) -> dict[str, str]:
    return {figure.name: f"{figure.value} {figure.note}" for figure in page.context["now"]["figures"]}


@pytest.fixture
def busy() -> None:
    """Two queues and two tenants, the other of which does much more."""
    now = timezone.now()
    for queue, tenant, number in (("default", "a", 1), ("default", "b", 4), ("secret-queue", "a", 8)):
        for _ in range(number):
            make_job(due=-HOUR, queue=queue, tenant=tenant)
            make_job(due=5 * HOUR, queue=queue, tenant=tenant)
            make_job("failed", queue=queue, tenant=tenant)
            make_job("running", queue=queue, tenant=tenant)
    for name in ("default", "secret-queue"):
        Queue.objects.get_or_create(name=name)
        QueueWorker.objects.create(queue=name, worker=f"of-{name}@here", processes=3, scalable=True, seen_at=now)
    pauses.pause("tenant", ["secret-tenant"], by="olga", reason="secret-reason")
    pauses.pause("task", ["secret.task"], by="olga", reason="secret-reason")


@pytest.mark.parametrize(
    ("limits", "number"),
    [
        ({"queues": ["default"]}, 5),
        ({"tenants": ["a"]}, 9),
        ({"queues": ["default"], "tenants": ["a"]}, 1),
    ],
    ids=["a queue", "a tenant", "a tenant of a queue"],
)
def test_the_dashboard_tells_of_ones_own_jobs_only(
    busy: None, limits: dict[str, Any], number: int, django_assert_max_num_queries: Any
) -> None:
    user = person("Viewer")
    JobScope.objects.create(user=user, **limits)
    client = client_of(user)
    client.get(NOW)
    with django_assert_max_num_queries(30):
        page = client.get(NOW)
    found = figures(page)
    assert found["Due now"].startswith(f"{number} ") and found["Failed jobs"].startswith(f"{number} ")
    text = page.content.decode()
    assert "secret-tenant" not in text and "secret.task" not in text and "secret-reason" not in text
    with django_assert_max_num_queries(20):
        ahead = client.get(AHEAD)
    assert ahead.context["ahead"]["figures"][0].value.startswith(f"{number} ")
    assert sum(json.loads(ahead.context["ahead"]["chart"])["datasets"][0]["data"]) == number
    if "queues" in limits:
        assert "secret-queue" not in text + ahead.content.decode()


def test_what_is_running_is_counted_within_the_scope(busy: None) -> None:
    scope = scopes.Scope(((("default",), ("a",)),))
    (lane,) = stats.traffic(timezone.now(), scope).lanes
    assert (lane.row.name, lane.due.number, lane.running) == ("default", 1, 1)
    assert stats.traffic(timezone.now()).lanes != [lane]


SETTINGS = ("jobs_keylimit", "jobs_taskrate", "jobs_jobscope", "django_celery_results_taskresult")


@pytest.mark.parametrize("name", SETTINGS)
def test_what_holds_for_all_queues_is_not_for_those_with_a_scope(name: str) -> None:
    manager, other = person("Manager"), person("Operator")
    JobScope.objects.create(user=manager, queues=["default"])
    KeyLimit.objects.update_or_create(key="tenant b", defaults={"limit": 3})
    TaskRate.objects.create(task="secret.task")
    assert client_of(manager).get(listed(name)).status_code == 403
    assert client_of(other).get(listed(name)).status_code == 200
    if name != "django_celery_results_taskresult":
        assert client_of(manager).get(reverse(f"admin:{name}_add")).status_code == 403


def test_who_has_a_scope_neither_schedules_for_others_nor_releases_the_clock() -> None:
    manager = person("Manager")
    JobScope.objects.create(user=manager, queues=["default"])
    task = a_schedule()
    client = client_of(manager)
    page = reverse("admin:django_celery_beat_periodictask_change", args=[task.pk])
    assert client.get(page).status_code == 200 and client.post(page, {"name": "mine"}).status_code == 403
    Clock.row()
    Clock.objects.update(held_since=timezone.now(), held_reason="jumped")
    client.post(listed("jobs_clock"), {"action": "release", "_selected_action": [Clock.objects.get().pk]})
    assert Clock.objects.get().held_since


# --- Schedules ---


def a_schedule() -> PeriodicTask:
    every = IntervalSchedule.objects.create(every=1, period="seconds")
    return PeriodicTask.objects.create(name="the tick", task="jobs.dispatch", interval=every)


@pytest.mark.parametrize("action", ["disable_tasks", "toggle_tasks", "enable_tasks", "run_tasks"])
def test_who_may_only_look_neither_stops_nor_runs_a_schedule(action: str) -> None:
    task = a_schedule()
    said = {"action": action, "_selected_action": [task.pk]}
    answer = client_of(person("Viewer")).post(listed("django_celery_beat_periodictask"), said, follow=True)
    task.refresh_from_db()
    assert task.enabled and "successfully" not in answer.content.decode()
    if action == "disable_tasks":
        client_of(person("Manager")).post(listed("django_celery_beat_periodictask"), said)
        task.refresh_from_db()
        assert not task.enabled


# --- Who one becomes ---


def test_who_manages_users_does_not_become_more_than_that() -> None:
    manager = person("Manager")
    more = Group.objects.create(name="Owners")
    more.permissions.add(Permission.objects.get(codename="change_jobscope"))
    owner = User.objects.create_user("owner", is_staff=True, is_active=False)
    owner.groups.add(more)
    plain = User.objects.create_user("plain", is_staff=True)
    client = client_of(manager)
    assert client.get(reverse("admin:auth_user_password_change", args=[owner.pk])).status_code == 403
    assert client.get(reverse("admin:auth_user_password_change", args=[plain.pk])).status_code == 200
    form = client.get(reverse("admin:auth_user_change", args=[plain.pk])).context["adminform"].form
    assert {group.name for group in form.fields["groups"].queryset} == {"Viewer", "Operator", "Manager"}
    JobScope.objects.create(user=manager, queues=["default"])
    client = client_of(User.objects.get(pk=manager.pk))
    assert client.get(reverse("admin:auth_user_password_change", args=[plain.pk])).status_code == 403
    assert client.get(reverse("admin:auth_user_add")).status_code == 403


# --- The arguments of schedules ---

PARTS = {"args": '["alice@example.com"]', "kwargs": '{"name": "Alice Secret"}', "headers": '{"token": "hush"}'}


@pytest.fixture
def schedule() -> PeriodicTask:
    interval = IntervalSchedule.objects.create(every=5, period="minutes")
    return PeriodicTask.objects.create(name="report", task="probe.ok", interval=interval, **PARTS)


def reader(*more: str, tenants: list[str] | None = None) -> Any:
    user = User.objects.create_user("otto", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=["view_periodictask", *more]))
    if tenants:
        JobScope.objects.create(user=user, tenants=tenants)
    return client_of(user)


@pytest.mark.parametrize(
    ("more", "tenants", "told"),
    [
        ([], None, False),
        (["change_periodictask"], None, False),
        (["reveal_job"], None, True),
        (["reveal_job", "change_periodictask"], None, True),
        (["reveal_job"], ["a"], False),
    ],
)
def test_arguments_of_a_schedule_are_masked_as_those_of_a_job(
    schedule: PeriodicTask, more: list[str], tenants: list[str] | None, told: bool
) -> None:
    text = reader(*more, tenants=tenants).get(reverse(CHANGE, args=[schedule.pk])).content.decode()
    for secret in ("alice@example.com", "Alice Secret", "hush"):
        assert (secret in text) is told
    assert ("text of 17 characters" in text) is not told


@pytest.mark.parametrize("lookup", ["args__startswith", "kwargs__contains", "headers__contains"])
def test_arguments_of_a_schedule_are_not_told_letter_by_letter(schedule: PeriodicTask, lookup: str) -> None:
    url = listed("django_celery_beat_periodictask")
    assert reader().get(f"{url}?{lookup}=Al").status_code == 400


def test_saving_a_schedule_whose_arguments_one_may_not_see_keeps_them(schedule: PeriodicTask) -> None:
    client = reader("change_periodictask")
    said = {"name": "renamed", "task": "probe.ok", "regtask": "", "enabled": "on", "interval": schedule.interval_id}
    said |= {"args": "[]", "kwargs": "{}", "headers": "{}", "policy-TOTAL_FORMS": 0, "policy-INITIAL_FORMS": 0}
    answer = client.post(reverse(CHANGE, args=[schedule.pk]), said)
    assert answer.status_code == 302, answer.context["errors"]
    schedule.refresh_from_db()
    assert (schedule.name, {name: getattr(schedule, name) for name in PARTS}) == ("renamed", PARTS)
