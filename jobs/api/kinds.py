"""/jobs/types: what kinds of jobs there are for a caller, with their arguments as JSON Schema."""

from typing import Any

from django.http import HttpRequest
from ninja import Router, Schema
from pydantic import Field

from jobs import aliases, kinds
from jobs.api.callers import Caller, caller, needs
from jobs.durable import Durable

router = Router(tags=["jobs"])


class Kind(Schema):
    """A kind of job: a durable task."""

    task: str = Field(examples=["jobs.export"])
    aliases: list[str] = Field(description="names that mean it as well", examples=[["data_export"]])
    description: str
    arguments: dict[str, Any] = Field(description="JSON Schema of `data`")
    queue: str = Field(description="where it runs, unless a call says otherwise")
    priority: int
    max_attempts: int | None = Field(description="null: no limit")
    timeout: float | None = Field(description="seconds; null: the installation's TASK_TIME_LIMIT")
    rate_limit: str | None = Field(description="for all workers together", examples=["10 in 60 s"])
    version: int = Field(description="of its arguments")


class Kinds(Schema):
    items: list[Kind]


@router.get("/types", auth=needs(None), response=Kinds)
def list_job_types(request: HttpRequest) -> Any:
    """Those that the caller may make: for forms, and for checking data before it is sent."""
    who = caller(request)
    return {"items": [_shown(kind) for kind in kinds.all_of_them() if _open(kind, who)]}


def _open(kind: Durable, who: Caller) -> bool:
    return (not kind.internal or bool(aliases.of(str(kind.name)))) and who.may_call(str(kind.name))


def _shown(kind: Any) -> dict[str, Any]:
    told, rate = kinds.described(kind), kind.rate
    return {
        "task": told["task"],
        "aliases": told["names"],
        "description": (kind.run.__doc__ or "").strip(),
        "arguments": told["schema"],
        "queue": told["queue"],
        "priority": kind.priority,
        "max_attempts": told["max_attempts"],
        "timeout": kind.time_limit,
        "rate_limit": f"{rate.count} in {rate.period.total_seconds():g} s" if rate else None,
        "version": told["version"],
    }
