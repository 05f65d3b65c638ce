"""The actions of the list of schedules: who switched what, and who ran it, stands in the log."""

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.urls import reverse
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from jobs.models import Job
from tests.jobs.test_scopes import client_of, person

pytestmark = pytest.mark.django_db


@pytest.fixture
def maria() -> Client:
    """She manages."""
    return client_of(person("Manager"))


def make_task(name: str, enabled: bool = True, task: str = "probe.ok") -> PeriodicTask:
    every, _ = IntervalSchedule.objects.get_or_create(every=1, period="hours")
    return PeriodicTask.objects.create(name=name, task=task, interval=every, enabled=enabled)


def act(client: Client, action: str, *tasks: PeriodicTask) -> None:
    chosen = {"action": action, "_selected_action": [str(task.pk) for task in tasks]}
    answer = client.post(reverse("admin:django_celery_beat_periodictask_changelist"), chosen, follow=True)
    assert answer.status_code == 200


def logged() -> set[tuple[str, str, str]]:
    return set(LogEntry.objects.values_list("user__username", "object_repr", "change_message"))


@pytest.mark.parametrize(
    ("action", "on", "told"),
    [
        ("enable_tasks", {"a": True, "b": True}, {("b", "switched on")}),
        ("disable_tasks", {"a": False, "b": False}, {("a", "switched off")}),
        ("toggle_tasks", {"a": False, "b": True}, {("a", "switched off"), ("b", "switched on")}),
    ],
)
def test_what_was_switched_is_on_record_and_nothing_else(
    maria: Client, action: str, on: dict[str, bool], told: set[tuple[str, str]]
) -> None:
    act(maria, action, make_task("a"), make_task("b", enabled=False))
    assert dict(PeriodicTask.objects.filter(name__in="ab").values_list("name", "enabled")) == on
    assert {(name.split(":")[0], what) for _, name, what in logged()} == told
    assert {who for who, _, _ in logged()} == {"manager"}


def test_who_ran_it_now_is_on_record(maria: Client) -> None:
    task = make_task("a")
    act(maria, "run_tasks", task)
    assert Job.objects.get().task == "probe.ok"
    assert [(entry.object_id, entry.change_message) for entry in LogEntry.objects.all()] == [(str(task.pk), "run now")]


def test_what_nobody_knows_is_not_run_and_not_on_record(maria: Client) -> None:
    act(maria, "run_tasks", make_task("a"), make_task("b", task="no.such"))
    assert not Job.objects.exists() and not LogEntry.objects.exists()


def test_who_may_not_change_schedules_switches_none() -> None:
    client, task = client_of(person("Operator")), make_task("a")
    for action in ("disable_tasks", "toggle_tasks", "run_tasks"):
        act(client, action, task)
    task.refresh_from_db()
    assert task.enabled and not Job.objects.exists() and not LogEntry.objects.exists()
