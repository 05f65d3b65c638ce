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
from contextlib import nullcontext
from datetime import datetime, timedelta
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, NamedTuple

from celery import Task, shared_task
from celery.contrib.django.task import DjangoTask
from celery.exceptions import Ignore, Retry
from celery.result import denied_join_result
from django.db import transaction

from jobs import atomic, attributes, bulk, canvas, connections, executor, ledger, replacing, retries, rows
from jobs.buckets import Rate
from jobs.connections import AWAY
from jobs.models import Job, Priority
from jobs.payload import Payload, PayloadError
from jobs.recorder import insist
from jobs.results import JobResult
from jobs.running import Detached, Running
from jobs.verdict import GATHER, Permanent, Replaced, Snooze, Stop

__all__ = ["AWAY", "Durable", "PayloadError", "Permanent", "Priority", "Snooze", "Stop", "insist"]

OURS = frozenset(
    {"cancelled_because", "concurrency_key", "correlation_id", "max_attempts", "tenant", "unique_key", "when"}
)


class Call(NamedTuple):
    """The arguments of one of many calls."""

    args: Sequence[Any]
    kwargs: Mapping[str, Any]


if TYPE_CHECKING:
    _Task = Task[Any, Any]
else:
    _Task = DjangoTask  # generic for type checkers only


