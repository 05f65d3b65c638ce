"""Paused means: nothing of it is sent. It is still planned, cancelled and moved, and what runs runs on."""

from datetime import datetime
from functools import partial
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from jobs import dispatcher, ledger, pauses, queues, windows
from jobs.models import Job, Pause, Queue
from tests import probes
from tests.factories import DAY, HOUR, MINUTE, make_job
from tests.jobs.races import TRANSACTIONAL, at_once, need_two_writers

pytestmark = pytest.mark.django_db

WHAT = {"queue": "messages", "task": "probe.fail", "tenant": "venue-7"}


def job_of(kind: str, state: str = "scheduled") -> Job:
    fields: dict[str, Any] = {kind: WHAT[kind]}
    return make_job(state, **fields)


def states() -> list[str]:
    return sorted(Job.objects.values_list("state", flat=True))


@pytest.mark.parametrize("kind", WHAT)
def test_what_is_paused_waits_and_what_is_not_goes(kind: str) -> None:
    paused, other = job_of(kind), make_job()
    pauses.pause(kind, [WHAT[kind]], by="olga", reason="provider down")
    assert dispatcher.dispatch_due() == 1
    assert Job.objects.get(state="queued").pk == other.pk
    assert pauses.resume(kind, [WHAT[kind]]) == 1
    assert dispatcher.dispatch_due() == 1
    assert Job.objects.get(pk=paused.pk).state == "queued"


@pytest.mark.parametrize("kind", WHAT)
def test_what_is_queued_goes_back_and_what_runs_runs_on(kind: str) -> None:
    job_of(kind, "queued"), job_of(kind, "running"), make_job("queued")
    assert pauses.pause(kind, [WHAT[kind]], by="olga") == 1
    assert states() == ["queued", "running", "scheduled"]


def test_a_pause_ends_by_itself() -> None:
    make_job()
    now = timezone.now()
    pauses.pause("queue", ["default"], by="olga", until=now + HOUR)
    assert dispatcher.dispatch_due(now + HOUR - MINUTE) == 0
    assert dispatcher.dispatch_due(now + HOUR + MINUTE) == 1


def test_pausing_stops_neither_planning_nor_cancelling() -> None:
    pauses.pause("queue", ["default"], by="olga")
    handle = probes.ok.delay(1)
    assert ledger.cancel([Job.objects.get().pk], "no")
    assert str(Job.objects.get(state="cancelled").pk) == handle.id


def test_a_second_pause_replaces_the_first() -> None:
    pauses.pause("queue", ["default"], by="olga", until=timezone.now() + HOUR)
    pauses.pause("queue", ["default"], by="bert", reason="longer")
    pause = Pause.objects.get()
    assert (pause.by, pause.reason, pause.until) == ("bert", "longer", None)


def test_resuming_what_is_not_paused_says_so() -> None:
    assert pauses.resume("queue", ["default"]) == 0


def test_wrong_words_are_refused() -> None:
    with pytest.raises(ValueError, match="venue"):
        pauses.pause("venue", ["7"], by="olga")
    with pytest.raises(ValueError, match="names no time zone"):
        pauses.pause("queue", ["default"], by="olga", until=datetime(2027, 1, 1))  # noqa: DTZ001
    assert not Pause.objects.exists()


def test_a_pause_that_is_longer_than_a_year_is_refused_with_what_to_do() -> None:
    now = timezone.now()
    with pytest.raises(ValueError, match=r"within 366 days, or without an end"):
        pauses.pause("queue", ["default"], by="olga", until=now + 367 * DAY)
    assert not Pause.objects.exists()
    pauses.pause("queue", ["default"], by="olga", until=now + 365 * DAY)
    assert Pause.objects.get().until


def test_the_admin_refuses_it_on_both_of_its_pages(client: Client) -> None:
    client.force_login(User.objects.create_superuser("olga", password="x"))
    Queue.objects.create(name="default")
    end = {"until_0": "2199-01-01", "until_1": "10:00"}
    said = {"action": "pause", "_selected_action": ["default"], "_confirm": "1", "reason": "x"} | end
    assert "within 366 days" in client.post(reverse("admin:jobs_queue_changelist"), said).content.decode()
    row = {"kind": "queue", "name": "default", "reason": "x"} | end
    assert "within 366 days" in client.post(reverse("admin:jobs_pause_add"), row).content.decode()
    assert not Pause.objects.exists()
    row["until_0"] = f"{timezone.now() + DAY:%Y-%m-%d}"
    client.post(reverse("admin:jobs_pause_add"), row)
    assert Pause.objects.get().by == "olga"


def test_a_deep_backlog_of_a_paused_task_holds_up_nobody(monkeypatch) -> None:
    monkeypatch.setattr("jobs.lanes.FEW", 10)
    Job.objects.bulk_create(Job(task="probe.fail", queue="default", run_at=timezone.now() - HOUR) for _ in range(3000))
    other = make_job()
    pauses.pause("task", ["probe.fail"], by="olga")
    assert [job.pk for job in windows.fill("default", ["probe.ok", "probe.fail"])] == [other.pk]


@TRANSACTIONAL
def test_a_pause_waits_for_the_dispatcher_at_work_and_takes_back_what_it_sent() -> None:
    need_two_writers()
    for round_ in range(15):
        queues.due()
        make_job(tenant=str(round_))
        fill, pause = partial(windows.fill, "default", ["probe.ok"]), partial(pauses.pause, "tenant", by="olga")
        at_once(fill, lambda: pause([str(round_)]))  # noqa: B023
    assert states() == ["scheduled"] * 15
