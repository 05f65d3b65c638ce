"""/rules: when to remind of what, and how. Each change can first be tried: what it would do to what is booked and owed.

There is no DELETE: deliveries speak of their rule for ever. `active: false` ends it.
"""

from datetime import datetime, time, timedelta
from typing import Annotated, Any, Literal

from django.db import IntegrityError
from django.http import HttpRequest, HttpResponse
from ninja import Query, Router, Schema, Status
from pydantic import Field

from jobs.api.callers import Caller, caller, needs
from jobs.api.paging import Cursor, Limit, Page, page
from jobs.api.problems import Problem, invalid
from notifications import rules
from notifications.api import reach
from notifications.api.fields import (
    ChannelName,
    Channels,
    Clock,
    DryRun,
    Id,
    In,
    Seconds,
    Tenant,
    WallTime,
    line,
    seconds,
)
from notifications.api.rows import columns, listed
from notifications.models import ReminderRule
from notifications.overrides import Overrides
from notifications.previews import Preview, foresee

router = Router(tags=["rules"])

Anchor = Literal["booking_start", "payment_due", "booking_made", "booking_moved", "booking_cancelled"]
DURATIONS = ("offset", "useful_for", "tolerance", "repeat_every")
CLOCKS = ("at_time", "quiet_from", "quiet_until")
TAKEN = "There is a rule of this name. Change that one, or take another name."
Small = Annotated[int, Field(strict=True, ge=0, le=32_767)]
TWO_YEARS = 730 * 86_400
Offset = Annotated[
    int,
    Field(strict=True, ge=-TWO_YEARS, le=TWO_YEARS, description="seconds; negative is before", examples=[-86_400]),
]
Switch = Annotated[bool, Field(strict=True)]


class More(In):
    """What has a usual value."""

    at_time: Clock | None = Field(
        None, description="at this time of that day, in the anchor's zone; offset: whole days"
    )
    channels: Channels = Field(["email"], description="the first that reaches the customer is used")
    useful_for: Seconds | None = Field(None, description="not sent later than this; null: until the start")
    tolerance: Annotated[int, Field(strict=True, ge=0, le=86_400)] = Field(0, description="seconds it may go out later")
    quiet_from: Clock | None = Field(None, description="nothing from here, by the customer's clocks")
    quiet_until: Clock | None = None
    quiet: Literal["earlier", "later", "skip"] = Field("later", description="what becomes of it in quiet hours")
    repeat_every: Seconds | None = Field(None, description="again after this, until paid")
    repeat_times: Annotated[int, Field(strict=True, ge=0, le=100)] = 0
    per_day: Annotated[int, Field(strict=True, ge=1, le=32_767)] | None = None
    digest: Switch = False
    unless_confirmed: Switch = False
    level: Small = 0
    active: Switch = True


class RuleIn(More):
    tenant: Tenant = None
    name: line(100, "2 hours before a booking")  # type: ignore[valid-type]
    anchor: Anchor
    offset: Offset
    message: line(100, "booking_upcoming", "which words: see /templates")  # type: ignore[valid-type]


class RuleChange(More):
    """Only what is there is changed."""

    name: line(100, "2 hours before a booking") = ""  # type: ignore[valid-type]
    anchor: Anchor = "booking_start"
    offset: Offset = 0
    message: line(100, "booking_upcoming") = ""  # type: ignore[valid-type]


class RuleOut(Schema):
    id: int = Field(examples=[17])
    tenant: str = Field(description="for this tenant alone; empty: for all")
    name: str
    anchor: Anchor
    offset: int = Field(description="seconds from the anchor; negative is before")
    at_time: WallTime | None
    channels: list[ChannelName]
    message: str
    useful_for: int | None = Field(description="seconds")
    tolerance: int = Field(description="seconds")
    quiet_from: WallTime | None
    quiet_until: WallTime | None
    quiet: str
    repeat_every: int | None = Field(description="seconds")
    repeat_times: int
    per_day: int | None
    digest: bool
    unless_confirmed: bool
    level: int
    active: bool
    changed_at: datetime


class Effect(Schema):
    kind: str = Field(examples=["planned"], description="planned, moved, withdrawn, skipped, in flight")
    reason: str = Field(examples=["the rule is switched off"])
    number: int


class RulePreview(Schema):
    """What would happen to the bookings and payments there are. Nothing was changed."""

    looked_at: int
    one_in: int = Field(description="of very many a sample is looked at; the numbers are the sample's")
    effects: list[Effect]
    at_once: int = Field(description="messages that would go out within a minute")
    within_the_hour: int
    examples: list[str]
    fingerprint: str = Field(description="the same decisions have the same; pass it as `seen`")


