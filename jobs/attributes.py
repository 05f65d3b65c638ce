"""What a durable task may say about itself: Celery's task attributes, checked when it is bound to the application.

Used by `Durable.on_bound`, so that one which would mean nothing stops the start of whatever imports the task, and not a
job at night.
"""

from typing import TYPE_CHECKING, Any

from celery import Task, current_app
from celery.utils.imports import symbol_by_name

from jobs import buckets, flight, rates
from jobs.options import REFUSED, check_limits, level, seconds, until

if TYPE_CHECKING:
    from jobs.durable import Durable

OF_MESSAGES = ("compression", "delivery_mode", "exchange", "immediate", "mandatory", "routing_key")
ACKS = "a job that failed or ran out of time is over; name what is to be tried again in autoretry_for"
RESULTS = "its results are in the ledger"


def check(task: "type[Durable]") -> None:
    """Raises TypeError or ValueError that names the task and the attribute."""
    for name, value, why in _meaningless(task):
        raise TypeError(f"{task.name} is durable and cannot have {name}={value!r}: {why}.")
    try:
        _check_values(task)
    except (TypeError, ValueError) as exc:
        raise type(exc)(f"{task.name}: {exc}") from exc
    task.acks_late = False  # the row is kept until its outcome is written, whatever becomes of the message
    if "rate" not in vars(task):  # a task is bound more than once
        task.rate = buckets.parsed(task.rate_limit)
    task.rate_limit = rates.RateLimit()  # type: ignore[assignment]  # each worker would keep a limit of its own


def _meaningless(task: "type[Durable]") -> list[tuple[str, Any, str]]:
    conf = current_app.conf
    found = [(name, getattr(task, name, None), REFUSED[name]) for name in OF_MESSAGES]
    found = [(name, value, why) for name, value, why in found if value and not _is_its_queue(task, name, value)]
    if task.serializer not in (None, "json", conf.task_serializer):
        found.append(("serializer", task.serializer, REFUSED["serializer"]))
    if task.backend is not Task.backend:
        found.append(("backend", task.backend, RESULTS))
    if not task.acks_on_failure_or_timeout and conf.task_acks_on_failure_or_timeout:
        found.append(("acks_on_failure_or_timeout", False, ACKS))
    ours: Any = symbol_by_name("jobs.requests:JobRequest") if _is_custom(task) else None
    if ours and not issubclass(symbol_by_name(task.Request), ours):
        found.append(("Request", task.Request, "derive it from jobs.requests.JobRequest"))
    return found


def _is_its_queue(task: "type[Durable]", name: str, value: Any) -> bool:
    return name in ("exchange", "routing_key") and getattr(value, "name", value) == getattr(task, "queue", None)


def _is_custom(task: "type[Durable]") -> bool:
    return task.Request != "jobs.requests:JobRequest"


def _check_values(task: "type[Durable]") -> None:
    soft, hard = task.soft_time_limit, task.time_limit
    check_limits(soft, hard)
    level(task.priority)
    until(task.expires, rates.EPOCH)
    seconds(task.default_retry_delay, "default_retry_delay")
    if task.max_retries is not None and task.max_retries < 0:
        raise ValueError(f"max_retries={task.max_retries} is less than none; None means no limit")
    if not 1 <= task.batch_size <= flight.SEATS:
        raise ValueError(f"batch_size={task.batch_size} is not between 1 and {flight.SEATS}")
    if task.concurrency < 1:
        raise ValueError(f"concurrency={task.concurrency} would run nothing")
    if task.concurrency > 1 and (soft or hard):
        raise TypeError("a time limit ends a process, and with concurrency its other jobs; have one of the two")
