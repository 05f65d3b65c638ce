"""/pauses: what is not sent at present: queues, tasks, tenants. Pause and resume a task or a tenant.

`pauses` does it. For a queue there is /queues/{name}/pause too.
"""

from datetime import datetime, timedelta
from typing import Any, Literal

from django.conf import settings
from django.http import HttpRequest
from django.utils import timezone
from ninja import Router, Schema
from pydantic import Field

from jobs import bulk, pauses, registry
from jobs.api.asked import Asked, Moment, Reason, Seconds
from jobs.api.callers import Caller, caller, needs
from jobs.api.problems import Problem, invalid
from jobs.models import Pause
from jobs.pauses import LONGEST, ending

router = Router(tags=["queues"])
Kind = Literal["queue", "task", "tenant"]


class PauseOut(Schema):
    """Who paused it, why and until when."""

    kind: str
    name: str = Field(description="of tenants, empty: the jobs without one")
    by: str
    reason: str
    at: datetime
    until: datetime | None = Field(description="null: until somebody resumes it")


class Pausing(Asked):
    reason: Reason = Field(min_length=1)
    until: Moment | None = Field(None, description="it ends by itself then, within 366 days")
    seconds: Seconds | None = Field(
        None, gt=0, le=LONGEST.total_seconds(), description="it ends by itself after so many"
    )


class PauseCall(Pausing):
    kind: Kind
    name: str = Field(max_length=255, examples=["notifications.deliver"])


class ResumeCall(Asked):
    kind: Kind
    name: str = Field(max_length=255)


class Paused(Schema):
    paused: PauseOut
    taken_back: int = Field(description="queued jobs whose messages were taken back")


class Resumed(Schema):
    was_paused: bool


class Pauses(Schema):
    items: list[PauseOut]


@router.get("", auth=needs("queues:read"), response=Pauses)
def list_pauses(request: HttpRequest) -> Any:
    """In force now, and the caller's to end."""
    who = caller(request)
    rows = pauses.in_force(Pause.objects.all(), bulk.database_now())
    return {"items": [one for one in rows if who.owns_pause(one.kind, one.name)]}


@router.post("", auth=needs("queues:pause"), response=Paused)
def pause(request: HttpRequest, call: PauseCall) -> Any:
    """Stop sending its jobs. Planning and cancelling go on, and what runs already runs on. Survives restarts."""
    who = caller(request)
    _owned(who, call.kind, call.name)
    taken = pauses.pause(call.kind, [call.name], by=who.name, reason=call.reason, until=until_of(call))
    return {"paused": paused(call.kind, call.name), "taken_back": taken}


@router.post("/resume", auth=needs("queues:pause"), response=Resumed)
def resume(request: HttpRequest, call: ResumeCall) -> Any:
    """Send again, from the next tick on."""
    _owned(caller(request), call.kind, call.name, gone=True)
    return {"was_paused": bool(pauses.resume(call.kind, [call.name]))}


def until_of(call: Pausing) -> datetime | None:
    if call.until is not None and call.seconds is not None:
        raise invalid("seconds", "until says when it ends; say one of them")
    if call.until is not None and call.until <= timezone.now():
        raise invalid("until", "is past")
    if call.seconds is not None:
        return bulk.database_now() + timedelta(seconds=call.seconds)
    try:
        return ending(call.until)
    except ValueError as exc:
        raise invalid("until", str(exc)) from None


def paused(kind: str, name: str) -> Pause:
    return Pause.objects.get(kind=kind, name=name)


def _owned(who: Caller, kind: str, name: str, *, gone: bool = False) -> None:
    """A task that has no code any more may be resumed, not paused: it might be a slip of the pen."""
    if not who.owns_pause(kind, name):
        raise Problem(403, f"{kind}: not all jobs of {name!r} are this key's.")
    if gone:
        return
    if kind == "task" and name not in registry.names():
        raise invalid("name", f"there is no task {name!r}")
    if kind == "queue" and name not in settings.JOBS_QUEUES:
        raise invalid("name", f"there is no queue {name!r}. There are {', '.join(settings.JOBS_QUEUES)}")