class Filters(In):
    anchor: Anchor | None = None
    active: bool | None = None
    tenant: str | None = Field(None, max_length=100, description="empty: those of all tenants")


class Trying(In):
    dry_run: DryRun = False
    seen: str = Field("", max_length=64, description="fingerprint of a dry run; 409 if it would do something else now")


def rules_of(who: Caller) -> Any:
    """Also those of all tenants; those of messages to many belong to their change."""
    return who.of_tenant(ReminderRule.objects.filter(bulk__isnull=True), shared=True)


def told(row: ReminderRule) -> dict[str, Any]:
    return columns(row) | {name: seconds(getattr(row, name)) for name in DURATIONS}


def told_of(preview: Preview) -> dict[str, Any]:
    names = ("looked_at", "one_in", "at_once", "within_the_hour", "examples", "fingerprint")
    rows = [{"kind": kind, "reason": reason, "number": number} for kind, reason, number in preview.rows]
    return {name: getattr(preview, name) for name in names} | {"effects": rows}


def typed(said: dict[str, Any]) -> dict[str, Any]:
    """As the columns have it."""
    values = dict(said)
    for name in DURATIONS:
        if values.get(name) is not None:
            values[name] = timedelta(seconds=values[name])
    for name in CLOCKS:
        if values.get(name) is not None:
            values[name] = time.fromisoformat(values[name])
    return values


def looked(preview: Preview, trying: Trying) -> Preview:
    """Raises Problem 409 where what was looked at is not what would happen now."""
    if trying.seen and trying.seen != preview.fingerprint:
        raise Problem(409, "What it would do has changed since. Look at it again (dry_run=true).")
    return preview


@router.get("/rules", auth=needs("rules:read"), response=Page[RuleOut])
def list_rules(request: HttpRequest, filters: Query[Filters], limit: Limit = 50, cursor: Cursor = "") -> Any:
    """The tenant's own and those that are shared, by what they are about and when."""
    said = {name: value for name, value in filters.model_dump().items() if value is not None}
    return listed(page(rules_of(caller(request)).filter(**said), limit, cursor, ("pk",)), told)


@router.post("/rules", auth=needs("rules:write"), response={201: RuleOut, 200: RulePreview})
def create_rule(request: HttpRequest, body: RuleIn, trying: Query[Trying], response: HttpResponse) -> Any:
    """With dry_run: 200 and what it would do. Else it is saved, and a job plans what it is about."""
    who = caller(request)
    who.permit("notifications.add_reminderrule")
    tenant = reach.tenant_for(who, body.tenant, "rule")
    rule = ReminderRule(**typed(body.model_dump()) | {"tenant": tenant})
    rules.check(rule)
    if trying.dry_run or trying.seen:
        preview = looked(foresee(rule, Overrides([])), trying)
        if trying.dry_run:
            return Status(200, told_of(preview))
    try:
        rules.add(rule)
    except IntegrityError as exc:
        raise Problem(409, TAKEN) from exc
    response["Location"] = f"/api/v1/rules/{rule.pk}"
    return Status(201, told(rule))


@router.get("/rules/{rule_id}", auth=needs("rules:read"), response=RuleOut)
def get_rule(request: HttpRequest, rule_id: Id) -> Any:
    """As it is now."""
    return told(reach.one(rules_of(caller(request)), rule_id, "rule"))


@router.patch("/rules/{rule_id}", auth=needs("rules:write"), response={200: RuleOut | RulePreview})
def change_rule(request: HttpRequest, rule_id: Id, body: RuleChange, trying: Query[Trying]) -> Any:
    """With dry_run: what it would do. Else it is saved, and a job plans anew what it is about."""
    who = caller(request)
    rule = reach.own(who, reach.one(rules_of(who), rule_id, "rule"), "rule")
    said = typed(body.model_dump(exclude_unset=True))
    if not said:
        raise invalid("name", "say what to change")
    for name, value in said.items():
        setattr(rule, name, value)
    rules.check(rule)
    if trying.dry_run or trying.seen:
        preview = looked(foresee(rule, Overrides.of([rule])), trying)
        if trying.dry_run:
            return told_of(preview)
    try:
        return told(rules.change(rule, *said))
    except IntegrityError as exc:
        raise Problem(409, TAKEN) from exc
