"""AsyncResult, for jobs of the ledger."""

import uuid
from typing import Any

import pytest
from celery import current_app
from celery.app.task import Context
from celery.exceptions import TaskRevokedError
from celery.result import AsyncResult
from django.utils import timezone
from django_celery_results.models import TaskResult

from jobs.messages import NUDGE
from jobs.models import Job
from tests import probes
from tests.conftest import InProcessWorker
from tests.factories import MINUTE, make_job

pytestmark = pytest.mark.django_db


def test_a_result_follows_the_row_through_its_states(worker: InProcessWorker) -> None:
    handle: Any = probes.ok.delay({"n": 7})
    assert (handle.state, handle.ready()) == ("PENDING", False)
    worker.run_due()
    assert (handle.state, handle.get(timeout=60), handle.successful()) == ("SUCCESS", {"n": 7}, True)
    assert AsyncResult(handle.id).get(timeout=60) == {"n": 7}


def test_an_unknown_id_is_not_pending(worker: InProcessWorker) -> None:
    assert probes.ok.AsyncResult(str(uuid.uuid4())).state == "UNKNOWN"


def test_a_failure_raises_what_the_task_raised(worker: InProcessWorker) -> None:
    handle: Any = probes.fail.delay("broken")
    worker.run_due()
    assert (handle.state, handle.failed()) == ("FAILURE", True)
    assert "raise Flaky" in handle.traceback
    with pytest.raises(probes.Flaky, match="broken"):
        handle.get(timeout=60)


def test_a_retrying_job_says_so(worker: InProcessWorker) -> None:
    handle: Any = probes.flaky.delay()
    worker.run_due()
    assert (handle.state, handle.retries) == ("RETRY", 1)


def test_a_job_lost_too_often_raises_that(worker: InProcessWorker) -> None:
    from jobs import rescuer

    job = make_job("running", lease="over", failures=3, max_attempts=4, worker="oom:1")
    rescuer.rescue_lost()
    with pytest.raises(Exception, match="worker was lost"):
        probes.ok.AsyncResult(str(job.pk)).get(timeout=60)


def test_revoking_is_a_cancel_with_a_receipt(worker: InProcessWorker) -> None:
    handle: Any = probes.ok.delay()
    assert handle.revoke() == "cancelled"
    assert handle.state == "REVOKED"
    with pytest.raises(TaskRevokedError):
        handle.get(timeout=60)
    assert handle.revoke() == "finished"
    with pytest.raises(TypeError, match="does not forget"):
        handle.forget()


def test_waiting_has_a_limit(worker: InProcessWorker) -> None:
    from celery.exceptions import TimeoutError as CeleryTimeoutError

    handle: Any = probes.ok.apply_async(countdown=60)
    with pytest.raises(CeleryTimeoutError):
        handle.get(timeout=0.05, interval=0.01)


def test_progress_lines_and_checkpoint_are_kept(worker: InProcessWorker) -> None:
    probes.long.delay(5)
    worker.run_due()
    job = Job.objects.get()
    assert (job.state, job.checkpoint) == ("scheduled", 3)  # it broke down after three steps
    assert job.progress == {"done": 3, "total": 5, "note": ""}
    assert [line.split(" ", 1)[1] for line in job.log] == ["step 0", "step 1", "step 2"]
    Job.objects.update(run_at=timezone.now() - MINUTE)
    worker.run_due()
    job.refresh_from_db()
    assert (job.state, job.result) == ("succeeded", [3, 4])  # and went on where it had stopped
    assert job.progress == {"done": 5, "total": 5, "note": ""}


def test_a_job_that_asks_finds_out_that_it_was_cancelled(worker: InProcessWorker) -> None:
    probes.obedient.delay()
    worker.run_due()
    job = Job.objects.get()
    assert (job.state, job.attempts.get().outcome) == ("cancelled", "stopped")


def test_permanent_ends_at_once_whatever_autoretry_says(worker: InProcessWorker) -> None:
    probes.hopeless.delay()
    worker.run_due()
    job = Job.objects.get()
    assert (job.state, job.failures) == ("failed", 1)


def test_what_the_parent_of_the_pool_says_of_a_job_is_not_kept() -> None:
    """It hears of every retry, and would have the last word."""
    job = make_job("running")
    said = Context({"id": str(job.pk), NUDGE: True})
    backend: Any = current_app.backend
    backend.store_result(str(job.pk), None, "RETRY", request=said)
    assert not TaskResult.objects.exists()
