"""/jobs/failed: the dead letters, which wait for a person, and what failed alike.

To run a group again: POST /jobs/orders with `{"verb": "retry", "which": {"signature": ...}}`.
"""

from datetime import datetime
from typing import Any

from django.http import HttpRequest
from ninja import Query, Router, Schema
from pydantic import Field

from jobs import errors
from jobs.api import filters
from jobs.api.asked import Asked, Name
from jobs.api.callers import caller, needs
from jobs.api.paging import Cursor, Limit, Page
from jobs.api.shapes import HEAVY, JobOut

router = Router(tags=["jobs"])


class FailedFilter(Asked):
    queue: Name = ""
    task: str = Field("", max_length=255)
    tenant: Name = ""
    tag: Name = ""
    signature: str = Field("", max_length=200)


class FailureGroup(Schema):
    """Failed jobs whose errors say the same, but for numbers, ids, addresses and quoted parts."""

    signature: str = Field(examples=["ValueError: no room <n>"])
    count: int
    first: datetime | None = Field(description="when the first of them was given up")
    last: datetime | None
    tasks: list[str]


class FailureGroups(Schema):
    items: list[FailureGroup] = Field(description="the most frequent first; 200 at most")
    more: bool = Field(description="more than 10,000 jobs have failed, and these are the kinds of the newest 10,000")


@router.get("/failed", auth=needs("jobs:read"), response=Page[JobOut])
def list_failed_jobs(request: HttpRequest, which: Query[FailedFilter], limit: Limit = 50, cursor: Cursor = "") -> Any:
    """Given up, with the reason. Newest first."""
    who = caller(request)
    wanted = filters.JobFilter(state="failed", **which.dict()).selection(who)
    return filters.page(wanted, who.jobs().defer(*HEAVY), limit, cursor)


@router.get("/failed/groups", auth=needs("jobs:read"), response=FailureGroups)
def list_failure_groups(request: HttpRequest) -> Any:
    """What failed alike, and how often."""
    groups = errors.groups(caller(request).jobs())
    return {"items": groups.found, "more": groups.more}
