"""A call becomes a row: everything about a job but its arguments.

Used by `Durable`. What Celery would put into a message, or look up when it sends one, is decided here and kept.
"""

import uuid
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from celery._state import get_current_worker_task
from django.db.models.functions import Now
from django.utils import timezone

from jobs import bulk, canvas
from jobs.ids import new_id
from jobs.models import Job
from jobs.moments import Present
from jobs.options import as_uuid, kept, key, level, run_at, until, word
from jobs.payload import storable

if TYPE_CHECKING:
    from jobs.durable import Durable


def template(
    task: "Durable",
    *,
    now: datetime | Now | None = None,
    task_id: str | uuid.UUID | None = None,
    countdown: float | None = None,
    eta: datetime | None = None,
    when: Any = None,
    expires: float | timedelta | datetime | None = None,
    queue: Any = None,
    priority: int | str | None = None,
    max_attempts: int | None = None,
    unique_key: str | None = None,
    tenant: str | None = "",
    concurrency_key: str | None = "",
    correlation_id: str | None = "",
    **options: Any,
) -> Job:
    """The job of a call with these options, not yet inserted. Raises what `Durable.apply_async` says."""
    made_at = now or Present()
    now = now or Now()
    times = {"countdown": countdown, "eta": eta, "when": when}
    pk = new_id() if task_id is None else as_uuid(task_id, "task_id")
    queue, retries = lane(task, queue), limit_of(task)
    usual = None if retries is None else retries + 1
    if task_id is not None and unique_key is not None and isinstance(made_at, Now):
        made_at = bulk.database_now()  # `keys` tells by it whether the row of that id is this call's
    group_id, group_index = canvas.membership(options)
    if unique_key is not None and (options.get("chord") or options.get("group_id") or options.get("chain")):
        raise TypeError(
            f"{task.name} with a unique_key is one of a group, chord or chain, and might be another's job. {canvas.OUT}"
        )
    return Job(
        pk=pk,
        group_id=group_id and as_uuid(group_id, "group_id"),
        group_index=group_index,
        task=task.name,
        options=storable(kept(str(task.name), pk, queue, _caller() | options), "options"),
        version=task.version,
        queue=queue,
        priority=level(task.priority if priority is None else priority),
        run_at=run_at(now, timezone.get_current_timezone(), timezone.now(), **times),
        useful_until=until(task.expires if expires is None else expires, now),
        max_attempts=usual if max_attempts is None else at_least_one(max_attempts),
        unique_key=key(unique_key),
        tenant=word(tenant, "tenant"),
        concurrency_key=word(concurrency_key, "concurrency_key"),
        correlation_id=word(correlation_id, "correlation_id"),
        created_at=made_at,
    )


def _caller() -> dict[str, Any]:
    """Within a worker the job or task that runs there, as Celery has it."""
    caller: Any = get_current_worker_task()
    if caller is None or (str(caller.name).startswith("jobs.") and not getattr(caller, "is_durable", False)):
        return {}  # the ledger's own upkeep is nobody's parent
    return {"parent_id": caller.request.id, "root_id": caller.request.root_id or caller.request.id}


def limit_of(task: "Durable") -> int | None:
    """How many retries. autoretry_for passes on what stands in retry_kwargs."""
    given: Mapping[str, Any] = getattr(task, "retry_kwargs", {})
    limit: int | None = given.get("max_retries", task.max_retries)
    return limit


def at_least_one(attempts: int) -> int:
    if not isinstance(attempts, int) or isinstance(attempts, bool) or not 1 <= attempts < 2**31:
        raise ValueError(f"max_attempts={attempts!r} is not a number of attempts; the least is 1")
    return attempts


def lane(task: "Durable", queue: Any = None) -> str:
    """The queue's name: the call's, the task's, or that of task_routes. One without workers would swallow the job."""
    queue = queue or getattr(task, "queue", None) or task.app.amqp.router.route({}, task.name)["queue"]
    name = str(getattr(queue, "name", queue))
    if name not in task.app.amqp.queues:
        known = ", ".join(sorted(task.app.amqp.queues))
        raise ValueError(f"Unknown queue {name!r}. Known: {known}. New queues are named in JOBS_QUEUES.")
    return name
