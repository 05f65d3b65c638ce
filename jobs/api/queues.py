"""/queues: how each is doing; pause and resume it, its limits, how many processes work for it, deleting what is over.

The figures are those of the dashboard (`stats`) and of the last hour (`throughput`): of the jobs that the caller may
see. Only who has all of a queue changes it: not who has some of its tenants.
"""

from datetime import timedelta
from typing import Any, Literal

from celery import current_app
from django.conf import settings
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from ninja import Router, Schema
from pydantic import Field, StrictBool

from jobs import bulk, crews, pauses, pruner, stats, throughput
from jobs.api.asked import Asked, Reason
from jobs.api.callers import Caller, caller, needs
from jobs.api.pauses import PauseOut, Pausing, Resumed, paused, until_of
from jobs.api.problems import Problem, invalid, not_found
from jobs.models import Queue

router = Router(tags=["queues"])


class Percentiles(Schema):
    """Seconds. null: nothing was measured."""

    p50: float | None
    p95: float | None
    p99: float | None


class Limits(Schema):
    window: int = Field(description="how many jobs may be queued at the broker at once")
    concurrency: int | None = Field(description="how many may be queued or running at once; null: no limit")
    rate_count: int | None = Field(description="how many may be sent to workers in a period; null: no limit")
    rate_period: float = Field(description="seconds")
    rate_burst: int | None = Field(description="how many may go at once after a quiet time; null: as in a period")


class QueueOut(Schema):
    """A queue as it is now. Numbers above 10,000 mean: more than that."""

    name: str = Field(examples=["default"])
    waiting: int = Field(description="for a worker: due and not sent, or queued")
    active: int = Field(description="running")
    delayed: int = Field(description="waiting for their time")
    overdue: int = Field(description="due and not sent yet")
    oldest_due_seconds: float | None = Field(description="since when the longest waits; null: none is due")
    failed: int = Field(description="given up; they wait for a person")
    completed_lately: int = Field(description="succeeded within the last `lately_seconds`")
    failed_lately: int
    lately_seconds: float = Field(description="an hour, or less where more finished in it than are counted")
    per_minute: float = Field(description="that succeeded, on average of that time")
    wait_seconds: Percentiles = Field(description="from due to their start, of those that succeeded lately")
    run_seconds: Percentiles = Field(description="from their start to their end; jobs of one message share its time")
    limits: Limits
    processes: int = Field(description="of all its workers that are here")
    desired_processes: int | None = Field(description="null: as the workers were started")
    paused: PauseOut | None


class Queues(Schema):
    items: list[QueueOut]


class LimitsCall(Asked):
    """What is not said stays; null takes a limit away."""

    window: int | None = Field(None, strict=True, ge=1, le=100_000)
    concurrency: int | None = Field(None, strict=True, ge=1, le=1_000_000)
    rate_count: int | None = Field(None, strict=True, ge=1, le=10_000_000)
    rate_period: float | None = Field(None, strict=True, ge=0.001, le=86_400, description="seconds")
    rate_burst: int | None = Field(None, strict=True, ge=1, le=10_000_000)


class Clean(Asked):
    """What is over and not wanted any more."""

    state: Literal["completed", "succeeded", "failed", "cancelled", "expired"]
    older_than: float = Field(
        strict=True, ge=0, le=315_360_000, description="seconds since they ended", examples=[86400]
    )
    limit: int = Field(1_000, strict=True, ge=1, le=10_000)
    dry_run: StrictBool = Field(False, description="true: only count; changes nothing")


class Cleaned(Schema):
    count: int = Field(description="deleted, or to be deleted; the limit at most")
    more: bool = Field(description="there are more than the limit")
    dry_run: bool


class Scale(Asked):
    processes: int | None = Field(
        strict=True, ge=1, description="of all its workers together; null: as they were started"
    )
    reason: Reason = Field(min_length=1)


class Scaled(Schema):
    """Workers follow within ten seconds; nothing that runs is killed."""

    queue: str
    desired: int | None
    actual: int = Field(description="processes of all workers that are here")
    scalable: bool = Field(description="false: no worker of it can be scaled at this moment")


class Pausal(Schema):
    paused: PauseOut | None
    taken_back: int = Field(description="queued jobs whose messages were taken back")


@router.get("", auth=needs("queues:read"), response=Queues)
def list_queues(request: HttpRequest) -> Any:
    """All queues of the caller, by name."""
    return {"items": figures(caller(request))}


@router.get("/{name}", auth=needs("queues:read"), response=QueueOut)
def get_queue(request: HttpRequest, name: str) -> Any:
    """How it is doing."""
    found = [one for one in figures(caller(request)) if one["name"] == name]
    if not found:
        raise not_found("queue")
    return found[0]


@router.post("/{name}/pause", auth=needs("queues:pause"), response=Pausal)
def pause_queue(request: HttpRequest, name: str, call: Pausing) -> Any:
    """Stop sending. Planning and cancelling go on, and what runs already runs on. Survives restarts."""
    who = caller(request)
    _owned(who, name)
    until = until_of(call)
    taken = pauses.pause("queue", [name], by=who.name, reason=call.reason, until=until)
    return {"paused": paused("queue", name), "taken_back": taken}


