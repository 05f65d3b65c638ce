"""What the holder of a job may do while it runs, and that nobody else may: beat, tell, ask."""

import os
import threading
import uuid
import warnings
from typing import Any

import pytest
from django.db import OperationalError, connection

from jobs import dispatcher, executor, heartbeat as beats, holding, ledger
from jobs.models import Job
from tests import probes
from tests.conftest import InProcessWorker
from tests.factories import make_job

pytestmark = pytest.mark.django_db


@pytest.fixture
def heart(monkeypatch: pytest.MonkeyPatch) -> beats.Heartbeat:
    """One that beats only when the test says so."""
    monkeypatch.setattr(threading.Thread, "start", lambda self: None)
    return beats.Heartbeat()


@pytest.mark.parametrize("state", ["succeeded", "failed", "queued"])
def test_a_heartbeat_gives_no_lease_to_a_job_that_does_not_run(state: str) -> None:
    job = make_job(state, worker="me:1")
    assert holding.beat([job.pk], "me:1") == 0
    assert Job.objects.get(pk=job.pk).lease_until == job.lease_until


def test_a_worker_that_lost_its_job_writes_nothing_over_the_next_attempts_checkpoint() -> None:
    job = make_job("running", worker="slow:1")
    Job.objects.filter(pk=job.pk).update(token=2, checkpoint="further")
    assert not holding.tell(job, checkpoint="behind")
    assert Job.objects.get(pk=job.pk).checkpoint == "further"


@pytest.mark.parametrize("state", ["scheduled", "succeeded"])
def test_nothing_is_told_of_a_job_that_does_not_run(state: str) -> None:
    job = make_job(state)
    assert not holding.tell(job, progress={"done": 1})
    assert Job.objects.get(pk=job.pk).progress is None


def test_only_who_was_asked_to_stop_is_asked() -> None:
    asked, other = make_job("running"), make_job("running")
    ledger.cancel([asked.pk], "no")
    assert holding.asked_to_stop([asked.pk, other.pk]) == {asked.pk}


def test_a_heartbeat_is_for_what_the_process_holds_and_no_longer(heart: beats.Heartbeat) -> None:
    kept, done = Job(pk=uuid.uuid4()), Job(pk=uuid.uuid4())
    with heart.holding([kept]):
        with heart.holding([done]):
            assert heart._held == {kept.pk, done.pk}
        assert heart._held == {kept.pk}
    assert heart._held == set()


def test_a_forked_child_holds_nothing_of_its_parents(heart: beats.Heartbeat) -> None:
    mine, its = Job(pk=uuid.uuid4()), Job(pk=uuid.uuid4())
    with heart.holding([mine]), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # newer Pythons warn of any fork in a process with threads
        if (child := os.fork()) == 0:
            with heart.holding([its]):
                os._exit(0 if heart._held == {its.pk} else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_a_heartbeat_survives_a_database_that_is_away(heart: beats.Heartbeat, monkeypatch: pytest.MonkeyPatch) -> None:
    job, real = make_job("running", worker=beats.worker_name(), lease="over"), holding.beat

    def away(*_: Any) -> int:
        raise OperationalError("the database system is shutting down")

    monkeypatch.setattr(connection, "close", lambda: None)  # it is the test's own
    monkeypatch.setattr(holding, "beat", away)
    heart._beat([job.pk])
    monkeypatch.setattr(holding, "beat", real)
    heart._beat([job.pk])
    assert ledger.rescue(job) is None


def test_a_job_of_a_batch_that_was_cancelled_meanwhile_does_not_start(
    worker: InProcessWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    probes.RAN.clear()
    first, second = probes.small.enqueue_many([(0,), (1,)])
    dispatcher.dispatch_due()
    trace: Any = executor._trace

    def then_the_second_is_cancelled(job: Job, *rest: Any) -> Any:
        answer = trace(job, *rest)
        assert ledger.cancel([second], "olga said so") == {second: "in flight"}
        beats.heartbeat._flagged = holding.asked_to_stop([first, second])  # the next beat
        return answer

    monkeypatch.setattr(executor, "_trace", then_the_second_is_cancelled)
    worker.run_all()
    assert probes.RAN == [("small", 0)]
    assert [Job.objects.get(pk=pk).state for pk in (first, second)] == ["succeeded", "cancelled"]
