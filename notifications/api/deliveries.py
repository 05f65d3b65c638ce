"""/deliveries: each message, what became of it and how; withdrawn, sent again, or resolved where nobody knew.

Each change is a verb of `reconciler` or `doubts`, and says who asked. What had changed meanwhile is answered with 409.
"""

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

from django.http import HttpRequest
from ninja import Query, Router, Schema
from pydantic import Field

from jobs import ledger
from jobs.api.callers import Caller, caller, needs
from jobs.api.paging import Cursor, Limit, Page, page
from jobs.api.problems import Problem
from notifications import doubts, reconciler
from notifications.api import reach
from notifications.api.fields import ChannelName, Id, In, Moment, Reason
from notifications.api.receipts import State
from notifications.api.rows import columns, listed
from notifications.models import Delivery

router = Router(tags=["deliveries"])


class DeliveryOut(Schema):
    id: UUID = Field(description="also its job's, the Message-ID and the provider's key")
    tenant: str
    rule: str = Field(examples=["24 hours before a booking"])
    customer: int = Field(description="the customer's id")
    booking: int | None
    payment: int | None
    bulk: int | None = Field(description="the change to many that it belongs to")
    channel: ChannelName
    state: State
    reason: str = Field(description="why it is skipped", examples=["opted_out"])
    detail: str = Field(description="what the provider or the error said; addresses masked without customers:reveal")
    send_at: datetime
    useful_until: datetime
    sent_at: datetime | None
    outcome: str = Field(description="told by the provider later: delivered, bounced, complained, failed")
    outcome_at: datetime | None
    doubts: int = Field(description="attempts of which nobody knows what became")
    provider_id: str
    segments: int | None = Field(description="of an SMS")
    cost: Decimal | None
    cost_currency: str
    occurrence: int
    revision: int
    fallback_of: UUID | None = Field(description="the delivery instead of which this channel is used")
    digest: UUID | None = Field(description="the message that took its content along")
    created_at: datetime


class Step(Schema):
    at: datetime | None
    what: str = Field(examples=["planned", "attempt 1 errored", "handed to the provider", "sent", "delivered"])
    detail: str


class DeliveryWithLog(DeliveryOut):
    log: list[Step] = Field(description="what was decided and what happened, in order; planned steps are in the future")


class Filters(In):
    state: State | None = None
    channel: ChannelName | None = None
    reason: str = Field("", max_length=20)
    customer: Id | None = None
    booking: Id | None = None
    payment: Id | None = None
    bulk: Id | None = None
    rule: Id | None = None
    send_from: Moment | None = Field(None, alias="from", description="planned for this moment or later")
    until: Moment | None = Field(None, description="planned for before this moment")
    tenant: str | None = Field(None, max_length=100)


class Resolution(In):
    outcome: Literal["sent", "not_sent", "again"] = Field(
        description="sent: it was taken. not_sent: it was not; the next channel takes over. again: send it, though it "
        "may arrive twice; the doubt stays counted"
    )
    reason: Reason = Field(description="how it is known")


def told(who: Caller, row: Delivery) -> dict[str, Any]:
    return columns(row) | {"rule": row.rule.name, "detail": reach.machine_text(who, row.detail)}


@router.get("/deliveries", auth=needs("deliveries:read"), response=Page[DeliveryOut])
def list_deliveries(request: HttpRequest, filters: Query[Filters], limit: Limit = 50, cursor: Cursor = "") -> Any:
    """Newest first. Filters are joined by and."""
    who = caller(request)
    named = {"send_from": "send_at__gte", "until": "send_at__lt"}
    said = {named.get(name, name): value for name, value in filters.model_dump().items() if value not in (None, "")}
    if filters.tenant == "":
        said["tenant"] = ""
    rows = reach.deliveries(who).filter(**said).select_related("rule")
    return listed(page(rows, limit, cursor), lambda row: told(who, row))


@router.get("/doubts", auth=needs("deliveries:read"), response=Page[DeliveryOut])
def list_doubts(request: HttpRequest, limit: Limit = 50, cursor: Cursor = "") -> Any:
    """Every delivery with an attempt of which nobody knows what became, oldest first."""
    who = caller(request)
    rows = who.of_tenant(doubts.in_doubt()).select_related("rule")
    return listed(page(rows, limit, cursor, ("pk",)), lambda row: told(who, row))


