"""Trying a durable job again, and the handlers and signals that are called, against a real worker."""

from typing import Any

import pytest
from celery import signals
from celery.exceptions import MaxRetriesExceededError
from django.db import transaction
from django.utils import timezone

from jobs.models import Job
from tests.stack.live import Live
from tests.stack.options.refusals import echo, probes, retrying

pytestmark = pytest.mark.stack

# --- Trying again ---------------------------------------------------------------------------------------


def test_retry(worker: Live) -> None:
    job = worker.finish(retrying.again.delay({"countdown": 0, "exc": True}))
    assert (job.result["retries"], job.failures, job.attempts.get().error) == (1, 1, "Flaky: not yet")
    eta = timezone.now() + probes.SOON
    job = worker.finish(retrying.again.delay({"eta": eta.isoformat()}))
    assert job.result["retries"] == 1 and job.started_at and job.started_at >= eta
    job = worker.finish(retrying.again.delay({"countdown": 0, "args": [{}, 0], "kwargs": {}}))
    assert job.args == [{}, 0] and job.state == "succeeded"


def test_retry_max_retries(worker: Live) -> None:
    handle = retrying.again.delay({"countdown": 0, "max_retries": 1}, tries=9)
    assert (worker.finish(handle).state, worker.row(handle).failures) == ("failed", 2)
    with pytest.raises(MaxRetriesExceededError):
        handle.get(timeout=1)
    handle = retrying.again.delay({"countdown": 0, "max_retries": 0, "exc": True}, tries=9)
    worker.finish(handle)
    with pytest.raises(probes.Flaky, match="not yet"):
        handle.get(timeout=1)


def test_retry_throw(worker: Live) -> None:
    job = worker.finish(retrying.again.delay({"countdown": 0}, throw=False))
    assert (job.state, job.result["retries"], job.token) == ("succeeded", 1, 2)


def test_retry_options(worker: Live) -> None:
    said = {"countdown": 0, "time_limit": 33, "soft_time_limit": 22, "queue": "messages", "priority": 20, "shadow": "x"}
    job = worker.finish(retrying.again.delay(said))
    assert (job.result["limits"], job.result["queue"], job.priority, job.name) == ([33, 22], "messages", 20, "x")
    job = worker.finish(retrying.again.delay({"countdown": 0, "link": []}))
    assert job.state == "failed" and "retry of a durable task does not take link" in job.reason
    job = worker.finish(retrying.again.delay({"countdown": 0, "eta": timezone.now().isoformat()}))
    assert job.state == "failed" and "both say when" in job.reason


def test_default_retry_delay(worker: Live) -> None:
    assert 69.9 < wait_after_failure(worker, retrying.steady) < 130


def wait_after_failure(worker: Live, task: Any, failures: int = 0) -> float:
    """How long it is to wait, and how much its process took beside its run: little, on a machine with nothing to do."""
    with transaction.atomic():  # a worker may look by itself
        handle = task.delay()
        Job.objects.filter(pk=handle.id).update(failures=failures)
    worker.until(lambda: worker.row(handle).failures > failures, "it fails")
    job = worker.row(handle)
    assert (job.state, job.failures) == ("scheduled", failures + 1)
    failed = job.attempts.get()
    assert failed.started_at and failed.duration is not None
    return (job.run_at - failed.started_at - failed.duration).total_seconds()


def test_autoretry_for(worker: Live) -> None:
    Job.objects.filter(task="option.flaky").delete()
    handle = retrying.flaky.delay()
    worker.until(lambda: worker.row(handle).failures == 1, "it fails")
    assert worker.row(handle).state == "scheduled" and handle.state == "RETRY"
    Job.objects.filter(pk=handle.id).update(run_at=timezone.now())
    assert worker.finish(handle).result == 1


def test_dont_autoretry_for(worker: Live) -> None:
    job = worker.finish(retrying.flaky.delay(fatal=True))
    assert (job.state, job.failures) == ("failed", 1)


def test_retry_kwargs(worker: Live) -> None:
    job = worker.finish(retrying.given.delay())
    assert (job.state, job.failures, job.max_attempts) == ("failed", 2, 2)


def test_retry_backoff(worker: Live) -> None:
    assert 99.9 < wait_after_failure(worker, retrying.backing) < 149
    assert 149.9 < wait_after_failure(worker, retrying.backing, failures=1) < 199


def test_retry_jitter(worker: Live) -> None:
    waits = [wait_after_failure(worker, retrying.jittery) for _ in range(3)]
    assert all(-0.1 < wait < 1_000_060 for wait in waits) and len({round(wait) for wait in waits}) > 1


# --- Handlers and signals -------------------------------------------------------------------------------


ENDS = {
    "succeeds": ["on_success succeeds", "task_success", "after_return SUCCESS", "task_postrun"],
    "fails": ["on_failure broken", "task_failure", "after_return FAILURE", "task_postrun"],
    "ignores": ["task_postrun"],
    "rejects": ["task_postrun"],
}


@pytest.mark.parametrize("how", ENDS)
def test_handlers_and_signals(worker: Live, how: str) -> None:
    job = worker.finish(retrying.hooked.delay(how))
    lines = [line.partition(" ")[2] for line in job.log]
    assert lines == ["task_prerun", f"before_start {job.pk}", *ENDS[how]]
    assert job.state == ("failed" if how in ("fails", "rejects") else "succeeded")


def test_on_retry(worker: Live) -> None:
    handle = retrying.hooked.delay("retries")
    worker.finish(handle)
    assert worker.row(handle).attempts.get().error == "Flaky: not yet"
    line = f"job={handle.id} task=option.hooked attempt=1 outcome=back_off"
    worker.until(lambda: line in worker.log.read_text(), "it is in the log")
    assert worker.log.read_text().count(line) == 1


def test_publish_and_receive_signals(worker: Live) -> None:
    sent: list[str] = []

    def note(sender: str = "", headers: Any = None, body: Any = None, **_: Any) -> None:
        sent.append(f"{headers['id']} {body[0]}")

    signals.before_task_publish.connect(note)
    signals.after_task_publish.connect(note)

    def published_here() -> Any:
        """Or by the worker, which fills its queue when it has finished something."""
        handle = echo.delay("not in the message")
        worker.finish(handle)
        return handle if any(one.startswith(handle.id) for one in sent) else None

    try:
        handle = worker.until(published_here, "this process publishes one")
    finally:
        signals.before_task_publish.disconnect(note)
        signals.after_task_publish.disconnect(note)
    assert [one for one in sent if one.startswith(handle.id)] == [f"{handle.id} ()"] * 2
    assert f"task_received {handle.id}" in worker.notes()
