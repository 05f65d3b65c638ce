"""A job of the ledger as Django's Tasks API shows it: a TaskResult.

Used by `backends` (get_result) and `task_runner` (signals, context). Reads rows and changes none.
"""

from datetime import datetime
from typing import Any

from django.utils.module_loading import import_string

from jobs.models import Attempt, Job, Priority
from jobs.tasks_api import TASK_MAX_PRIORITY, TASK_MIN_PRIORITY, Task, TaskError, TaskResult, TaskResultStatus

S = Job.State

STATUS = {
    S.SCHEDULED: TaskResultStatus.READY,
    S.QUEUED: TaskResultStatus.READY,
    S.RUNNING: TaskResultStatus.RUNNING,
    S.SUCCEEDED: TaskResultStatus.SUCCESSFUL,
    S.FAILED: TaskResultStatus.FAILED,
    S.CANCELLED: TaskResultStatus.FAILED,
    S.EXPIRED: TaskResultStatus.FAILED,
}

LOST = "celery.exceptions.WorkerLostError"
REVOKED = "celery.exceptions.TaskRevokedError"  # Celery's word for cancelled and for expired
UNKNOWN = "celery.exceptions.NotRegistered"


def result_of(job: Job, task: "Task[Any, Any] | None" = None) -> "TaskResult[Any]":
    """The job, a call of `task_runner.run`, as it is now. `task` saves looking it up.

    Raises ImportError when the task's function is gone, InvalidTask when its backend has no such queue any more.
    """
    attempts = list(job.attempts.all()) if job.token else []
    result: TaskResult[Any] = TaskResult(
        task=task or _task(job),
        id=str(job.pk),
        status=STATUS[S(job.state)],
        enqueued_at=job.created_at,
        started_at=attempts[0].started_at if attempts else job.started_at,
        last_attempted_at=job.started_at,  # written at each claim
        finished_at=job.finished_at,
        args=job.kwargs["args"],
        kwargs=job.kwargs["kwargs"],
        backend=job.kwargs["backend"],
        errors=_errors(job, attempts),
        worker_ids=_workers(job, attempts),
    )
    object.__setattr__(result, "_return_value", job.result)  # frozen, and no argument of its __init__
    return result


def priority_of(task: "Task[Any, Any]") -> int:
    """The task's -100 to 100 on the ledger's scale. One to one, so that what is ordered stays so; 0 is NORMAL."""
    return task.priority + Priority.NORMAL


def _task(job: Job) -> "Task[Any, Any]":
    """The task as it was called: the decorated one with what `using` changed."""
    task: Task[Any, Any] = import_string(job.kwargs["path"])
    run_after = job.kwargs["run_after"]
    priority = job.priority - Priority.NORMAL
    return task.using(
        backend=job.kwargs["backend"],
        queue_name=job.queue,
        priority=min(max(priority, TASK_MIN_PRIORITY), TASK_MAX_PRIORITY),  # a person may have moved it off the scale
        run_after=datetime.fromisoformat(run_after) if run_after else None,
    )


def _workers(job: Job, attempts: list[Attempt]) -> list[str]:
    """One name for each attempt, the running or successful one included: it has no story of its own."""
    names = [attempt.worker for attempt in attempts]
    if job.worker and not any(attempt.number == job.token for attempt in attempts):
        names.append(job.worker)
    return names


def _errors(job: Job, attempts: list[Attempt]) -> list[TaskError]:
    """What went wrong in each attempt, and what ended the job beside them."""
    bad = [attempt for attempt in attempts if attempt.outcome in (Attempt.Outcome.ERRORED, Attempt.Outcome.LOST)]
    errors = [
        TaskError(
            exception_class_path=LOST if attempt.outcome == Attempt.Outcome.LOST else attempt.exception,
            traceback=attempt.traceback or attempt.error,
        )
        for attempt in bad
    ]
    if job.state in (S.CANCELLED, S.EXPIRED):
        errors.append(TaskError(exception_class_path=REVOKED, traceback=f"{job.state}: {job.reason}"))
    elif job.state == S.FAILED and not (bad and bad[-1].error == job.reason):
        errors.append(TaskError(exception_class_path=UNKNOWN, traceback=job.reason))
    return errors
