"""A job as the API shows it: in a list, and with all that happened to it.

Used by every router that answers with jobs. The promise: arguments and results are there for those with the scope
jobs:reveal only; what machines said and what a task wrote has addresses masked for those who may not know them.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from ninja import Schema
from pydantic import Field

from jobs import neighbours
from jobs.models import Attempt, Job

HEAVY = ("args", "kwargs", "options", "result", "log", "checkpoint", "progress")  # not read for lists
STATES = (
    "scheduled waits for its time, queued has a message out, running is held by a worker; succeeded, failed (waits "
    "for a person), cancelled, expired (was of no use any more)"
)


class JobOut(Schema):
    """A job."""

    id: UUID = Field(description="also Celery's task id, in Flower and in logs")
    task: str = Field(examples=["notifications.deliver"])
    state: str = Field(description=STATES, examples=["scheduled"])
    queue: str = Field(examples=["default"])
    priority: int = Field(description="higher goes first: 1 low, 5 normal, 10 high, 20 urgent", examples=[5])
    run_at: datetime = Field(description="not before this time")
    expires_at: datetime | None = Field(description="not started after this time; null: never too late")
    reason: str = Field(description="why it is in this state", examples=["ValueError: no room 17"])
    attempts: int = Field(description="how often a worker took it")
    failures: int = Field(description="how many of its attempts failed")
    max_attempts: int | None = Field(description="null: no limit")
    unique_key: str | None
    tag: str = Field(description="what it is about", examples=["booking:17"])
    tenant: str
    concurrency_key: str
    cancel_requested: bool = Field(description="it runs, and is asked to stop")
    created_at: datetime
    started_at: datetime | None = Field(description="its last attempt")
    finished_at: datetime | None


class AttemptOut(Schema):
    """A run that did not simply succeed."""

    number: int
    outcome: str = Field(description="errored, snoozed, stopped or lost (its worker went away)")
    error: str = Field(examples=["ConnectionError: refused"])
    exception: str = Field(description="the path of its class", examples=["builtins.ConnectionError"])
    worker: str
    started_at: datetime | None
    seconds: float | None
    traceback: str | None = Field(description="null without jobs:reveal")


class EventOut(Schema):
    """Somebody asked something of it."""

    at: datetime
    by: str = Field(description="key:<its beginning>, user:<name>, a name of the admin, or Flower's login")
    verb: str
    reason: str
    before: str = Field(description="its state")
    outcome: str


class Progress(Schema):
    done: int
    total: int
    note: str


class JobDetail(JobOut):
    """A job, and all that happened to it."""

    worker: str = Field(description="who holds it, or held it last")
    signature: str = Field(description="of its last error: the same for all that failed alike")
    progress: Progress | None
    log: list[str] = Field(description="the last 200 lines that it wrote")
    history: list[AttemptOut]
    events: list[EventOut]
    revealed: bool = Field(description="whether the following are told: with the scope jobs:reveal")
    args: list[Any] | None
    data: dict[str, Any] | None = Field(description="its arguments by name")
    result: Any = Field(description="what it returned; of a failed one, its exception")
    checkpoint: Any = Field(description="where its next attempt goes on")
    parent_id: UUID | None = Field(description="the job that made it")


class Receipt(Schema):
    """What became of a cancel."""

    id: UUID
    receipt: str = Field(
        description="cancelled: it will not run; in flight: it is asked to stop; finished: it was over before",
        examples=["cancelled"],
    )
    state: str = Field(description="its state now", examples=["cancelled"])
    finished_at: datetime | None


PLAIN = (
    *("id", "task", "state", "queue", "priority", "run_at", "failures", "max_attempts", "unique_key", "tenant"),
    *("concurrency_key", "cancel_requested", "created_at", "started_at", "finished_at"),
)


def shown(job: Job) -> dict[str, Any]:
    """As JobOut has it."""
    return {name: getattr(job, name) for name in PLAIN} | {
        "expires_at": job.useful_until,
        "reason": neighbours.shown(job.reason),
        "attempts": job.token,
        "tag": job.correlation_id,
    }


def detail(job: Job, *, reveal: bool) -> dict[str, Any]:
    """Two queries beside the job's own."""
    secret = {"args": job.args, "data": job.kwargs, "result": job.result, "checkpoint": job.checkpoint}
    return {
        **shown(job),
        **(secret if reveal else dict.fromkeys(secret)),
        "revealed": reveal,
        "worker": job.worker,
        "signature": job.signature,
        "progress": _progress(job),
        "log": [neighbours.shown(line) for line in job.log or []],
        "history": [_attempt(one, reveal=reveal) for one in job.attempts.all()],
        "events": list(job.events.all()),
        "parent_id": job.options.get("parent_id"),
    }


def _progress(job: Job) -> dict[str, Any] | None:
    """As `running.progress` tells it. A state of the task's own has any content: see `result` and jobs:reveal."""
    told = job.progress or {}
    if "done" not in told:
        return None
    return {"done": told["done"], "total": told["total"], "note": neighbours.shown(str(told.get("note") or ""))}


def _attempt(one: Attempt, *, reveal: bool) -> dict[str, Any]:
    return {
        "number": one.number,
        "outcome": one.outcome,
        "error": neighbours.shown(one.error),
        "exception": one.exception,
        "worker": one.worker,
        "started_at": one.started_at,
        "seconds": one.duration.total_seconds() if one.duration is not None else None,
        "traceback": neighbours.shown(one.traceback) if reveal else None,
    }
