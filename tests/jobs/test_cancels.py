"""A cancel: final while a job waits, asked for while it runs, and never forgotten."""

import uuid
from typing import Any

import pytest
from django.db import OperationalError
from django.utils import timezone

from jobs import ledger
from jobs.models import Attempt, Job
from tests.factories import HOUR, MINUTE, make_job

pytestmark = pytest.mark.django_db


def state(job: Job) -> str:
    return Job.objects.values_list("state", flat=True).get(pk=job.pk)


def test_a_cancel_of_a_waiting_job_is_final() -> None:
    job = make_job("queued")
    assert ledger.cancel([job.pk], "closed tomorrow") == {job.pk: "cancelled"}
    assert ledger.claim(job.pk, "me") is None
    assert Job.objects.get(pk=job.pk).reason == "closed tomorrow"


def test_a_cancel_of_a_running_job_says_in_flight_and_wins_over_a_retry() -> None:
    job = make_job("queued")
    held = ledger.claim(job.pk, "me")
    assert held
    assert ledger.cancel([job.pk], "no") == {job.pk: "in flight"}
    assert ledger.back_off(held, MINUTE, Attempt(outcome=Attempt.Outcome.ERRORED))
    assert state(job) == "cancelled"
    assert job.attempts.get().outcome == "stopped"


def test_a_cancel_is_whole_or_not_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the flag alone it would wait for ever: neither dispatched nor over."""
    job = make_job()

    def away(*_: Any, **__: Any) -> None:
        raise OperationalError("server closed the connection unexpectedly")

    monkeypatch.setattr(ledger, "move", away)
    with pytest.raises(OperationalError):
        ledger.cancel([job.pk], "olga said so")
    job.refresh_from_db()
    assert (job.state, job.cancel_requested) == ("scheduled", False)


def test_a_cancel_wins_over_a_snooze() -> None:
    job = make_job("running")
    ledger.cancel([job.pk], "no")
    assert ledger.snooze(job, timezone.now() + HOUR, Attempt(outcome=Attempt.Outcome.SNOOZED))
    assert (state(job), job.attempts.get().outcome) == ("cancelled", "stopped")


def test_a_job_stops_only_if_it_was_asked_to() -> None:
    job = make_job("running")
    assert not ledger.stop(job, Attempt(outcome=Attempt.Outcome.STOPPED))
    assert state(job) == "running"


def test_a_cancel_of_a_running_job_whose_worker_dies_is_not_forgotten() -> None:
    job = make_job("running", lease="over")
    ledger.cancel([job.pk], "no")
    ledger.rescue(Job.objects.get(pk=job.pk))
    assert state(job) == "cancelled"


def test_a_cancel_of_a_finished_job_says_finished_and_of_an_unknown_one_nothing() -> None:
    job = make_job("succeeded")
    assert ledger.cancel([job.pk, uuid.uuid4()], "no") == {job.pk: "finished"}


def test_a_cancel_leaves_no_mark_on_what_was_over() -> None:
    job = make_job("failed")
    ledger.cancel([job.pk], "no")
    assert not Job.objects.get(pk=job.pk).cancel_requested


def test_a_job_with_a_cancel_asked_for_is_not_moved() -> None:
    job = make_job("queued", cancel_requested=True)
    assert ledger.reschedule({job.pk: (timezone.now() + HOUR, None)}) == set()


def test_a_job_that_still_runs_is_no_longer_asked_to_stop_when_a_person_wants_it_after_all() -> None:
    job = make_job("running")
    ledger.cancel([job.pk], "no")
    assert ledger.retry([job.pk]) == set()
    assert ledger.back_off(job, MINUTE, Attempt(outcome=Attempt.Outcome.ERRORED))
    assert state(job) == "scheduled"
