"""/limits: how many jobs of a concurrency key run at once, and how often a task may run, on all workers together.

They are for all queues and tenants, so for callers who see all jobs. A queue's own limits are at /queues.
"""

from typing import Any

from django.core.exceptions import ValidationError
from django.http import HttpRequest
from ninja import Router, Schema
from pydantic import Field

from jobs import registry
from jobs.api.asked import Asked
from jobs.api.callers import Caller, caller, needs
from jobs.api.problems import Problem, invalid, not_found
from jobs.models import KeyLimit, TaskRate

router = Router(tags=["queues"])


class KeyLimitOut(Schema):
    key: str = Field(description="venue:7, or venue:* for each venue; * for all others", examples=["venue:*"])
    limit: int = Field(description="how many of its jobs may be queued or running at once, in each tenant")


class KeyLimits(Schema):
    items: list[KeyLimitOut] = Field(description="the longest that fits a key counts; without any: one at a time")


class KeyLimitCall(Asked):
    limit: int = Field(strict=True, ge=1, le=1_000_000)


class RateOut(Schema):
    task: str
    rate: str = Field(description="in place of the task's own; 0: no limit", examples=["10/m"])


class Rates(Schema):
    items: list[RateOut]


class RateCall(Asked):
    rate: str = Field(max_length=20, description="such as 10/s, 100/m or 5/h; 0: no limit", examples=["10/m"])


@router.get("/keys", auth=needs("limits:read"), response=KeyLimits)
def list_key_limits(request: HttpRequest) -> Any:
    """How many jobs of each concurrency key run at once."""
    _all(caller(request))
    return {"items": list(KeyLimit.objects.all())}


@router.put("/keys/{path:key}", auth=needs("limits:write"), response=KeyLimitOut)
def set_key_limit(request: HttpRequest, key: str, call: KeyLimitCall) -> Any:
    """From the next dispatch on."""
    who = caller(request)
    who.permit("jobs.add_keylimit")
    _all(who)
    if len(key) > 100:
        raise invalid("key", "has more than 100 letters")
    row, _new = KeyLimit.objects.update_or_create(key=key, defaults={"limit": call.limit})
    return row


@router.delete("/keys/{path:key}", auth=needs("limits:write"), response={204: None})
def delete_key_limit(request: HttpRequest, key: str) -> Any:
    """What fits it next counts then."""
    who = caller(request)
    who.permit("jobs.delete_keylimit")
    _all(who)
    if not KeyLimit.objects.filter(pk=key).delete()[0]:
        raise not_found("limit")
    return None


@router.get("/tasks", auth=needs("limits:read"), response=Rates)
def list_task_rates(request: HttpRequest) -> Any:
    """Those that somebody ordered; GET /jobs/types tells the tasks' own."""
    _all(caller(request))
    rows = TaskRate.objects.exclude(ordered="")
    return {"items": [{"task": row.task, "rate": row.ordered} for row in rows]}


@router.put("/tasks/{name}", auth=needs("limits:write"), response=RateOut)
def set_task_rate(request: HttpRequest, name: str, call: RateCall) -> Any:
    """In place of the task's own, within a second."""
    who = caller(request)
    who.permit("jobs.change_taskrate")
    _all(who)
    if name not in registry.names():
        raise not_found("task")
    try:
        TaskRate(task=name, ordered=call.rate).full_clean(validate_unique=False)
    except ValidationError as exc:
        raise invalid("rate", "; ".join(exc.messages)) from exc
    row, _new = TaskRate.objects.update_or_create(task=name, defaults={"ordered": call.rate})
    return {"task": row.task, "rate": row.ordered}


@router.delete("/tasks/{name}", auth=needs("limits:write"), response={204: None})
def delete_task_rate(request: HttpRequest, name: str) -> Any:
    """The task's own rate holds again."""
    who = caller(request)
    who.permit("jobs.change_taskrate")
    _all(who)
    if not TaskRate.objects.filter(pk=name).exclude(ordered="").update(ordered=""):
        raise not_found("rate")
    return None


def _all(who: Caller) -> None:
    if not who.sees_all:
        raise Problem(403, "These limits are of all queues and tenants, and this key has some of them.")
