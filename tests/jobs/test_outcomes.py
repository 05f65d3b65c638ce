"""Outcomes that cannot be written, or are not told: the job's work is done again, or its state is a lie."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from celery import current_app, shared_task
from django.contrib.auth.models import User
from django.db import DataError, InternalError, OperationalError
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from jobs import dispatcher, ledger, pauses, replacing, rescuer
from jobs.durable import Durable, Snooze, Stop
from jobs.models import Attempt, Job, Pause, Queue
from jobs.verdict import Replaced
from tests import probes
from tests.factories import HOUR, make_job

pytestmark = pytest.mark.django_db(transaction=True, serialized_rollback=True)

RAN: list[str] = []


def _nested() -> Any:
    value: list[Any] = []
    for _ in range(100_000):
        value = [value]
    return value


@shared_task(base=Durable, name="broken.value")
def value(kind: str) -> Any:
    RAN.append(kind)
    return {"nul": lambda: "a\0b", "surrogate": lambda: "a\udcffb", "deep": _nested}[kind]()


@shared_task(base=Durable, name="broken.error")
def error(text: str) -> None:
    RAN.append(text)
    raise ValueError({"nul": "a\0b", "surrogate": "a\udcffb"}[text])


@shared_task(base=Durable, name="broken.stop")
def stop() -> None:
    RAN.append("stop")
    raise Stop("of my own accord")


@shared_task(base=Durable, bind=True, name="broken.once")
def once(self: Durable) -> str:
    if self.request.retries == 0:
        raise self.retry(countdown=0)
    return "done"


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    RAN.clear()
    monkeypatch.setattr("jobs.recorder.time.sleep", lambda seconds: None)


def run_and_lose_the_lease(worker) -> Job:
    worker.run_due()
    Job.objects.filter(state="running").update(lease_until=timezone.now() - timedelta(seconds=1))
    rescuer.rescue_lost()
    worker.run_due()
    return Job.objects.get()


@pytest.mark.parametrize("kind", ["nul", "surrogate", "deep"])
def test_a_result_that_the_database_refuses_does_not_run_the_job_again(worker, kind: str) -> None:
    value.delay(kind)
    assert run_and_lose_the_lease(worker).state == "succeeded"
    assert [kind] == RAN


@pytest.mark.parametrize("kind", ["nul", "surrogate"])
def test_an_error_whose_text_the_database_refuses_fails_the_job_once(worker, kind: str) -> None:
    error.delay(kind)
    job = run_and_lose_the_lease(worker)
    assert (job.state, RAN) == ("failed", [kind])
    assert "ValueError" in job.reason


def test_a_job_that_stops_without_being_asked_ends(worker) -> None:
    stop.delay()
    worker.run_due()
    assert Job.objects.get().state != "running"


def test_a_naive_snooze_is_refused() -> None:
    with pytest.raises(ValueError, match="names no time zone"):
        Snooze(datetime(2030, 1, 1))  # noqa: DTZ001


def test_async_result_tells_the_state_of_the_job(worker) -> None:
    handle = once.delay()
    worker.run_due()
    worker.run_due()
    assert Job.objects.get().state == "succeeded"
    assert handle.state == "SUCCESS"  # is RETRY for ever; .get() never returns


def test_a_queue_whose_last_pause_ran_out_can_be_paused_again(client: Client) -> None:
    client.force_login(User.objects.create_superuser("olga", password="x"))
    Queue.objects.create(name="default")
    pauses.pause("queue", ["default"], by="vera", until=timezone.now() + HOUR)
    Pause.objects.update(until=timezone.now() - HOUR)
    said = {"action": "pause", "_selected_action": ["default"], "_confirm": "1", "reason": "again"}
    client.post(reverse("admin:jobs_queue_changelist"), said)
    assert "default" in pauses.active(timezone.now()).queues


def test_headers_that_are_no_mapping_are_refused_at_the_call() -> None:
    with pytest.raises(TypeError):
        stop.apply_async(headers=["a"])


def test_one_message_that_cannot_be_made_does_not_hold_up_the_others(worker) -> None:
    make_job(task="broken.stop", options={"headers": ["a"]}, priority=20)
    value.delay("nul")
    dispatcher.dispatch_due()
    assert len(worker.messages()) == 1


def test_one_row_that_cannot_be_rescued_does_not_hold_up_the_others() -> None:
    make_job("running", lease="over", failures=32767, task="broken.stop")  # PostgreSQL: smallint out of range
    make_job("running", lease="over", task="broken.stop")
    rescuer.rescue_lost()
    assert not Job.objects.filter(state="running").exists()
    assert Attempt.objects.count() == 2


def refuses(*_: Any, **__: Any) -> None:
    raise DataError("invalid byte sequence")


def test_an_outcome_that_the_database_refuses_ends_the_job(worker, monkeypatch) -> None:
    monkeypatch.setattr(ledger, "succeed", refuses)
    once.delay()
    worker.run_due()
    worker.run_due()
    job = Job.objects.get()
    assert (job.state, job.reason) == ("failed", "its outcome could not be stored (DataError)")


def test_an_outcome_waits_for_a_database_that_is_read_only_between_two_primaries(worker, monkeypatch) -> None:
    real, calls = ledger.succeed, list[Job]()

    def refuses_for_a_while(job: Job, result: Any = None) -> bool:
        calls.append(job)
        if len(calls) < 8:
            raise InternalError("cannot execute UPDATE in a read-only transaction")
        return real(job, result)

    monkeypatch.setattr(ledger, "succeed", refuses_for_a_while)
    value.delay("nul")
    worker.run_due()
    assert (Job.objects.get().state, RAN) == ("succeeded", ["nul"])


def test_one_result_that_the_database_refuses_does_not_cost_its_neighbours_theirs(worker, monkeypatch) -> None:
    succeed = ledger.succeed

    def refuses_one(job: Job, result: Any = None) -> bool:
        if result == 2:
            refuses()
        return succeed(job, result)

    monkeypatch.setattr(ledger, "succeed_many", refuses)
    monkeypatch.setattr(ledger, "succeed", refuses_one)
    probes.small.enqueue_many([(0,), (1,), (2,)])
    worker.run_due()
    states = dict(Job.objects.values_list("args__0", "state"))
    assert states == {0: "succeeded", 1: "failed", 2: "succeeded"}


def test_a_job_whose_successor_cannot_be_stored_has_not_ended() -> None:
    class Away:
        def apply_async(self) -> None:
            raise OperationalError("server closed the connection unexpectedly")

    job = make_job("running")
    with pytest.raises(OperationalError):
        replacing.hand_over(job, Replaced(Away(), "the next one"))
    assert Job.objects.get(pk=job.pk).state == "running"


def test_a_message_that_was_sent_without_a_row_is_not_lost_with_the_database(worker, monkeypatch) -> None:
    real, calls = ledger.enqueue, list[Job]()

    def away_at_first(job: Job) -> Job:
        calls.append(job)
        if len(calls) == 1:
            raise OperationalError("the database system is starting up")
        return real(job)

    monkeypatch.setattr(ledger, "enqueue", away_at_first)
    current_app.send_task("broken.value", args=("nul",), queue="default")
    worker.run_all()
    assert Job.objects.get().state == "scheduled"


def test_a_claim_that_the_database_did_not_answer_is_found_by_the_rescuer(worker, monkeypatch) -> None:
    """It was committed, and the connection broke before the answer came."""
    claim_many = ledger.claim_many

    def unanswered(*args: Any) -> list[Job]:
        claim_many(*args)
        raise OperationalError("server closed the connection unexpectedly")

    value.delay("nul")
    with monkeypatch.context() as broken:
        broken.setattr(ledger, "claim_many", unanswered)
        worker.run_due()
    assert (Job.objects.get().state, RAN) == ("running", [])
    assert (run_and_lose_the_lease(worker).state, RAN) == ("succeeded", ["nul"])


def test_an_outcome_that_was_written_and_not_answered_is_written_once(worker, monkeypatch) -> None:
    back_off, calls = ledger.back_off, []

    def unanswered(*args: Any, **changes: Any) -> bool:
        calls.append(back_off(*args, **changes))
        if len(calls) == 1:
            raise OperationalError("server closed the connection unexpectedly")
        return calls[-1]

    monkeypatch.setattr(ledger, "back_off", unanswered)
    once.delay()
    worker.run_due()
    job = Job.objects.get()
    assert calls == [True, False]
    assert (job.failures, job.attempts.count()) == (1, 1)