@router.get("/deliveries/{delivery_id}", auth=needs("deliveries:read"), response=DeliveryWithLog)
def get_delivery(request: HttpRequest, delivery_id: UUID) -> Any:
    """With the log of what was decided and what happened."""
    who = caller(request)
    row = _found(who, delivery_id)
    return told(who, row) | {"log": [step | {"detail": reach.machine_text(who, step["detail"])} for step in _log(row)]}


@router.post("/deliveries/{delivery_id}/cancel", auth=needs("deliveries:cancel"), response=DeliveryOut)
def cancel_delivery(request: HttpRequest, delivery_id: UUID) -> Any:
    """It certainly will not go out, if its state is `skipped`; `in_doubt` if an earlier attempt may have been taken."""
    who = caller(request)
    row = _found(who, delivery_id)
    reconciler.withdraw([row.pk], who.name)
    after = _found(who, delivery_id)
    if row.state != "planned" or after.state not in ("skipped", "in_doubt"):
        raise Problem(409, f"It is {_in_words(after)}: only what waits can be withdrawn.")
    return told(who, after)


@router.post("/deliveries/{delivery_id}/resend", auth=needs("deliveries:resend"), response=DeliveryOut)
def resend_delivery(request: HttpRequest, delivery_id: UUID) -> Any:
    """Try one that was refused or withdrawn again, now. Whether it goes out is still decided by what holds then."""
    who = caller(request)
    row = _found(who, delivery_id)
    if not reconciler.resend([row.pk], who.name):
        raise Problem(409, f"It is {_in_words(row)}: only what is refused or skipped, and due, is sent again.")
    return told(who, _found(who, delivery_id))


@router.post("/deliveries/{delivery_id}/resolve", auth=needs("deliveries:resolve"), response=DeliveryOut)
def resolve_delivery(request: HttpRequest, delivery_id: UUID, body: Resolution) -> Any:
    """Say what became of one that is in doubt. Who said so and why is kept with it."""
    who = caller(request)
    row = _found(who, delivery_id)
    outcome = "resend" if body.outcome == "again" else body.outcome
    if not doubts.resolve([row.pk], outcome, who.name, body.reason):
        raise Problem(409, f"It is {_in_words(row)}: somebody has said what became of it, or its job still runs.")
    return told(who, _found(who, delivery_id))


def _found(who: Caller, pk: UUID) -> Delivery:
    row: Delivery = reach.one(reach.deliveries(who).select_related("rule"), pk, "delivery")
    return row


def _in_words(row: Delivery) -> str:
    return row.state.replace("_", " ")


def _log(row: Delivery) -> list[dict[str, Any]]:
    """Three queries."""
    job = ledger.Job.objects.filter(pk=row.pk).first()
    steps = [
        {"at": row.created_at, "what": "planned", "detail": f"for {row.send_at:%Y-%m-%d %H:%M:%S} UTC"},
        *_attempts(job),
        *({"at": event.at, "what": event.kind, "detail": event.code} for event in row.events.order_by("at", "pk")),
    ]
    if row.intent_at:
        steps.append({"at": row.intent_at, "what": "handed to the provider", "detail": ""})
    if row.sent_at:
        steps.append({"at": row.sent_at, "what": "taken by the provider", "detail": row.provider_id})
    steps.sort(key=lambda step: step["at"] or row.created_at)
    reason = str(Delivery.Reason(row.reason).label) if row.reason else ""
    now = {"at": None, "what": _in_words(row), "detail": "; ".join(part for part in (reason, row.detail) if part)}
    return [*steps, now]


def _attempts(job: ledger.Job | None) -> Iterator[dict[str, Any]]:
    if job is None:
        return
    for attempt in job.attempts.order_by("number"):
        told_of = f"attempt {attempt.number} {attempt.outcome}"
        yield {"at": attempt.started_at, "what": told_of, "detail": attempt.error.partition("\n")[0][:500]}
    if job.reason:
        yield {"at": job.finished_at or job.run_at, "what": f"its job is {job.state}", "detail": job.reason}
