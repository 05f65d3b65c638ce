"""What becomes of a revoke at its edges: transactions, a database that is away, retries in between."""

from types import SimpleNamespace
from typing import Any

import pytest
from celery.app.control import Control as CelerysControl
from celery.worker import state
from django.db import OperationalError, transaction

from jobs import control, ledger, orders, revoking
from jobs.models import Job, JobEvent
from tests.conftest import current_app
from tests.factories import DAY, make_job

pytestmark = pytest.mark.django_db


class Said(list[tuple[str, Any]]):
    """What would be broadcast, in place of the workers' mailboxes, which the in-process broker has not."""

    def broadcast(self, _: Any, command: str, arguments: Any = None, *args: Any, **options: Any) -> None:
        self.append((command, arguments))


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> Said:
    heard = Said()
    monkeypatch.setattr(CelerysControl, "broadcast", lambda *args, **options: heard.broadcast(*args, **options))
    return heard


class Later(list[Any]):
    """The timer of a worker, which a test lets go off when it likes."""

    def call_after(self, seconds: float, call: Any, args: Any = (), kwargs: Any = None) -> None:
        self.append(lambda: call(*args, **kwargs or {}))


@pytest.fixture
def panel() -> Any:
    return SimpleNamespace(consumer=SimpleNamespace(timer=Later(), pool="pool"), app=current_app)


def test_of_many_who_ask_for_the_same_one_is_written_down() -> None:
    jobs = [make_job(due=DAY), make_job("queued"), make_job("running"), make_job("succeeded")]
    ids = [job.pk for job in jobs]
    first = orders.cancel(ids, by="Olga", reason="wrong month")
    second = orders.cancel(ids, by="Flower", reason="revoked")
    assert [first[pk] for pk in ids] == ["cancelled", "cancelled", "in flight", "finished"]
    assert [second[pk] for pk in ids[:2]] == ["finished", "finished"]
    told = JobEvent.objects.values_list("by", "reason", "before", "outcome")
    assert sorted(told) == [
        ("Olga", "wrong month", "queued", "cancelled"),
        ("Olga", "wrong month", "running", "in flight"),
        ("Olga", "wrong month", "scheduled", "cancelled"),
    ]


def test_a_cancel_after_a_retry_is_another_wish() -> None:
    job = make_job(due=DAY)
    for _ in range(2):
        orders.cancel([job.pk], by="Olga", reason="no")
        ledger.retry([job.pk])
    assert JobEvent.objects.count() == 2


def test_thousands_are_cancelled_in_short_transactions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(orders, "CHUNK", 2)
    jobs = Job.objects.bulk_create(Job(task="probe.ok", queue="default", run_at=make_job().run_at) for _ in range(5))
    assert len(orders.cancel([job.pk for job in jobs], by="Olga", reason="no")) == 5
    assert JobEvent.objects.filter(outcome="cancelled").count() == 5


def test_a_job_is_cancelled_without_a_word_to_the_workers(said: Said) -> None:
    job = make_job(due=DAY)
    current_app.control.revoke(str(job.pk), terminate=True)
    job.refresh_from_db()
    assert (job.state, said) == ("cancelled", [])


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_no_process_is_ended_for_a_cancel_that_is_rolled_back(said: Said) -> None:
    job = make_job("running")
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        current_app.control.revoke([str(job.pk)], terminate=True, signal="KILL")
        raise ZeroDivisionError
    assert said == []
    current_app.control.revoke([str(job.pk)], terminate=True, signal="KILL")
    assert said == [("end_jobs", {"ids": [str(job.pk)], "signal": "KILL"})]


def test_the_workers_hear_of_tasks_that_are_no_jobs_and_of_no_others(said: Said) -> None:
    job = make_job("running")
    current_app.control.revoke([str(job.pk), "theirs"])
    assert [(command, arguments["task_id"]) for command, arguments in said] == [("revoke", ["theirs"])]


def test_other_commands_are_celerys(said: Said) -> None:
    current_app.control.rate_limit("probe.ok", "5/s")
    assert [command for command, _ in said] == ["rate_limit"]


def test_a_worker_that_cannot_reach_the_database_tries_again(panel: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    job, cancel = make_job(due=DAY), control.cancel

    def broken(*_: Any) -> Any:
        raise OperationalError("the database restarts")

    monkeypatch.setattr(control, "cancel", broken)
    assert "error" in revoking.revoke(panel, [str(job.pk)])
    monkeypatch.setattr(control, "cancel", cancel)
    (again,) = panel.consumer.timer
    again()
    job.refresh_from_db()
    assert job.state == "cancelled"


def test_it_does_not_try_for_ever(panel: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> Any:
        raise OperationalError("gone for good")

    monkeypatch.setattr(control, "cancel", broken)
    revoking.revoke(panel, ["x"], tried=revoking.TRIES - 1)
    assert panel.consumer.timer == []


class Request:
    """Celery's request of a message that runs."""

    name = "probe.ok"

    def __init__(self, job: Job) -> None:
        self.id, self.worker_pid = str(job.pk), 1
        self.ended: list[Any] = []

    def terminate(self, pool: Any, signal: Any) -> None:
        self.ended.append((pool, int(signal)))


def test_a_worker_ends_only_what_still_is_to_be_cancelled(panel: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may hear of it when a person has let the job run again."""
    job = make_job("running")
    request = Request(job)
    monkeypatch.setattr(state, "active_requests", {request})
    revoking.end_jobs(panel, [str(job.pk)], "KILL")
    assert request.ended == []
    ledger.cancel([job.pk], "revoked")
    revoking.end_jobs(panel, [str(job.pk)], "KILL")
    assert request.ended == [("pool", 9)]
