"""What a dispatch takes, and what ends without having run: of no use any more, or without code."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError
from django.db.models import Q
from django.utils import timezone

from jobs import canvas, ledger
from jobs.models import Job
from tests.factories import HOUR, MINUTE, make_job

pytestmark = pytest.mark.django_db


def state(job: Job) -> str:
    return Job.objects.values_list("state", flat=True).get(pk=job.pk)


def test_nothing_runs_before_its_time() -> None:
    make_job(due=MINUTE)
    assert ledger.dispatch("default", ["probe.ok"], 10) == []


@pytest.mark.parametrize(
    "fields",
    [
        {"queue": "messages"},
        {"task": "gone.task"},
        {"useful_until": timezone.now() - MINUTE},
        {"cancel_requested": True},
        {"due": HOUR},  # from when the test begins, which may be long after it was collected
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_a_dispatch_takes_nothing_that_it_was_not_asked_for(fields: dict[str, Any]) -> None:
    make_job(**fields)
    assert ledger.dispatch("default", ["probe.ok"], 10) == []


def test_of_the_due_jobs_only_those_that_were_chosen_go() -> None:
    make_job(priority=20)
    chosen = make_job()
    assert [job.pk for job in ledger.dispatch("default", ["probe.ok"], 10, Q(pk=chosen.pk))] == [chosen.pk]


def test_the_window_bounds_how_many_are_queued_and_the_urgent_go_first() -> None:
    low = [make_job(priority=1) for _ in range(3)]
    high = make_job(priority=10)
    assert [job.pk for job in ledger.dispatch("default", ["probe.ok"], 1)] == [high.pk]
    assert len(ledger.dispatch("default", ["probe.ok"], 2)) == 2
    assert sum(state(job) == "queued" for job in low) == 2


def test_what_is_dispatched_together_is_published_in_its_order() -> None:
    for priority in (1, 20, 5, 10):
        make_job(priority=priority)
    assert [job.priority for job in ledger.dispatch("default", ["probe.ok"], 10)] == [20, 10, 5, 1]


def test_a_job_without_code_is_not_dispatched_and_fails_after_an_hour() -> None:
    job = make_job(task="gone.task", due=-2 * HOUR)
    assert ledger.dispatch("default", ["probe.ok"], 10) == []
    assert [rejected.pk for rejected in ledger.reject(["probe.ok"], ["default"], HOUR)] == [job.pk]
    assert "deploy its code" in Job.objects.get(pk=job.pk).reason


@pytest.mark.parametrize(
    ("fields", "overdue"),
    [
        ({}, 2 * HOUR),  # known
        ({"task": "gone.task"}, HOUR - MINUTE),  # maybe its worker is being deployed
        ({"queue": "gone"}, HOUR - MINUTE),
    ],
)
def test_only_what_nobody_could_run_for_an_hour_is_rejected(fields: dict[str, Any], overdue: timedelta) -> None:
    job = make_job(due=-overdue, **fields)
    assert ledger.reject(["probe.ok"], ["default"], HOUR) == []
    assert state(job) == "scheduled"


def test_a_rejected_job_whose_errback_cannot_be_stored_is_not_rejected_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    job = make_job(task="gone", due=-2 * HOUR)

    def away(*_: Any) -> None:
        raise OperationalError("server closed the connection unexpectedly")

    monkeypatch.setattr(canvas, "call_errbacks", away)
    with pytest.raises(OperationalError):
        ledger.reject(["probe.ok"], ["default"], HOUR)
    assert state(job) == "scheduled"


def test_what_no_queue_serves_is_rejected_too() -> None:
    job = make_job(queue="nobodys", due=-2 * HOUR)
    assert [rejected.pk for rejected in ledger.reject(["probe.ok"], ["default"], HOUR)] == [job.pk]


def test_what_is_no_longer_useful_expires_and_is_not_claimed() -> None:
    job = make_job("queued", useful_until=timezone.now() - MINUTE)
    assert ledger.claim(job.pk, "me") is None
    assert [expired.pk for expired in ledger.expire()] == [job.pk]


def test_what_is_still_useful_does_not_expire() -> None:
    make_job(), make_job("queued", useful_until=timezone.now() + MINUTE)
    assert ledger.expire() == []
