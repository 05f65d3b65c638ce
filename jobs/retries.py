"""`self.retry(...)` of a durable task: as Celery's, but the row backs off and nothing is published.

Used by `Durable`. What it raises carries what shall be different at the next attempt; the executor reads it.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, NoReturn

from celery.exceptions import Retry
from celery.utils.serialization import raise_with_context
from django.db.models.functions import Now

from jobs.options import check_limits, kept, level, moment, seconds, until
from jobs.rows import lane, limit_of
from jobs.verdict import Permanent

if TYPE_CHECKING:
    from jobs.durable import Durable

COLUMNS = frozenset({"expires", "priority", "queue"})
KEPT = frozenset({"headers", "shadow", "soft_time_limit", "time_limit"})


def again(
    task: "Durable",
    exc: Exception | None,
    eta: datetime | None,
    countdown: float | None,
    max_retries: int | None,
    changes: dict[str, Any],
) -> Retry:
    """The exception that sends the present attempt back. Raises `exc` itself when no attempts are left."""
    if isinstance(exc, Permanent):
        raise exc
    limit = max_retries
    if max_retries in (None, limit_of(task)):  # the task's own, which whoever made the job may have changed
        most = task.running.job.max_attempts
        limit = None if most is None else most - 1
    if limit is not None and task.request.retries >= limit:
        _exhausted(task, exc)
    if eta is not None and countdown is not None:
        raise TypeError("countdown and eta both say when to try again; pass one of them")
    if countdown is not None:
        countdown = seconds(countdown, "countdown")
    elif eta is None:
        countdown = task.default_retry_delay
    found = Retry(exc=exc, when=moment(eta, "eta") or countdown)  # type: ignore[arg-type]  # seconds may be a float
    found.changes = changes  # type: ignore[attr-defined]
    return found


def changes(
    task: "Durable", args: Sequence[Any] | None, kwargs: Mapping[str, Any] | None, options: Mapping[str, Any]
) -> dict[str, Any]:
    """The columns of the row that the next attempt finds changed. Raises TypeError for options that mean nothing."""
    said = {name: value for name, value in options.items() if value is not None}
    if unknown := sorted(said.keys() - COLUMNS - KEPT):
        raise TypeError(f"retry of a durable task does not take {', '.join(unknown)}; it is the same job")
    found: dict[str, Any] = {}
    if args is not None or kwargs is not None:
        job, was = task.running.job, task.running.arguments
        dumped = task.payload.dump(was[0] if args is None else args, was[1] if kwargs is None else kwargs)
        found |= {"args": dumped[0], "kwargs": dumped[1], "version": max(job.version, task.version)}
    if "queue" in said:
        found["queue"] = lane(task, said["queue"])
    if "priority" in said:
        found["priority"] = level(said["priority"])
    if "expires" in said:
        found["useful_until"] = until(said["expires"], Now())
    if KEPT & said.keys():
        job = task.running.job
        new = kept(task.name, job.pk, job.queue, {name: said[name] for name in KEPT & said.keys()})
        check_limits(*({**job.options, **new}.get(name) for name in ("soft_time_limit", "time_limit")))
        found["options"] = job.options | new
    return found


def _exhausted(task: "Durable", exc: Exception | None) -> NoReturn:
    if exc is not None:
        raise_with_context(exc)
    raise task.MaxRetriesExceededError(f"{task.name}[{task.request.id}] has no attempts left")
