"""How worker processes look after their connections: once a message, not before and after each job.

Celery's own fixup for Django asks on two signals, for each task, whether connections are to be closed; answering "no"
took a third of what a small job costs. Durable tasks have `jobs.executor` ask once a message, the others `PlainTask`.
"""

from functools import cached_property
from typing import TYPE_CHECKING, Any

from celery import Celery, signals
from celery.contrib.django.task import DjangoTask
from celery.fixups import django

if TYPE_CHECKING:
    _Task = DjangoTask[Any, Any]
else:
    _Task = DjangoTask  # generic for type checkers only


class PlainTask(_Task):
    """The base of tasks that are no jobs."""

    abstract = True

    def before_start(self, *_: Any) -> None:
        """A database that restarted costs one attempt, not a worker that is deaf until somebody restarts it."""
        from jobs import connections

        connections.refresh()


class _WorkerFixup(django.DjangoWorkerFixup):  # type: ignore[name-defined,misc]  # the stubs do not know it
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
