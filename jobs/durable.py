"""Durable: the base class that turns a Celery task into a job of the ledger.

    @shared_task(base=Durable, bind=True, autoretry_for=(ConnectionError,), retry_backoff=True)
    def send_invoice(self, invoice_id: int) -> None: ...

    send_invoice.delay(7)                                   # a row, in the caller's transaction
    send_invoice.apply_async((7,), eta=friday, queue="messages")

The promise: what `delay` and `apply_async` returned for is in the database, whatever happens to the broker. The
message that later reaches a worker carries no arguments; it only says which row to look at.
"""

import json
import math
import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from celery import Task, current_app
from celery.exceptions import Retry
from celery.result import AsyncResult
from celery.utils.serialization import raise_with_context
from django.db.models.functions import Now

from jobs import executor, ledger
from jobs.executor import Snooze, Stop
from jobs.ids import new_id
from jobs.models import Job, Priority

__all__ = ["Durable", "PayloadError", "Priority", "Snooze", "Stop", "named", "names"]

LONGEST_PAYLOAD = 64 * 1024  # bytes of JSON; larger data belongs in storage, by reference


class PayloadError(ValueError):
    """The arguments cannot be kept in a row."""


if TYPE_CHECKING:
    _Task = Task[Any, Any]
else:
    _Task = Task  # generic for type checkers only


class Durable(_Task):
    """A task whose every call is a row first. See the module's text."""

    abstract = True
    priority = Priority.NORMAL
    Result: ClassVar = AsyncResult

    # Celery keeps in `__trace__` the function that a worker calls for a message. Ours looks at the row first.
    _traced: Any = None

    @property
    def __trace__(self) -> Any:
        return self._traced and executor.Nudged(self, self._traced)

    @__trace__.setter
    def __trace__(self, tracer: Any) -> None:
        self._traced = tracer

    @property
    def claimed(self) -> Job:
        """The job that this call runs for, as it was claimed; for bound tasks."""
        job: Job = self.request.job  # type: ignore[attr-defined]  # the executor puts it there
        return job

    def apply_async(  # type: ignore[override]  # takes **options, as Celery's own implementation does
        self,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        task_id: str | uuid.UUID | None = None,
        **options: Any,
    ) -> "AsyncResult[Any]":
        """Insert the job and return a handle on it. Nothing is published here.

        Takes Celery's countdown, eta, expires, queue, priority, headers, time_limit and soft_time_limit, and of ours
        unique_key, tenant, concurrency_key and correlation_id. Raises TypeError for arguments that do not fit the task,
        for options that mean nothing on a row, PayloadError for arguments that JSON cannot hold, ValueError for naive
        times.
        """
        if self.app.conf.task_always_eager:
            return super().apply_async(tuple(args or ()), dict(kwargs or {}), str(task_id or new_id()), **options)
        return self.AsyncResult(str(ledger.enqueue(self.job(args, kwargs, task_id=task_id, **options)).pk))

    def job(
        self,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        *,
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
        """The row that `apply_async` would insert, not yet inserted: for `ledger.enqueue_many`."""
        args, kwargs = list(args or ()), dict(kwargs or {})
        if self.typing:
            self.__header__(*args, **kwargs)  # type: ignore[attr-defined]  # raises TypeError as a plain call would
        job = Job(
            task=self.name,
            args=_storable(args, "arguments"),
            kwargs=_storable(kwargs, "keyword arguments"),
            options=_storable(_carried(self.name, options), "options"),
            queue=self._lane(queue),
            priority=self.priority if priority is None else priority,
            run_at=_moment(eta, "eta") or (Now() + timedelta(seconds=countdown) if countdown else Now()),
            useful_until=_until(self.expires if expires is None else expires),
            max_attempts=None if self.max_retries is None else self.max_retries + 1,
            unique_key=unique_key,
            tenant=tenant,
            concurrency_key=concurrency_key,
            correlation_id=correlation_id,
        )
        if task_id is not None:
            job.pk = _uuid(task_id)
        return job

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
        if options:
            raise TypeError(f"retry of a durable task does not take {', '.join(sorted(options))}")
        limit = self.max_retries if max_retries is None else max_retries
        if limit is not None and request.retries >= limit:
            self._exhausted(exc)
        if eta is None and countdown is None:
            countdown = self.default_retry_delay
        again = Retry(exc=exc, when=_moment(eta, "eta") or countdown)  # type: ignore[arg-type]  # seconds may be a float
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


def named(task: str) -> Durable:
    """The durable task of that name. Raises LookupError with the names there are."""
    found = current_app.tasks.get(task)
    if not isinstance(found, Durable):
        raise LookupError(f"{task!r} is not a durable task. Known: {', '.join(names())}")
    return found


def names() -> list[str]:
    """The names of the durable tasks that this process has code for."""
    return sorted(name for name, task in current_app.tasks.items() if isinstance(task, Durable))


def _carried(task: str, options: dict[str, Any]) -> dict[str, Any]:
    """The options that are kept on the row for the run. Anything else is refused: ignoring it would be a lie."""
    carried = {key: value for key, value in options.items() if key in executor.CARRIED and value}
    ours = {"routing_key", "exchange", "ignore_result", "producer", "shadow", "add_to_parent"}
    refused = sorted(key for key, value in options.items() if value and key not in executor.CARRIED | ours)
    if refused:
        raise TypeError(f"{task} is durable: its calls do not take {', '.join(refused)}")
    return carried


def _storable(value: Any, what: str) -> Any:
    """The value, if it survives being stored as JSON on every database. Raises PayloadError."""
    try:
        text = json.dumps(value, allow_nan=False)
        text.encode()
        kept = json.loads(text)
    except (TypeError, ValueError) as exc:
        raise PayloadError(f"The {what} cannot be stored as JSON ({exc}). Pass ids and plain values.") from exc
    if len(text) > LONGEST_PAYLOAD:
        raise PayloadError(
            f"The {what} take {len(text)} bytes; at most {LONGEST_PAYLOAD} are kept. Store the data, pass its id."
        )
    if r"\u0000" in text or _surrogate(text):
        raise PayloadError(f"The {what} hold a NUL character or half a surrogate pair, which databases refuse.")
    return kept


def _surrogate(text: str) -> bool:
    try:
        json.dumps(json.loads(text), ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    return False


def _moment(value: datetime | None, name: str) -> datetime | None:
    if value is not None and value.tzinfo is None:
        raise ValueError(f"{name}={value} names no time zone. Pass an aware datetime, e.g. datetime(..., tzinfo=UTC).")
    return value


def _until(expires: Any) -> Any:
    if expires is None or isinstance(expires, datetime):
        return _moment(expires, "expires")
    seconds = expires.total_seconds() if isinstance(expires, timedelta) else float(expires)
    if not math.isfinite(seconds):
        raise ValueError(f"expires={expires} is not a number of seconds")
    return Now() + timedelta(seconds=seconds)


def _changed(args: Sequence[Any] | None, kwargs: Mapping[str, Any] | None) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    if args is not None:
        changes["args"] = _storable(list(args), "arguments")
    if kwargs is not None:
        changes["kwargs"] = _storable(dict(kwargs), "keyword arguments")
    return changes


def _uuid(value: str | uuid.UUID) -> uuid.UUID:
    try:
        return value if isinstance(value, uuid.UUID) else uuid.UUID(value)
    except ValueError as exc:
        raise ValueError(f"task_id={value!r} is not a UUID. To name a job yourself, pass unique_key=.") from exc
