"""/jobs/{id}/...: run one again, run it now, give it another time or priority. 409 where its state forbids it.

The verbs are those of `orders`, which write down who wanted it and why, in the same transaction.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.http import HttpRequest
from ninja import Router
from pydantic import Field

from jobs import bulk, orders
from jobs.api.asked import Asked, Moment, Reason, Seconds, Why
from jobs.api.callers import Caller, caller, needs
from jobs.api.calls import SCALES, Clock, Level, Milliseconds, Scale, lasting, level_of
from jobs.api.jobs import one_of
from jobs.api.problems import Problem, invalid
from jobs.api.shapes import JobOut, shown
from jobs.models import Job

router = Router(tags=["jobs"])


class Reschedule(Asked):
    run_at: Moment | None = None
    delay: Seconds | None = Field(None, description="seconds from now")
    delay_ms: Milliseconds | None = Field(None, description="milliseconds from now")
    when: str | None = Field(None, max_length=200, description="in words", examples=["tomorrow at 9am"])
    reason: Reason = ""


class Reprioritise(Asked):
    priority: Level
    priority_scale: Scale | None = Field(None, description=SCALES)
    reason: Reason = ""


@router.post("/{uuid:job_id}/retry", auth=needs("jobs:retry"), response=JobOut)
def retry_job(request: HttpRequest, job_id: UUID, why: Why) -> Any:
    """Run it again: one that failed, was cancelled, expired or succeeded. Its attempts are counted anew."""
    job, asked = _asked(request, job_id, why.reason)
    return _done(job, orders.retry([job_id], asked), "is not over; only what is over runs again")


@router.post("/{uuid:job_id}/run-now", auth=needs("jobs:postpone"), response=JobOut)
def run_job_now(request: HttpRequest, job_id: UUID, why: Why) -> Any:
    """Let what waits for its time go with the next tick."""
    job, asked = _asked(request, job_id, why.reason)
    return _done(job, orders.run_now([job_id], asked), "does not wait for its time")


@router.post("/{uuid:job_id}/reschedule", auth=needs("jobs:postpone"), response=JobOut)
def reschedule_job(request: HttpRequest, job_id: UUID, to: Reschedule) -> Any:
    """Give it another time, earlier or later. It keeps its id and its history."""
    job, asked = _asked(request, job_id, to.reason)
    now = bulk.database_now()
    moment = moment_of(to, now)
    if job.useful_until and moment >= job.useful_until:
        raise invalid("run_at", f"it would never start: it expires at {job.useful_until.isoformat()}")
    return _done(job, orders.postpone([job_id], asked, to=moment), "does not wait")


@router.post("/{uuid:job_id}/reprioritise", auth=needs("jobs:reprioritise"), response=JobOut)
def reprioritise_job(request: HttpRequest, job_id: UUID, to: Reprioritise) -> Any:
    """Let it go before or after others of its queue. One that has this priority already is answered as it is."""
    level = level_of(to.priority, to.priority_scale)
    job, asked = _asked(request, job_id, to.reason)
    if job.priority == level and job.state in (Job.State.SCHEDULED, Job.State.QUEUED):
        return shown(job)
    return _done(job, orders.reprioritise([job_id], asked, int(level or 0)), "does not wait")


def moment_of(to: Any, now: Any) -> Any:
    """The moment that is asked for, by the database's clock. Raises Problem 422 unless one is."""
    said = {name: getattr(to, name, None) for name in ("run_at", "delay", "delay_ms", "when")}
    if len([one for one in said.values() if one is not None]) != 1:
        raise invalid("run_at", "say when, once: run_at, delay (seconds), delay_ms or, for one job, when (words)")
    if said["run_at"] is not None:
        return said["run_at"]
    after = (
        Clock(now).understood(said["when"]) if said["when"] is not None else lasting(said["delay"], said["delay_ms"])
    )
    return after if isinstance(after, datetime) else now + after


def _asked(request: HttpRequest, pk: UUID, reason: str) -> tuple[Job, orders.Asked]:
    who: Caller = caller(request)
    return one_of(who, pk), orders.Asked(who.name, reason)


def _done(job: Job, outcomes: orders.Outcomes, why_not: str) -> dict[str, Any]:
    now = Job.objects.get(pk=job.pk)
    if outcomes.get(job.pk) != orders.DONE:
        raise Problem(409, f"The job is {now.state}: it {why_not}.", state=now.state)
    return shown(now)
