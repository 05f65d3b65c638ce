"""Celery's result backend: answers from the ledger for durable jobs, from django-celery-results for the rest.

Used through CELERY_RESULT_BACKEND, so AsyncResult, GroupResult and Flower ask here. A durable job's state is its row's;
nothing of it can be forgotten, overwritten or guessed.
"""

import uuid
from functools import partial
from typing import Any

from celery import current_app, states
from celery.result import AsyncResult
from django.db import transaction
from django_celery_results.backends.database import DatabaseBackend

from jobs import canvas, groups, ledger, replacing
from jobs.ids import parsed
from jobs.messages import NUDGE
from jobs.models import Group, Job

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
LONGEST_LINE = 10_000  # jobs that replaced each other, one row read for each
UNKNOWN = "UNKNOWN"  # there is no such job; Celery would say PENDING, as for a job that waits


class LedgerBackend(DatabaseBackend):  # type: ignore[misc]  # it has no types
    def _get_task_meta_for(self, task_id: str) -> dict[str, Any]:
        job = found(task_id)
        if job is None:
            return super()._get_task_meta_for(task_id)  # type: ignore[no-any-return]
        last, awaited = _last_of(job)
        meta: dict[str, Any] = super()._get_task_meta_for(awaited) if awaited else self.meta_from_decoded(_meta(last))
        return meta | {"task_id": task_id}

    def store_result(
        self, task_id: str, result: Any, state: str, *args: Any, request: Any = None, **kwargs: Any
    ) -> Any:
        """A job's outcome is recorded in its row, by whoever holds it; not twice, and not here."""
        if _is_job(request):
            return result
        return super().store_result(task_id, result, state, *args, request=request, **kwargs)

    def apply_chord(self, header_result_args: Any, body: Any, **kwargs: Any) -> None:
        """Between durable jobs the ledger waits, see `groups`; between others django-celery-results."""
        group_id, header = header_result_args
        durable = [isinstance(result, JobResult) for result in header]
        if not any(durable):
            super().apply_chord(header_result_args, body, **kwargs)
        elif all(durable) and canvas.is_durable(body):
            canvas.unkeyed(body, "the body of a chord")
            Group.objects.bulk_create([Group(pk=uuid.UUID(group_id), body=canvas.plain(body))], ignore_conflicts=True)
        else:
            raise TypeError("In a chord either the body and every job of the header are durable, or none of them.")

    def set_chord_size(self, group_id: str, chord_size: int) -> None:
        if pk := parsed(group_id):
            Group.objects.filter(pk=pk, size__isnull=True).update(size=chord_size)

    def on_chord_part_return(self, request: Any, state: str, result: Any, **kwargs: Any) -> None:
        """Called in the worker for tasks that are no jobs. One may be a step on the way to a durable member."""
        group = parsed(request.group)
        if not (group and Group.objects.filter(pk=group).exists()):
            super().on_chord_part_return(request, state, result, **kwargs)
        elif state in states.PROPAGATE_STATES and not _is_job(request):
            groups.break_off(group, f"a step before it failed: {result}"[:500])

    def mark_as_failure(
        self, task_id: str, exc: Any, traceback: Any = None, request: Any = None, **kwargs: Any
    ) -> None:
        """The ledger calls a job's errbacks and ends its group. Only the steps after it, no jobs yet, are told."""
        if not _is_job(request):
            super().mark_as_failure(task_id, exc, traceback, request, **kwargs)
            return
        for step in request.chain or ():
            if follower := step["options"].get("task_id"):
                super().store_result(follower, exc, states.FAILURE, traceback=traceback)

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
        state = str(super().state)
        return UNKNOWN if state == states.PENDING and self.job is None else state

    status = state  # type: ignore[assignment]

    def revoke(self, connection: Any = None, terminate: bool = False, signal: Any = None, **options: Any) -> Any:  # type: ignore[override]  # Celery's says nothing
        """Cancel the job, for good. Returns what became of it: cancelled, in flight or finished; None if unknown.

        `terminate` also ends the process that runs it: the workers are told when the caller's transaction is over.
        """
        pk = parsed(self.id)
        receipt = ledger.cancel([pk], "revoked").get(pk) if pk else None
        if terminate and receipt == ledger.Cancelled.IN_FLIGHT:
            told = {"connection": connection, "terminate": True, "signal": signal}
            transaction.on_commit(partial(super().revoke, **told, **options))
        return receipt

    def revoke_by_stamped_headers(self, *_: Any, **__: Any) -> Any:
        raise TypeError("Workers keep revoked stamps in their memory. Cancel the jobs: ledger.cancel(ids, reason).")

    def forget(self) -> None:
        raise TypeError("The ledger does not forget jobs on request; they are pruned by age.")


def _is_job(request: Any) -> bool:
    """Whether it is the request of a durable job's run: in the process that runs it, or in its parent."""
    return not getattr(request, "is_eager", False) and any(getattr(request, mark, None) for mark in (NUDGE, "running"))


def _last_of(job: Job) -> tuple[Job, str]:
    """The one that has its place now, and the id of the next that is not there yet, as the end of a group that runs.

    Raises LookupError where more replaced each other than anybody would wait for.
    """
    first = job.pk
    for _ in range(LONGEST_LINE):
        successor = job.options.get(replacing.KEY, "")
        after = found(successor) if successor else None
        if after is None:
            return job, successor
        job = after
    raise LookupError(f"Job {first} and its successors were replaced more than {LONGEST_LINE} times.")


def found(task_id: str) -> Job | None:
    pk = parsed(task_id)
    return Job.objects.filter(pk=pk).first() if pk else None


def _meta(job: Job) -> dict[str, Any]:
    state = states.RETRY if job.state == State.SCHEDULED and job.failures else STATES[State(job.state)]
    told = (job.progress or {}) if job.state == State.RUNNING else {}  # its own, by update_state
    state = told.get("state", state)
    last = job.attempts.last() if state in states.EXCEPTION_STATES else None
    return {
        "task_id": str(job.pk),
        "status": state,
        "result": told["meta"] if "meta" in told else _result(job, state),
        "traceback": last.traceback if last else None,
        "children": _children(job) if state == states.SUCCESS else [],
        "date_done": job.finished_at,
        "name": job.task,
        "args": job.args,
        "kwargs": job.kwargs,
        "worker": job.worker,
        "retries": job.failures,
        "queue": job.queue,
    }


def _children(job: Job) -> list[Any]:
    """What the job called at its end, as Celery stores it. What its body called names the job as its parent."""
    if not getattr(current_app.tasks.get(job.task), "trail", True):
        return []
    called = [*job.options.get("link", []), *job.options.get("chain", [])[-1:]]
    ids = [one["options"].get("task_id") for one in called]
    return [[[pk, None], None] for pk in ids if pk]


def _result(job: Job, state: str) -> Any:
    """What the job returned; for the other states an exception, as Celery stores one."""
    if state == states.FAILURE and not job.result:
        return {"exc_type": "WorkerLostError", "exc_module": "billiard.exceptions", "exc_message": [job.reason]}
    if state == states.REVOKED:
        return {"exc_type": "TaskRevokedError", "exc_module": "celery.exceptions", "exc_message": [job.reason]}
    if state == states.RETRY:
        return {"exc_type": "Retry", "exc_module": "celery.exceptions", "exc_message": [job.reason]}
    return job.result
