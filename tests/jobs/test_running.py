"""What a job says while it runs costs it nothing: neither its life when the database is away, nor a lock on its row."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from celery import shared_task
from django.contrib.auth.models import Group
from django.db import InternalError, OperationalError, connection, connections, transaction

from jobs import holding, ledger
from jobs.durable import Durable
from jobs.models import Job
from jobs.payload import LONGEST
from tests.conftest import InProcessWorker
from tests.jobs.races import TRANSACTIONAL, at_once
from tests.probes import told

pytestmark = TRANSACTIONAL

DURING: list[Callable[[Durable], Any]] = []  # what the body does


@shared_task(base=Durable, bind=True, name="running.body")
def body(self: Durable) -> Any:
    return DURING[0](self)


@shared_task(base=Durable, bind=True, name="running.atomic_body", atomic=True)
def atomic_body(self: Durable) -> Any:
    return DURING[0](self)


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobs.recorder.time.sleep", lambda seconds: None)


def ran(worker: InProcessWorker, does: Callable[[Durable], Any], task: Any = body, **options: Any) -> Job:
    DURING[:] = [does]
    pk = task.apply_async(**options).id
    worker.run_due()
    return Job.objects.get(pk=pk)


def done(job: Job) -> Any:
    return (job.progress or {}).get("done")


def restart() -> None:
    """The server ends our connection, as a restart does. Nobody has noticed when this returns."""
    if connection.vendor == "sqlite":
        return  # no server; the tests replace a statement as well
    pid = connection.connection.info.backend_pid

    def end() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s, 60000)", [pid])

    at_once(end)


def away_once(monkeypatch: pytest.MonkeyPatch, name: str, error: type[Exception] = OperationalError) -> None:
    """The next such statement does not reach the database."""
    real, calls = getattr(holding, name), list[str]()

    def lost(*args: Any, **kwargs: Any) -> Any:
        calls.append(name)
        if len(calls) == 1:
            raise error("terminating connection due to administrator command")
        return real(*args, **kwargs)

    monkeypatch.setattr(holding, name, lost)


# --- The database is away -------------------------------------------------------------------------------


def test_a_job_whose_last_progress_cannot_be_written_has_succeeded_all_the_same(worker, monkeypatch) -> None:
    def works(task: Durable) -> str:
        task.running.progress(1, 3)  # written
        task.running.progress(2, 3)  # at the end
        restart()
        away_once(monkeypatch, "tell")
        return "done"

    job = ran(worker, works)
    assert (job.state, job.result, job.failures) == ("succeeded", "done", 0)


@pytest.mark.parametrize("error", [OperationalError, InternalError], ids=["away", "read only"])
def test_progress_lines_and_questions_go_on_without_the_database(worker, monkeypatch, error) -> None:
    def works(task: Durable) -> str:
        restart()
        away_once(monkeypatch, "tell", error)
        task.running.progress(1, 3)
        restart()
        away_once(monkeypatch, "asked_to_stop", error)
        task.running.check_cancelled()
        return "done"

    job = ran(worker, works)
    assert (job.state, done(job)) == ("succeeded", 1)


def test_a_checkpoint_is_saved_through_a_restart(worker, monkeypatch) -> None:
    def works(task: Durable) -> None:
        restart()
        away_once(monkeypatch, "tell")
        task.running.checkpoint(7)
        raise ValueError("later")

    assert ran(worker, works).checkpoint == 7


def test_a_checkpoint_that_could_not_be_saved_is_not_taken_for_saved(worker, monkeypatch) -> None:
    def away(*_: Any, **__: Any) -> None:
        raise OperationalError("connection refused")

    def works(task: Durable) -> None:
        with monkeypatch.context() as broken:
            broken.setattr(holding, "tell", away)
            task.running.checkpoint(7)

    assert "the database is away" in ran(worker, works).reason


def test_the_next_step_is_stored_though_the_database_restarted_meanwhile(worker) -> None:
    def works(task: Durable) -> str:
        Job.objects.count()  # the connection was looked at, and is not again
        restart()
        return "done"

    job = ran(worker, works, link=told.s())
    assert job.state == "succeeded" and Job.objects.filter(task="probe.told").count() == 1


@pytest.mark.filterwarnings("ignore:Exception raised outside body")
def test_a_job_whose_next_step_could_not_be_stored_is_tried_again_and_not_failed(worker, monkeypatch) -> None:
    real, calls = ledger.enqueue, list[Any]()

    def away_at_first(job: Job) -> Job:
        calls.append(job)
        if len(calls) == 1:
            raise OperationalError("the database system is starting up")
        return real(job)

    def works(task: Durable) -> str:
        monkeypatch.setattr(ledger, "enqueue", away_at_first)
        return "done"

    job = ran(worker, works, link=told.s())
    assert (job.failures, job.state) == (1, "scheduled")
    monkeypatch.setattr(ledger, "enqueue", real)
    DURING[:] = [lambda task: "done"]
    worker.run_due()
    assert Job.objects.get(pk=job.pk).state == "succeeded"
    assert Job.objects.filter(task="probe.told").count() == 1


# --- In a transaction -----------------------------------------------------------------------------------


def cancelled_by_somebody_else(pk: Any) -> Any:
    """While the body is in its transaction. SQLite has one writer, so there nobody can be tested to wait."""
    if connection.vendor == "sqlite":
        return "in flight"

    def cancel() -> Any:
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '30s'")
        return ledger.cancel([pk], "no")[pk]

    return at_once(cancel)[0]


@pytest.mark.parametrize("task", [body, atomic_body], ids=["its own transaction", "atomic"])
def test_a_job_that_tells_how_far_it_is_in_a_transaction_can_be_cancelled(worker, task) -> None:
    receipts: list[Any] = []

    def works(task: Durable) -> None:
        with transaction.atomic():
            task.running.progress(1, 2)
            task.running.log("half of it")
            receipts.append(cancelled_by_somebody_else(task.running.job.pk))
        assert connections["default"].in_atomic_block == (task.name == atomic_body.name)

    job = ran(worker, works, task)
    assert receipts == ["in flight"]
    assert (job.state, done(job), len(job.log)) == ("succeeded", 1, 1)


def test_what_an_atomic_job_said_before_it_failed_is_kept(worker) -> None:
    def works(task: Durable) -> None:
        Group.objects.create(name="gone")
        task.running.log("so far so good")
        task.running.progress(1, 2)
        raise ValueError("no")

    job = ran(worker, works, atomic_body)
    assert job.state == "failed" and "so far so good" in job.log[0] and done(job) == 1
    assert not Group.objects.exists()


def test_a_checkpoint_in_a_transaction_is_there_when_what_it_tells_of_is(worker) -> None:
    def works(task: Durable) -> None:
        with suppress(ValueError), transaction.atomic():
            Group.objects.create(name="gone")
            task.running.checkpoint(1)
            raise ValueError
        raise ValueError("later")

    assert ran(worker, works).checkpoint is None


# --- Odd words ------------------------------------------------------------------------------------------


def test_two_hundred_long_lines_keep_the_newest_that_fit(worker) -> None:
    def works(task: Durable) -> None:
        for n in range(300):
            task.running.log(f"{n} " + "ä" * 600)

    job = ran(worker, works)
    assert job.state == "succeeded" and " 299 ä" in job.log[-1]
    assert 50 < len(job.log) < 200 and sum(len(line.encode()) for line in job.log) <= LONGEST


@pytest.mark.parametrize("word", ["a\0b", "half \udcff", 7, None], ids=["nul", "surrogate", "number", "none"])
def test_a_line_or_a_note_that_no_database_takes_does_not_end_the_job(worker, word) -> None:
    def works(task: Durable) -> None:
        task.running.log(word)
        task.running.progress(1, 1, note=word)

    job = ran(worker, works)
    assert job.state == "succeeded" and len(job.log) == 1


@pytest.mark.parametrize("total", [0, 5], ids=["unknown", "told again"])
def test_a_flood_of_progress_is_not_a_flood_of_statements(worker, monkeypatch, total) -> None:
    real, written = holding.tell, list[Any]()

    def counted(job: Job, **said: Any) -> bool:
        written.append(said)
        return real(job, **said)

    monkeypatch.setattr(holding, "tell", counted)

    def works(task: Durable) -> None:
        for n in range(5, 1_000):
            task.running.progress(n, total)

    job = ran(worker, works)
    assert done(job) == 999 and len(written) < 100
