"""Durable: the base class that turns a Celery task into a job of the ledger.

    @shared_task(base=Durable, bind=True, autoretry_for=(ConnectionError,), retry_backoff=True)
    def send_invoice(self, invoice_id: int) -> None: ...

    send_invoice.delay(7)                                   # a row, in the caller's transaction
    send_invoice.apply_async((7,), eta=friday, queue="messages")

The promise: what `delay` and `apply_async` returned for is in the database, whatever happens to the broker. The
message that later reaches a worker carries no arguments; it only says which row to look at.
"""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from celery import Task
from celery.exceptions import Retry
from celery.utils.serialization import raise_with_context
from django.db import transaction
from django.db.models.functions import Now

from jobs import bulk, canvas, executor, ledger
from jobs.ids import new_id
from jobs.models import Job, Priority
from jobs.options import as_uuid, kept, moment, until
from jobs.payload import Payload, PayloadError, storable
from jobs.recorder import insist
from jobs.results import JobResult
from jobs.running import Running
from jobs.verdict import Permanent, Snooze, Stop

__all__ = ["Durable", "PayloadError", "Permanent", "Priority", "Snooze", "Stop", "insist"]


class Call(NamedTuple):
    """The arguments of one of many calls."""

    args: Sequence[Any]
    kwargs: Mapping[str, Any]


if TYPE_CHECKING:
    _Task = Task[Any, Any]
else:
    _Task = Task  # generic for type checkers only