class Durable(_Task):
    """A task whose every call is a row first. See the module's text."""

    abstract = True
    is_durable = True
    Request = "jobs.requests:JobRequest"  # how the main process hears of a job's process that is gone
    store_errors_even_if_ignored = False  # the ledger keeps them; Celery's result tables would be a second story
    ignore_result = False  # True: the row keeps no return value
    internal = False  # True: called by code only, not over the API
    atomic = False  # True: what the body writes and its success are one transaction, see atomic.py
    priority = Priority.NORMAL
    rate: Rate | None = None  # what `rate_limit` says, see rates.py
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

    @classmethod
    def on_bound(cls, app: Any) -> None:
        attributes.check(cls)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The body, called by Celery's tracer for a job, or directly as a function."""
        running = getattr(self.request, "running", None)
        if running is None or running.begun:
            with transaction.atomic() if self.atomic else nullcontext():
                return super().__call__(*args, **kwargs)
        running.begun = True
        body = partial(self._body, running, *args, **kwargs)
        return atomic.begin(running, body) if self.atomic else body()

    def _body(self, running: Running, *args: Any, **kwargs: Any) -> Any:
        try:
            value = self.run(*args, **kwargs)
        except (Ignore, Retry):
            raise
        except Exception as exc:
            if running.asked is not None:  # retry(throw=False)
                raise running.asked from exc
            raise
        if running.asked is not None:
            raise running.asked
        running.returned = True
        if self.request.callbacks or self.request.chain:
            connections.refresh()  # the tracer inserts them now; the database may have restarted since the job began
        return value

    @property
    def running(self) -> Running:
        """The present run, for bound tasks: its job as it was claimed, progress, log, checkpoint, cancel."""
        return getattr(self.request, "running", None) or Detached(Job(task=self.name))

    def AsyncResult(self, task_id: str, **_: Any) -> JobResult:
        """A handle on a job of this task."""
        return JobResult(task_id, app=self.app)

    def schedule(self, when: datetime | timedelta | str, *args: Any, **kwargs: Any) -> Any:
        """Like `delay`, at a time: "in 30 minutes", "tomorrow at 9am", ISO 8601, a datetime or a timedelta.

        What names no zone means Django's current one. Raises ValueError for what is past or has not one meaning.
        """
        return self.apply_async(args, kwargs, when=when)

    def delay_on_commit(self, *args: Any, **kwargs: Any) -> Any:
        """The same as `delay`: the row is part of the transaction, so no worker sees it before."""
        return self.apply_async(args, kwargs)

    def apply_async_on_commit(self, *args: Any, **kwargs: Any) -> Any:
        """The same as `apply_async`."""
        return self.apply_async(*args, **kwargs)

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
        tenant, concurrency_key, correlation_id, max_attempts (in place of the task's) and when (see `schedule`).
        `cancelled_because` keeps a call that shall not run, with the reason. Raises TypeError for arguments that do not
        fit the task and for options that mean nothing on a row, PayloadError for arguments that JSON cannot hold,
        ValueError for naive times.
        """
        if cancelled_because and not self.app.conf.task_always_eager:
            return self.AsyncResult(str(self._stillborn(cancelled_because, task_id=task_id, **options).pk))
        job = self.job(args, kwargs, task_id=task_id, **options)
        if self.app.conf.task_always_eager:
            return self._at_once(job, {name: said for name, said in options.items() if name not in OURS})
        return self.AsyncResult(str(ledger.enqueue(job).pk))

    def _at_once(self, job: Job, options: dict[str, Any]) -> Any:
        """Run in this process, as task_always_eager has it, with the arguments as a worker would get them."""
        args, kwargs = self.payload.load(job.args, job.kwargs)
        with denied_join_result():
            return self.apply(tuple(args), kwargs, task_id=str(job.pk), **options)

    def _stillborn(self, reason: str, **options: Any) -> Job:
        """A job whose arguments will never be known: whoever asks for it finds it cancelled, and why."""
        with transaction.atomic():
            job = ledger.enqueue(rows.template(self, **options))
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
        if self._names_itself or self.app.conf.task_always_eager:
            with transaction.atomic():
                return [uuid.UUID(self.apply_async(*_as_call(call), **options).id) for call in calls]
        template = rows.template(self, now=bulk.database_now(), **options)
        return bulk.insert(template, (self.arguments(*_as_call(call)) for call in calls))

    def job(self, args: Sequence[Any] | None = None, kwargs: Mapping[str, Any] | None = None, **options: Any) -> Job:
        """The row that `apply_async` would insert, not yet inserted: for `ledger.enqueue_many`."""
        if self._names_itself and not options.get("shadow"):
            name: Any = self.shadow_name
            options["shadow"] = name(args, kwargs, options)
        job = rows.template(self, **options)
        job.args, job.kwargs = self.arguments(args or (), kwargs or {})
        return job

    @cached_property
    def _names_itself(self) -> bool:
        """Whether the task gives each call a name of its own."""
        return type(self).shadow_name is not Task.shadow_name

    def arguments(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        """As the row keeps them. Raises TypeError or PayloadError for what does not fit."""
        if self.typing:
            self.__header__(*args, **kwargs)  # type: ignore[attr-defined]  # raises TypeError as a plain call would
        return self.payload.dump(args, kwargs)

    @cached_property
    def payload(self) -> Payload:
        """The parameters of the task's function."""
        return Payload(getattr(self, "_orig_run", self.run))

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
        """As Celery's, but publishes nothing: the executor reads the Retry and the row backs off.

        Of Celery's options those that a row can change: queue, priority, expires, time_limit, soft_time_limit, headers,
        shadow. With `throw=False` the job goes on and is tried again when it ends, however it ends.
        """
        request = self.request
        if request.called_directly or request.is_eager:
            return super().retry(args, kwargs, exc, throw, eta, countdown, max_retries, **options)
        changes = retries.changes(self, args, kwargs, options)
        again = retries.again(self, exc, eta, countdown, max_retries, changes)
        if throw:
            raise again
        self.running.asked = again
        return again

    def replace(self, sig: Any) -> Any:
        """End this job and let another take its place; see replacing.py."""
        if self.request.called_directly or self.request.is_eager:
            return super().replace(sig)
        return replacing.prepared(self, sig, super().replace)

    def on_replace(self, sig: Any) -> Any:
        if self.request.is_eager:
            return super().on_replace(sig)
        raise Replaced(sig, str(self.request.id))

    def update_state(self, task_id: Any = None, state: str | None = None, meta: Any = None, **_: Any) -> None:
        """A state of the task's own, such as PROGRESS, and what belongs to it, for AsyncResult while the job runs."""
        if task_id not in (None, self.request.id):
            raise TypeError("A job tells its own state; another's is the ledger's.")
        self.running.tell_state(state, meta)

    def add_to_chord(self, sig: Any, lazy: bool = False) -> Any:
        raise TypeError("The size of a chord is fixed when it is called; chain a second chord, or start a batch.")

    def map(self, it: Any) -> Any:
        raise TypeError(f"{self.name} is durable; Celery runs a map as one plain task. Call enqueue_many().")

    def starmap(self, it: Any) -> Any:
        return self.map(it)

    def chunks(self, it: Any, n: int) -> Any:
        return self.map(it)


@shared_task(base=Durable, name=GATHER, internal=True)
def gather(results: list[Any]) -> list[Any]:
    """The end of a group that replaced a job: its results."""
    return results


def _as_call(call: Sequence[Any] | Mapping[str, Any] | Call) -> Call:
    if isinstance(call, Call):
        return call
    return Call((), call) if isinstance(call, Mapping) else Call(call, {})
