"""DurableBackend: Django's Tasks API (django.tasks, and django-tasks before Django 6) on the ledger.

    TASKS = {"default": {"BACKEND": "jobs.backends.DurableBackend"}}

Called by `task.enqueue()`. The promise is the ledger's: `enqueue` inserts a row in the caller's transaction. What
commits is run, though broker and workers be down; what rolls back never was. There is nothing to put off until
"on commit": a worker cannot see the row earlier, and the result has its id at once.
"""

import inspect
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.checks import CheckMessage, Error
from django.db import transaction
from django.utils.module_loading import import_string

from jobs import ledger, task_runner
from jobs.models import Job
from jobs.task_results import result_of
from jobs.tasks_api import BaseTaskBackend, InvalidTask, Task, TaskResult, TaskResultDoesNotExist, task_enqueued


class DurableBackend(BaseTaskBackend):
    """Everything the API knows of. Without QUEUES it takes those of JOBS_QUEUES. There are no OPTIONS.

    `aenqueue` and `aget_result` are the base class's: these, on the thread that holds the request's connection.
    """

    supports_defer = True
    supports_async_task = True
    supports_get_result = True
    supports_priority = True

    def __init__(self, alias: str, params: dict[str, Any]) -> None:
        super().__init__(alias, {"QUEUES": settings.JOBS_QUEUES} | params)

    def validate_task(self, task: "Task[Any, Any]") -> None:
        super().validate_task(task)
        if task.queue_name not in settings.JOBS_QUEUES:
            raise InvalidTask(
                f"Queue '{task.queue_name}' has no worker. JOBS_QUEUES: {', '.join(settings.JOBS_QUEUES)}"
            )

    def enqueue(self, task: "Task[Any, Any]", args: Sequence[Any], kwargs: Mapping[str, Any]) -> "TaskResult[Any]":
        """Insert the job. Raises InvalidTask, and TypeError or ValueError for arguments that do not fit or keep.

        A receiver of task_enqueued that raises takes the row back.
        """
        self.validate_task(task)
        _check_path(task)
        context = (None,) if task.takes_context else ()
        inspect.signature(task.func).bind(*context, *args, **kwargs)  # TypeError now, not in a worker
        with transaction.atomic():
            job = ledger.enqueue(task_runner.job_of(task, args, kwargs))
            result = result_of(job, task)
            task_enqueued.send(type(self), task_result=result)
        return result

    def get_result(self, result_id: str) -> "TaskResult[Any]":
        """The result of any task of this backend, as the row is now. Raises TaskResultDoesNotExist."""
        try:
            job = Job.objects.get(pk=UUID(str(result_id)), task=task_runner.NAME, kwargs__backend=self.alias)
        except (ValueError, Job.DoesNotExist):
            raise TaskResultDoesNotExist(result_id) from None
        return result_of(job)

    def check(self, **kwargs: Any) -> Iterable[CheckMessage]:
        yield from super().check(**kwargs)
        unserved = sorted(self.queues - set(settings.JOBS_QUEUES))
        if unserved:
            yield Error(
                f"TASKS[{self.alias!r}] has QUEUES that no worker serves: {', '.join(unserved)}.",
                hint=f"Add them to JOBS_QUEUES (now {', '.join(settings.JOBS_QUEUES)}), or leave QUEUES out.",
                id="jobs.E001",
            )


def _check_path(task: "Task[Any, Any]") -> None:
    """A worker finds the task by its path: refuse one that leads elsewhere before it is stored."""
    try:
        found = import_string(task.module_path)
    except ImportError:
        found = None
    if getattr(found, "func", None) is not task.func or task.func.__module__ == "__main__":
        raise InvalidTask(f"Workers cannot import '{task.module_path}'. Decorate the function where it is defined.")
