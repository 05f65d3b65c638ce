"""How a task of Django's Tasks API ends, and which signals tell of it."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.utils import timezone

from jobs import dispatcher, ledger, rescuer, tasks_api, testing
from jobs.backends import DurableBackend
from jobs.models import Job
from jobs.tasks_api import TaskResultStatus
from tests import probes, task_probes
from tests.conftest import InProcessWorker
from tests.factories import HOUR, MINUTE

pytestmark = pytest.mark.django_db

READY, FAILED, SUCCESSFUL = TaskResultStatus.READY, TaskResultStatus.FAILED, TaskResultStatus.SUCCESSFUL
SIGNALS = ("task_enqueued", "task_started", "task_finished")


@pytest.fixture(autouse=True)
def _nothing_ran() -> None:
    task_probes.RAN.clear()


@pytest.fixture
def told() -> Iterator[list[tuple[Any, ...]]]:
    """Each signal as it comes: its name, sender, the result's id and status, and the state of the row by then."""
    seen: list[tuple[Any, ...]] = []

    def note(name: str) -> Callable[..., None]:
        def receiver(sender: Any, task_result: Any, **_: Any) -> None:
            state = Job.objects.values_list("state", flat=True).get(pk=task_result.id)
            seen.append((name, sender, task_result.id, str(task_result.status), state))

        return receiver

    receivers = {name: note(name) for name in SIGNALS}
    for name, receiver in receivers.items():
        getattr(tasks_api, name).connect(receiver)
    yield seen
    for name, receiver in receivers.items():
        getattr(tasks_api, name).disconnect(receiver)


def run_again(worker: InProcessWorker) -> None:
    """As if the wait were over."""
    Job.objects.filter(state="scheduled").update(run_at=timezone.now() - MINUTE)
    worker.run_due()


def end(result: Any) -> tuple[Any, ...]:
    """Its status, and the class of each error."""
    result.refresh()
    return (result.status, [error.exception_class_path for error in result.errors])


# --- Failing -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("task", [task_probes.fail, task_probes.fail_async], ids=["def", "async def"])
def test_an_exception_is_final_and_kept_with_its_class_and_traceback(task: Any, worker: InProcessWorker) -> None:
    result = task.enqueue("broken")
    worker.run_due()
    run_again(worker)
    result.refresh()
    (error,) = result.errors
    assert (result.status, result.attempts, result.is_finished) == (FAILED, 1, True)
    assert (error.exception_class_path, error.exception_class) == ("tests.probes.Flaky", probes.Flaky)
    assert error.traceback.endswith("tests.probes.Flaky: broken\n") and "raise Flaky(text)" in error.traceback
    assert result.enqueued_at <= result.started_at <= result.finished_at
    with pytest.raises(ValueError, match="Task failed"):
        _ = result.return_value


@pytest.mark.parametrize("code", [None, 0, 2, "enough"])
def test_sys_exit_ends_the_task_and_not_the_worker(code: Any, worker: InProcessWorker) -> None:
    result = task_probes.leave.enqueue(code)
    worker.run_due()
    assert end(result) == (FAILED, ["jobs.task_runner.Exited"])
    assert f"SystemExit: {code}" in result.errors[0].traceback or code is None


def test_the_terminating_of_the_worker_is_not_taken_for_the_functions_sys_exit(worker: InProcessWorker) -> None:
    task_probes.leave.enqueue(-(256 - 15))  # billiard's, on SIGTERM
    with pytest.raises(SystemExit):
        worker.run_due()
    assert Job.objects.get().state == "running"


def test_a_cancelled_task_has_failed_and_says_why(worker: InProcessWorker, told: list[Any]) -> None:
    result = task_probes.echo.enqueue()
    ledger.cancel([Job.objects.get().pk], "cancelled by olga")
    assert worker.run_due() == []
    assert end(result) == (FAILED, ["celery.exceptions.TaskRevokedError"])
    assert result.errors[0].traceback == "cancelled: cancelled by olga"
    assert (result.attempts, result.started_at) == (0, None) and result.finished_at
    assert [name for name, *_ in told] == ["task_enqueued"]  # it never ran


def test_an_expired_task_has_failed_and_says_why() -> None:
    now = timezone.now()
    result = task_probes.echo.enqueue()
    ledger.reschedule({Job.objects.get().pk: (now, now + MINUTE)})
    rescuer.rescue_lost(now + HOUR)
    assert end(result) == (FAILED, ["celery.exceptions.TaskRevokedError"])
    assert result.errors[0].traceback == "expired: too late to be useful"


def test_a_task_that_stops_itself_when_asked_to_has_failed(worker: InProcessWorker, told: list[Any]) -> None:
    result = task_probes.stop.enqueue()
    dispatcher.dispatch_due()
    (message,) = worker.messages()
    real = ledger.claim_many

    def claimed_and_asked(*args: Any) -> Any:
        (job,) = real(*args)
        ledger.cancel([job.pk], "olga")
        return [job]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ledger, "claim_many", claimed_and_asked)
        worker.run(message)
    assert end(result) == (FAILED, ["celery.exceptions.TaskRevokedError"])
    assert told[-1][0] == "task_finished" and told[-1][3:] == ("FAILED", "cancelled")


def test_a_task_that_no_worker_knew_has_failed_and_says_why() -> None:
    result = task_probes.echo.enqueue()
    ledger.reject([], [], HOUR, now=timezone.now() + 2 * HOUR)
    assert end(result) == (FAILED, ["celery.exceptions.NotRegistered"])
    assert "deploy its code" in result.errors[0].traceback


