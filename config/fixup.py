"""What Celery's tasks are here that are no jobs, and how worker processes look after their connections.

Celery's own fixup for Django asks on two signals, for each task, whether connections are to be closed; answering "no"
took a third of what a small job costs. Durable tasks have `jobs.executor` ask once a message, the others `PlainTask`.
"""

from functools import cached_property
from typing import TYPE_CHECKING, Any

from celery import Celery, signals
from celery.contrib.django.task import DjangoTask
from celery.fixups import django
from celery.worker.request import Request

if TYPE_CHECKING:
    _Task = DjangoTask[Any, Any]
else:
    _Task = DjangoTask  # generic for type checkers only

MASKED = "..."  # as of jobs


class PlainRequest(Request):
    """A message of a task that is no job, in the worker's main process."""

    def send_event(self, type: str, **fields: Any) -> None:  # noqa: A002  (Celery's name)
        """What the task returned is no more for all who look into Flower than what it was called with."""
        if "result" in fields:
            fields["result"] = MASKED
        super().send_event(type, **fields)


class PlainTask(_Task):
    """The base of tasks that are no jobs. Flower is told their names, not what they are about."""

    abstract = True
    Request = "config.fixup:PlainRequest"

    def apply_async(self, *args: Any, **options: Any) -> Any:
        masked = {"argsrepr": MASKED, "kwargsrepr": MASKED}
        return super().apply_async(*args, **{**masked, **options})

    def before_start(self, *_: Any) -> None:
        """A database that restarted costs one attempt, not a worker that is deaf until somebody restarts it."""
        from jobs import connections

        connections.refresh()


class _WorkerFixup(django.DjangoWorkerFixup):  # type: ignore[name-defined,misc]  # the stubs do not know it
    def validate_models(self) -> None:
        """Without the checks, whose answer Celery ignores: config/serving/start.py asks them, and not twice."""
        self.django_setup()

    def install(self) -> "_WorkerFixup":
        super().install()
        signals.task_prerun.disconnect(self.on_task_prerun)
        signals.task_postrun.disconnect(self.on_task_postrun)
        return self


class _Fixup(django.DjangoFixup):
    @cached_property
    def worker_fixup(self) -> _WorkerFixup:
        return _WorkerFixup(self.app)


def install(app: Celery) -> Any:
    """Celery calls it for each application that names it among its fixups."""
    fixup: Any = _Fixup(app)
    return fixup.install()
