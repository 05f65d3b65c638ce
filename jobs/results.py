"""Celery's result backend: answers from the ledger for durable jobs, from django-celery-results for the rest.

Used through CELERY_RESULT_BACKEND, so AsyncResult, GroupResult and Flower ask here. A durable job's state is its row's;
nothing of it can be forgotten, overwritten or guessed.
"""

import uuid
from typing import Any

from celery import states
from celery.result import AsyncResult
from django_celery_results.backends.database import DatabaseBackend

from jobs import ledger
from jobs.models import Job

State = Job.State
STATES = {
    State.SCHEDULED: states.PENDING,
    State.QUEUED: states.PENDING,
    State.RUNNING: states.STARTED,
    State.SUCCEEDED: states.SUCCESS,
    State.FAILED: states.FAILURE,
    State.CANCELLED: states.REVOKED,
    State.EXPIRED: states.REVOKED,
}
UNKNOWN = "UNKNOWN"  # there is no such job; Celery would say PENDING, as for a job that waits


class LedgerBackend(DatabaseBackend):  # type: ignore[misc]  # it has no types
    def _get_task_meta_for(self, task_id: str) -> dict[str, Any]:
        job = found(task_id)
        if job is None:
            meta: dict[str, Any] = super()._get_task_meta_for(task_id)
            return meta
        return self.meta_from_decoded(_meta(job))  # type: ignore[no-any-return]

    def as_uri(self, include_password: bool = True) -> str:
        return "ledger+django-db://"


class JobResult(AsyncResult):  # type: ignore[type-arg]  # generic for type checkers only
    """A handle on a durable job."""

    @property
    def job(self) -> Job | None:
        """The row as it is now."""
        return found(self.id)

    @property
    def state(self) -> str:  # type: ignore[override]  # one word more than Celery has
        return UNKNOWN if self.job is None else str(super().state)

    status = state  # type: ignore[assignment]

    def revoke(self, *_: Any, **__: Any) -> Any:
        """Cancel the job, for good. Returns what became of it: cancelled, in flight or finished; None if unknown."""
        pk = uuid.UUID(self.id)
        return ledger.cancel([pk], "revoked").get(pk)

    def forget(self) -> None:
        raise TypeError("The ledger does not forget jobs on request; they are pruned by age.")


def found(task_id: str) -> Job | None:
    try:
        return Job.objects.filter(pk=uuid.UUID(str(task_id))).first()
    except ValueError:  # Celery's ids may be any text
        return None


def _meta(job: Job) -> dict[str, Any]:
    state = states.RETRY if job.state == State.SCHEDULED and job.failures else STATES[State(job.state)]
    last = job.attempts.last() if state in states.EXCEPTION_STATES else None
    return {
        "task_id": str(job.pk),
        "status": state,
        "result": _result(job, state),
        "traceback": last.traceback if last else None,
        "children": [],
        "date_done": job.finished_at,
        "name": job.task,
        "args": job.args,
        "kwargs": job.kwargs,
        "worker": job.worker,
        "retries": job.failures,
        "queue": job.queue,
    }


def _result(job: Job, state: str) -> Any:
    """What the job returned; for the other states an exception, as Celery stores one."""
    if state == states.FAILURE and not job.result:
        return {"exc_type": "WorkerLostError", "exc_module": "billiard.exceptions", "exc_message": [job.reason]}
    if state == states.REVOKED:
        return {"exc_type": "TaskRevokedError", "exc_module": "celery.exceptions", "exc_message": [job.reason]}
    if state == states.RETRY:
        return {"exc_type": "Retry", "exc_module": "celery.exceptions", "exc_message": [job.reason]}
    return job.result
