"""The verbs of a job, in every state: each says what came of it."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from jobs import ledger
from jobs.models import Job, JobEvent
from tests.api.callers import Make
from tests.api.test_jobs import STATES
from tests.factories import DAY, HOUR, MINUTE, make_job

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("state", "receipt", "after"),
    [
        ("scheduled", "cancelled", "cancelled"),
        ("queued", "cancelled", "cancelled"),
        ("running", "in flight", "running"),
        ("succeeded", "finished", "succeeded"),
        ("failed", "finished", "failed"),
        ("cancelled", "finished", "cancelled"),
        ("expired", "finished", "expired"),
    ],
)
def test_a_cancel_has_a_receipt_in_every_state(caller: Make, state: str, receipt: str, after: str) -> None:
    job = make_job(state)
    asks = caller()
    answer = asks.delete(f"/jobs/{job.pk}?reason=called%20off")
    assert answer.status_code == 200
    assert (answer.data["receipt"], answer.data["state"]) == (receipt, after)
    assert bool(answer.data["finished_at"]) == (after != "running")
    events = [(event.by, event.reason, event.before) for event in JobEvent.objects.all()]
    assert events == ([(asks.name, "called off", state)] if receipt != "finished" else [])


def test_a_cancel_takes_a_fixed_number_of_statements(caller: Make, django_assert_max_num_queries: Any) -> None:
    asks, job = caller(), make_job()
    with django_assert_max_num_queries(18):  # savepoints included
        asks.delete(f"/jobs/{job.pk}")


MAY = {
    "retry": {"succeeded", "failed", "cancelled", "expired"},
    "run-now": {"scheduled", "queued"},
    "reschedule": {"scheduled", "queued"},
    "reprioritise": {"scheduled", "queued"},
}
BODIES: dict[str, Any] = {"reschedule": {"delay_ms": 60_000}, "reprioritise": {"priority": "urgent"}}


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("verb", MAY)
def test_each_verb_in_each_state(caller: Make, verb: str, state: str) -> None:
    job = make_job(state, due=HOUR)
    answer = caller().post(f"/jobs/{job.pk}/{verb}", {"reason": "so"} | BODIES.get(verb, {}))
    if state in MAY[verb]:
        assert answer.status_code == 200, answer.data
        assert JobEvent.objects.get().verb == {"run-now": "run_now", "reschedule": "postpone"}.get(verb, verb)
        assert answer.data["state"] == ("queued" if (verb, state) == ("reprioritise", "queued") else "scheduled")
    else:
        assert answer.status_code == 409 and answer.data["state"] == state, answer.data
        assert not JobEvent.objects.exists() and Job.objects.get().state == state


def test_a_retry_that_is_refused_leaves_a_cancel_that_is_asked_for(caller: Make) -> None:
    job = make_job("running")
    ledger.cancel([job.pk], "stop")
    assert caller().post(f"/jobs/{job.pk}/retry").status_code == 409
    assert Job.objects.get().cancel_requested


def test_another_time_earlier_or_later(caller: Make) -> None:
    job = make_job(due=HOUR)
    asks = caller()
    for said, wanted in (
        ({"run_at": "2031-01-31T09:00:00+01:00"}, None),
        ({"when": "in 2 hours"}, 2 * HOUR),
        ({"delay": 60}, MINUTE),
        ({"delay_ms": 1000}, timedelta(seconds=1)),
    ):
        before = timezone.now()
        assert asks.post(f"/jobs/{job.pk}/reschedule", said).status_code == 200
        run_at, after = Job.objects.get().run_at, timezone.now()
        second = timedelta(seconds=1)  # to which words are understood
        assert run_at.year == 2031 if wanted is None else before - second <= run_at - wanted <= after + second


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({}, "say when"),
        ({"delay": 1, "when": "in 1 hour"}, "once"),
        ({"run_at": "2031-01-31T09:00:00"}, "timezone"),
        ({"when": "yesterday"}, "past"),
    ],
    ids=str,
)
def test_a_time_that_is_none_is_refused(caller: Make, said: Any, words: str) -> None:
    answer = caller().post(f"/jobs/{make_job(due=HOUR).pk}/reschedule", said)
    assert answer.status_code == 422 and words in answer.data["detail"]


def test_a_time_after_which_it_is_of_no_use_is_refused(caller: Make) -> None:
    job = make_job(due=HOUR, useful_until=timezone.now() + DAY)
    answer = caller().post(f"/jobs/{job.pk}/reschedule", {"delay": 2 * 86400})
    assert answer.status_code == 422 and "expires" in answer.data["detail"]


def test_a_priority_that_it_has_already_changes_nothing(caller: Make) -> None:
    job = make_job(due=HOUR, priority=10)
    assert caller().post(f"/jobs/{job.pk}/reprioritise", {"priority": "high"}).status_code == 200
    assert not JobEvent.objects.exists()