class Durable(_Task):
    """A task whose every call is a row first. See the module's text."""

    abstract = True
    is_durable = True
    Request = "jobs.requests:JobRequest"  # how the main process hears of a job's process that is gone
    store_errors_even_if_ignored = False  # the ledger keeps them; Celery's result tables would be a second story
    priority = Priority.NORMAL
    batch_size = 1  # how many jobs may share a message; for small idempotent kinds 100 or more
    version = 1  # of the arguments; raise it when they change, and teach `upcast` the old ones
    concurrency = 1  # how many jobs of one message run at a time, on threads; for kinds that wait on a network

    # Celery keeps in `__trace__` the function that a worker calls for a message. Ours looks at the row first.
    _traced: Any = None

    @property
    def __trace__(self) -> Any:
        return self._traced and executor.Nudged(self, self._traced)

    @__trace__.setter
    def __trace__(self, tracer: Any) -> None:
        self._traced = tracer

    @property
    def running(self) -> Running:
        """The present run, for bound tasks: its job as it was claimed, progress, log, checkpoint, cancel."""
        running: Running = self.request.running  # type: ignore[attr-defined]  # the executor puts it there
        return running

    def AsyncResult(self, task_id: str, **_: Any) -> JobResult:
        """A handle on a job of this task."""
        return JobResult(task_id, app=self.app)

    def apply_async(  # type: ignore[override]  # takes **options, as Celery's own implementation does
        self,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        task_id: str | uuid.UUID | None = None,
        *,
        cancelled_because: str = "",
        **options: Any,
    ) -> Any:
        """Insert the job and return a handle on it. Nothing is published here.

        Takes Celery's options (see `jobs.options` for the few that mean nothing on a row), and of ours unique_key,
        tenant, concurrency_key and correlation_id. `cancelled_because` keeps a call that shall not run, with the
        reason. Raises TypeError for arguments that do not fit the task and for options that mean nothing on a row,
        PayloadError for arguments that JSON cannot hold, ValueError for naive times.
        """
        if self.app.conf.task_always_eager:
            return super().apply_async(tuple(args or ()), dict(kwargs or {}), str(task_id or new_id()), **options)
        if cancelled_because:
            return self.AsyncResult(str(self._stillborn(cancelled_because, task_id=task_id, **options).pk))
        return self.AsyncResult(str(ledger.enqueue(self.job(args, kwargs, task_id=task_id, **options)).pk))

    def _stillborn(self, reason: str, **options: Any) -> Job:
        """A job whose arguments will never be known: whoever asks for it finds it cancelled, and why."""
        with transaction.atomic():
            job = ledger.enqueue(self._row(**options))
            ledger.cancel([job.pk], reason)
        return job

    def enqueue_many(
        self, calls: Iterable[Sequence[Any] | Mapping[str, Any] | Call], **options: Any
    ) -> list[uuid.UUID]:
        """One job for each call: its arguments as a sequence, as a mapping, or both as a `Call`. Returns their ids.

        The options are those of `apply_async`, the same for all. All or nothing, in the caller's transaction.
        """
        for name in ("task_id", "unique_key", *sorted(canvas.LINKS)):
            if options.get(name):
                raise TypeError(f"{name} belongs to one job; enqueue_many makes many")
        template = self._row(now=bulk.database_now(), **options)
        return bulk.insert(template, (self._arguments(*_as_call(call)) for call in calls))

    def job(self, args: Sequence[Any] | None = None, kwargs: Mapping[str, Any] | None = None, **options: Any) -> Job:
        """The row that `apply_async` would insert, not yet inserted: for `ledger.enqueue_many`."""
        job = self._row(**options)
        job.args, job.kwargs = self._arguments(args or (), kwargs or {})
        return job

    def _arguments(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        if self.typing:
            self.__header__(*args, **kwargs)  # type: ignore[attr-defined]  # raises TypeError as a plain call would
        return self.payload.dump(args, kwargs)

    @cached_property
    def payload(self) -> Payload:
        """The parameters of the task's function."""
        return Payload(getattr(self, "_orig_run", self.run))

    def _row(
        self,
        *,
        now: datetime | Now | None = None,
        task_id: str | uuid.UUID | None = None,
        countdown: float | None = None,
        eta: datetime | None = None,
        expires: float | timedelta | datetime | None = None,
        queue: Any = None,
        priority: int | None = None,
        unique_key: str | None = None,
        tenant: str = "",
        concurrency_key: str = "",
        correlation_id: str = "",
        **options: Any,
    ) -> Job:
        """Everything about a job but its arguments."""
        now = now or Now()
        if not isinstance(options.get("headers") or {}, Mapping):
            raise TypeError(f"headers={options['headers']!r} is not a mapping of names to values")
        pk = new_id() if task_id is None else as_uuid(task_id, "task_id")
        lane = self._lane(queue)
        group_id, group_index = canvas.membership(options)
        return Job(
            pk=pk,
            group_id=group_id and as_uuid(group_id, "group_id"),
            group_index=group_index,
            task=self.name,
            options=storable(kept(self.name, pk, lane, options), "options"),
            version=self.version,
            queue=lane,
            priority=self.priority if priority is None else priority,
            run_at=moment(eta, "eta") or (now + timedelta(seconds=countdown) if countdown else now),
            useful_until=until(self.expires if expires is None else expires, now),
            max_attempts=None if self.max_retries is None else self.max_retries + 1,
            unique_key=unique_key,
            tenant=tenant,
            concurrency_key=concurrency_key,
            correlation_id=correlation_id,
        )

    def upcast(self, version: int, args: list[Any], kwargs: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        """Arguments as `version` of the task stored them, for the present one. Override it with a new `version`."""
        return args, kwargs

    def retry(
        self,
        args: tuple[Any, ...] | None = None,
        kwargs: dict[str, Any] | None = None,
        exc: Exception | None = None,
        throw: bool = True,
        eta: datetime | None = None,
        countdown: float | None = None,
        max_retries: int | None = None,
        **options: Any,
    ) -> Retry:
        """As Celery's, but publishes nothing: the executor reads the Retry and the row backs off."""
        request = self.request
        if request.called_directly or request.is_eager:
            return super().retry(args, kwargs, exc, throw, eta, countdown, max_retries, **options)
        if isinstance(exc, Permanent):
            raise exc
        if options:
            raise TypeError(f"retry of a durable task does not take {', '.join(sorted(options))}")
        limit = self.max_retries if max_retries is None else max_retries
        if limit is not None and request.retries >= limit:
            self._exhausted(exc)
        if eta is None and countdown is None:
            countdown = self.default_retry_delay
        again = Retry(exc=exc, when=moment(eta, "eta") or countdown)  # type: ignore[arg-type]  # seconds may be a float
        again.changes = _changed(args, kwargs)  # type: ignore[attr-defined]  # read by the executor
        if throw:
            raise again
        return again

    def _exhausted(self, exc: Exception | None) -> NoReturn:
        if exc is not None:
            raise_with_context(exc)
        raise self.MaxRetriesExceededError(f"{self.name}[{self.request.id}] has no attempts left")

    def _lane(self, queue: Any) -> str:
        """The queue's name. One that no worker serves would swallow the job."""
        name = str(getattr(queue, "name", queue) or getattr(self, "queue", None) or self.app.conf.task_default_queue)
        if name not in self.app.amqp.queues:
            known = ", ".join(sorted(self.app.amqp.queues))
            raise ValueError(f"Unknown queue {name!r}. Known: {known}. New queues are named in JOBS_QUEUES.")
        return name


def _as_call(call: Sequence[Any] | Mapping[str, Any] | Call) -> Call:
    if isinstance(call, Call):
        return call
    return Call((), call) if isinstance(call, Mapping) else Call(call, {})


def _changed(args: Sequence[Any] | None, kwargs: Mapping[str, Any] | None) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    if args is not None:
        changes["args"] = storable(list(args), "arguments")
    if kwargs is not None:
        changes["kwargs"] = storable(dict(kwargs), "keyword arguments")
    return changes