@router.post("/{name}/resume", auth=needs("queues:pause"), response=Resumed)
def resume_queue(request: HttpRequest, name: str) -> Any:
    """Send again, from the next tick on."""
    _owned(caller(request), name)
    return {"was_paused": bool(pauses.resume("queue", [name]))}


@router.patch("/{name}/limits", auth=needs("queues:change"), response=Limits)
def change_queue_limits(request: HttpRequest, name: str, call: LimitsCall) -> Any:
    """They hold for all workers together, from the next dispatch on."""
    _owned(caller(request), name)
    for field in call.model_fields_set & {"window", "rate_period"}:
        if getattr(call, field) is None:
            raise invalid(field, "is always there; say how much")
    queue, _new = Queue.objects.get_or_create(name=name)
    if "window" in call.model_fields_set and call.window is not None:
        queue.window = call.window
    if "concurrency" in call.model_fields_set:
        queue.concurrency = call.concurrency
    if "rate_count" in call.model_fields_set:
        queue.rate_count = call.rate_count
    if "rate_burst" in call.model_fields_set:
        queue.rate_burst = call.rate_burst
    if "rate_period" in call.model_fields_set and call.rate_period is not None:
        queue.rate_period = timedelta(seconds=call.rate_period)
    try:
        queue.full_clean(validate_unique=False)
    except ValidationError as exc:
        raise invalid("limits", "; ".join(exc.messages)) from exc
    if call.model_fields_set:  # the dispatcher keeps its counts in the same row
        queue.save(update_fields=sorted(call.model_fields_set))
    return _limits(queue)


@router.post("/{name}/clean", auth=needs("jobs:clean"), response=Cleaned)
def clean_queue(request: HttpRequest, name: str, call: Clean) -> Any:
    """Delete jobs that are over, the oldest first. Their unique keys are remembered: a second call stays the second.

    Jobs that an unfinished group waits for stay.
    """
    who = caller(request)
    _there(who, name)
    state = "succeeded" if call.state == "completed" else call.state
    aged = pruner.over(who.jobs().filter(queue=name), state, timedelta(seconds=call.older_than))
    if call.dry_run:
        number = aged.order_by()[: call.limit + 1].count()
        return {"count": min(number, call.limit), "more": number > call.limit, "dry_run": True}
    number = pruner.clean(aged, call.limit)
    return {"count": number, "more": aged.exists(), "dry_run": False}


@router.post("/{name}/scale", auth=needs("queues:scale"), response=Scaled)
def scale_queue(request: HttpRequest, name: str, call: Scale) -> Any:
    """Want so many processes for it, while everything runs. Kept until somebody wants something else."""
    who = caller(request)
    _owned(who, name)
    try:
        crews.desire(name, call.processes, by=who.name, reason=call.reason)
    except ValueError as exc:
        raise invalid("processes", str(exc)) from exc
    (crew,) = crews.of([name])
    able = any(member.scalable for member in crew.members)
    return {"queue": name, "desired": crew.desired, "actual": crew.actual, "scalable": able}


def figures(who: Caller) -> list[dict[str, Any]]:
    """Of each queue. Raises Problem 403 for a key of some tasks: the figures are of all."""
    if who.tasks:
        raise Problem(403, "This key is for some tasks, and queues are of all: ask GET /jobs with a filter.")
    now = bulk.database_now()
    traffic, lately = stats.traffic(now, who.scope), throughput.measured(now, who.scope)
    return [_shown(lane, lately, now) for lane in traffic.lanes]


def _shown(lane: stats.Lane, found: throughput.Throughput, now: Any) -> dict[str, Any]:
    name, lately = lane.row.name, found.of(lane.row.name)
    return {
        "name": name,
        "waiting": lane.due.number + lane.queued,
        "active": lane.running,
        "delayed": found.delayed.get(name, 0),
        "overdue": lane.due.number,
        "oldest_due_seconds": (now - lane.due.oldest).total_seconds() if lane.due.oldest else None,
        "failed": found.failed.get(name, 0),
        "completed_lately": lately.succeeded,
        "failed_lately": lately.failed,
        "lately_seconds": found.span.total_seconds(),
        "per_minute": found.a_minute(name),
        "wait_seconds": throughput.percentiles(lately.waits),
        "run_seconds": throughput.percentiles(lately.runs),
        "limits": _limits(lane.row),
        "processes": lane.crew.actual,
        "desired_processes": lane.crew.desired,
        "paused": lane.pause,
    }


def _limits(queue: Queue) -> dict[str, Any]:
    names = ("window", "concurrency", "rate_count", "rate_burst")
    return {name: getattr(queue, name) for name in names} | {"rate_period": queue.rate_period.total_seconds()}


def _there(who: Caller, name: str) -> None:
    """Raises Problem 404 for a queue that there is not, or of which the caller has nothing."""
    served = name in current_app.amqp.queues and name != settings.JOBS_CLOCK_QUEUE
    within = who.scope.limits is None or any(not queues or name in queues for queues, _ in who.scope.limits)
    if not within or not (served or Queue.objects.filter(pk=name).exists()):
        raise not_found("queue")


def _owned(who: Caller, name: str) -> None:
    _there(who, name)
    if not who.owns(name):
        raise Problem(403, f"queue: only who has all of {name} may do this, and this key has a part of it.")