# --- Running more than once ----------------------------------------------------------------------------


def test_a_lost_worker_is_an_error_of_that_attempt_and_the_task_runs_again(worker: InProcessWorker) -> None:
    result: Any = task_probes.echo.enqueue()
    ledger.dispatch("default", ["jobs.django_task"], 1)
    ledger.claim(result.id, "elsewhere:1")
    first = Job.objects.get().started_at
    rescuer.rescue_lost(timezone.now() + HOUR)
    assert end(result) == (READY, ["celery.exceptions.WorkerLostError"])
    assert (result.worker_ids, result.finished_at) == (["elsewhere:1"], None)
    run_again(worker)
    assert end(result) == (SUCCESSFUL, ["celery.exceptions.WorkerLostError"])
    assert (result.attempts, result.worker_ids) == (2, ["elsewhere:1", Job.objects.get().worker])
    assert result.started_at == first and result.last_attempted_at > first


def test_retry_runs_it_again_and_the_errors_tell_of_each_attempt(worker: InProcessWorker, told: list[Any]) -> None:
    with testing.frozen(timezone.now()) as clock:
        result = task_probes.succeed_at.enqueue(3)
        worker.run_due()
        assert Job.objects.get().run_at - clock.now == MINUTE
    assert end(result) == (READY, ["tests.probes.Flaky"])
    run_again(worker)
    run_again(worker)
    assert end(result) == (SUCCESSFUL, ["tests.probes.Flaky", "tests.probes.Flaky"])
    assert (result.return_value, result.attempts) == (3, 3)
    assert len(set(result.worker_ids)) == 1
    assert [name for name, *_ in told] == ["task_enqueued", *["task_started"] * 3, "task_finished"]


@pytest.mark.parametrize("seconds", [60, None])
def test_retry_has_an_end(seconds: int | None, worker: InProcessWorker) -> None:
    result = task_probes.succeed_at.enqueue(99, seconds)
    for _ in range(6):
        run_again(worker)
    assert end(result) == (FAILED, ["tests.probes.Flaky"] * 4)


def test_a_snooze_is_no_error(worker: InProcessWorker) -> None:
    until = timezone.now() + HOUR
    result = task_probes.snooze_once.enqueue(until.isoformat())
    worker.run_due()
    assert end(result) == (READY, [])
    assert Job.objects.get().run_at == until
    run_again(worker)
    assert end(result) == (SUCCESSFUL, [])
    assert (result.return_value, result.attempts) == (2, 2)


def test_a_person_may_run_a_failed_task_again(worker: InProcessWorker) -> None:
    result = task_probes.fail.enqueue()
    worker.run_due()
    ledger.retry([Job.objects.get().pk])
    assert end(result) == (READY, ["tests.probes.Flaky"])
    run_again(worker)
    assert end(result) == (FAILED, ["tests.probes.Flaky"] * 2)
    assert result.attempts == 2


def test_code_that_this_worker_does_not_have_is_waited_for_and_then_missed(worker: InProcessWorker) -> None:
    task_probes.echo.enqueue()
    job = Job.objects.get()
    Job.objects.update(kwargs=job.kwargs | {"path": "tests.task_probes.not_deployed_yet"})
    worker.run_due()
    job = Job.objects.get()
    assert (job.state, job.attempts.get().exception) == ("scheduled", "builtins.ImportError")
    Job.objects.update(kwargs=job.kwargs | {"path": "tests.task_probes.echo"})
    run_again(worker)
    assert Job.objects.get().state == "succeeded"


# --- Signals -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("task", "status", "state"), [("echo", "SUCCESSFUL", "succeeded"), ("fail", "FAILED", "failed")]
)
def test_each_signal_comes_once_and_the_last_when_the_outcome_is_stored(
    task: str, status: str, state: str, worker: InProcessWorker, told: list[Any]
) -> None:
    result = getattr(task_probes, task).enqueue()
    assert told == [("task_enqueued", DurableBackend, result.id, "READY", "scheduled")]
    dispatcher.dispatch_due()
    (message,) = worker.messages()
    worker.run(message)
    worker.run(message)  # the broker's second copy is dropped, and tells nobody
    assert told[1:] == [
        ("task_started", DurableBackend, result.id, "RUNNING", "running"),
        ("task_finished", DurableBackend, result.id, status, state),
    ]


def test_a_receiver_of_task_enqueued_that_raises_leaves_no_row() -> None:
    def refuse(**_: Any) -> None:
        raise RuntimeError("not today")

    tasks_api.task_enqueued.connect(refuse)
    try:
        with pytest.raises(RuntimeError, match="not today"):
            task_probes.echo.enqueue()
    finally:
        tasks_api.task_enqueued.disconnect(refuse)
    assert not Job.objects.exists()


def test_a_receiver_of_task_finished_that_raises_changes_no_outcome(worker: InProcessWorker) -> None:
    def fall(**_: Any) -> None:
        raise RuntimeError("oops")

    tasks_api.task_finished.connect(fall)
    try:
        result = task_probes.echo.enqueue()
        ((failed, _, _),) = worker.run_due()
    finally:
        tasks_api.task_finished.disconnect(fall)
    assert not failed
    assert end(result) == (SUCCESSFUL, [])


def test_an_outcome_that_came_too_late_is_not_announced(worker: InProcessWorker, told: list[Any], monkeypatch) -> None:
    task_probes.echo.enqueue()
    monkeypatch.setattr(ledger, "succeed", lambda *_: False)  # somebody else holds the job by now
    worker.run_due()
    assert [name for name, *_ in told] == ["task_enqueued", "task_started"]
