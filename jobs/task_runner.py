"""Runs the tasks of Django's Tasks API: one durable Celery task, called with the path of a function decorated `@task`.

`backends` enqueues it, workers import it (CELERY_IMPORTS). The path is also Celery's `shadow`, the name that Flower,
the logs and the admin show. An exception is final, as Django's API has it, unless it is Snooze or Celery's Retry.
The promise: task_finished is sent by the process that ran the task, after its outcome is in the row.
"""

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from celery import shared_task
from celery.exceptions import Retry

from jobs import executor
from jobs.durable import Durable, Snooze
from jobs.models import Job
from jobs.task_results import priority_of, result_of
from jobs.tasks_api import Task, TaskContext, TaskResult, normalize_json, task_finished, task_started

logger = logging.getLogger(__name__)

NAME = "jobs.django_task"


class Exited(Exception):
    """The task's function called sys.exit(). It ends the task, not the worker."""


class Announcing(executor.Nudged):
    """Sends task_finished when the message is done with: Celery's hooks come before the outcome is recorded."""

    def __init__(self, task: Durable, tracer: Callable[..., Any]) -> None:
        super().__init__(task, self._run_and_note)
        self._tracer = tracer
        self._ran: Job | None = None  # stays empty for a message that is dropped

    def _run_and_note(self, uuid: str, args: Any, kwargs: Any, request: dict[str, Any]) -> Any:
        self._ran = request["running"].job
        return self._tracer(uuid, args, kwargs, request)

    def __call__(self, uuid: str, args: Any, kwargs: Any, request: dict[str, Any] | None = None) -> Any:
        answer = super().__call__(uuid, args, kwargs, request)
        if self._ran is not None:
            _announce_end(self._ran)
        return answer


class Runner(Durable):
    abstract = True

    @property
    def __trace__(self) -> Any:
        return self._traced and Announcing(self, self._traced)

    @__trace__.setter
    def __trace__(self, tracer: Any) -> None:
        self._traced = tracer


@shared_task(base=Runner, bind=True, name=NAME, internal=True)
def run(
    self: Durable,
    path: str,
    args: list[Any],
    kwargs: dict[str, Any],
    backend: str,
    run_after: str | None,
) -> Any:
    """Run the Django task at `path`. `backend` and `run_after` are what it was called with, for its TaskResult."""
    try:
        result = result_of(self.running.job)
    except ImportError as exc:  # a rolling deploy: another worker, or this one later, has the code
        raise self.retry(exc=exc) from exc
    task_started.send(sender=_sender(result), task_result=result)
    context = (TaskContext(task_result=result),) if result.task.takes_context else ()
    try:
        return _storable(result.task.call(*context, *args, **kwargs))
    except Snooze:
        raise
    except Retry as again:  # through the task's own retry, which counts and knows when it is enough
        when = {"eta": again.when} if isinstance(again.when, datetime) else {"countdown": again.when}
        raise self.retry(exc=again.exc, **when) from again
    except SystemExit as exc:
        if type(exc) is not SystemExit or (isinstance(exc.code, int) and exc.code < 0):
            raise  # not the function's: the worker is being terminated
        raise Exited(f"sys.exit({exc.code!r})") from exc


def job_of(task: "Task[Any, Any]", args: Sequence[Any], kwargs: Mapping[str, Any]) -> Job:
    """The row of a call of `task`, not yet inserted. Raises TypeError, ValueError, PayloadError for bad arguments."""
    durable: Any = run
    call = {
        "path": task.module_path,
        "args": normalize_json(list(args)),
        "kwargs": normalize_json(dict(kwargs)),
        "backend": task.backend,
        "run_after": task.run_after.isoformat() if task.run_after else None,
    }
    job: Job = durable.job(
        kwargs=call,
        eta=task.run_after,
        queue=task.queue_name,
        priority=priority_of(task),
        shadow=task.module_path,
    )
    return job


def _announce_end(ran: Job) -> None:
    """Send task_finished, if that attempt ended the job. Nothing that goes wrong here changes the outcome."""
    try:
        job = Job.objects.finished().filter(pk=ran.pk, token=ran.token).first()
        if job is not None:
            result = result_of(job)
            task_finished.send_robust(sender=_sender(result), task_result=result)
    except Exception:
        logger.exception("task_finished was not sent job=%s", ran.pk)


def _sender(result: "TaskResult[Any]") -> type:
    return type(result.task.get_backend())


def _storable(value: Any) -> Any:
    """The return value as JSON. What the row cannot keep fails the task, as Django's API has it."""
    text = json.dumps(normalize_json(value), allow_nan=False, ensure_ascii=False)
    text.encode()  # half a surrogate pair raises
    if r"\u0000" in text.replace(r"\\", ""):
        raise ValueError("The return value holds a NUL character, which databases refuse.")
    return json.loads(text)
