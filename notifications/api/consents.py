"""/customers/{id}/consents and /suppressions: what customers agreed to, with evidence; addresses to leave alone.

An address is nobody's: it is suppressed for all tenants, so who is limited to some sees those of their own customers,
and changes none.
"""

from datetime import datetime
from typing import Any, Literal

from django.core.exceptions import ValidationError
from django.core.validators import URLValidator
from django.http import HttpRequest
from ninja import Query, Router, Schema, Status
from pydantic import Field

from jobs.api.callers import Caller, caller, needs
from jobs.api.paging import Cursor, Limit, Page, page
from jobs.api.problems import invalid
from notifications import consent, privacy
from notifications.api import reach
from notifications.api.fields import ChannelName, Id, In, Reason
from notifications.api.rows import columns, listed
from notifications.imports import cells
from notifications.models import Channel, ConsentEvent, Suppression
from notifications.reach import opt_in

router = Router(tags=["consents"])

AddressedBy = Literal["email", "sms", "webhook"]
Cause = Literal["bounce", "complaint", "stop", "blocked", "person"]
MASKED = "masked without customers:reveal"


class ConsentOut(Schema):
    channel: ChannelName
    granted: bool | None = Field(description="null: the customer has said nothing")
    needed: bool = Field(description="whether silence is a no on this channel (OPT_IN_CHANNELS)")
    changed_at: datetime | None


class ConsentIn(In):
    channel: ChannelName
    granted: bool = Field(strict=True, description="false: withdrawn; what is planned by this channel ends")
    evidence: str = Field(
        min_length=1,
        max_length=1000,
        pattern=r"\S",
        description="how it is known: the words that were used, the form, the call",
        examples=["ticked 'remind me by SMS' on the web form of 2027-03-01"],
    )


class ConsentEventOut(Schema):
    id: int
    channel: ChannelName
    granted: bool | None = Field(description="null: what was said before is taken back, by START of a shared telephone")
    source: str = Field(examples=["api"])
    actor: str = Field(description=f"the user, the key, the customer or the provider; {MASKED}")
    evidence: str = Field(description=MASKED)
    at: datetime


class SuppressionOut(Schema):
    id: int
    channel: ChannelName
    address: str = Field(description=MASKED)
    cause: Cause
    detail: str = Field(description=MASKED)
    at: datetime


class SuppressionIn(In):
    channel: AddressedBy
    address: str = Field(min_length=1, max_length=500, examples=["alice@example.com"])
    reason: Reason


class Filters(In):
    channel: ChannelName | None = None
    cause: Cause | None = None
    address: str = Field("", max_length=500, description="the whole address; needs customers:reveal")


@router.get("/customers/{customer_id}/consents", auth=needs("customers:read"), response=list[ConsentOut])
def list_consents(request: HttpRequest, customer_id: Id) -> Any:
    """What holds now, for each channel."""
    customer = reach.one(reach.customers(caller(request)), customer_id, "customer")
    said = {row.channel: row for row in customer.consents.all()}
    return [
        {
            "channel": channel.value,
            "granted": said[channel].granted if channel in said else None,
            "needed": opt_in(channel),
            "changed_at": said[channel].changed_at if channel in said else None,
        }
        for channel in Channel
    ]


@router.post("/customers/{customer_id}/consents", auth=needs("consents:write"), response={201: ConsentEventOut})
def record_consent(request: HttpRequest, customer_id: Id, body: ConsentIn) -> Any:
    """What the customer said, kept with its evidence. Said twice, it is kept twice."""
    who = caller(request)
    customer = reach.one(reach.customers(who), customer_id, "customer")
    said = {"source": consent.Source.API, "actor": who.name[:150], "evidence": body.evidence}
    return Status(201, _event(who, consent.record(customer, body.channel, body.granted, **said)))


@router.get("/customers/{customer_id}/consent-events", auth=needs("customers:read"), response=Page[ConsentEventOut])
def list_consent_events(request: HttpRequest, customer_id: Id, limit: Limit = 50, cursor: Cursor = "") -> Any:
    """The evidence, newest first."""
    who = caller(request)
    customer = reach.one(reach.customers(who), customer_id, "customer")
    rows = page(ConsentEvent.objects.filter(customer=customer), limit, cursor)
    return listed(rows, lambda row: _event(who, row))


@router.get("/suppressions", auth=needs("suppressions:read"), response=Page[SuppressionOut])
def list_suppressions(request: HttpRequest, filters: Query[Filters], limit: Limit = 50, cursor: Cursor = "") -> Any:
    """Newest first; for a key of some tenants those of their customers."""
    who, rows = caller(request), Suppression.objects.all()
    if who.tenants() is not None:
        rows = consent.barred(reach.customers(who))
    if filters.address:
        reach.need_reveal(who, "address", "an answer would tell what is masked")
        channels = {channel: consent.normalised(channel, filters.address) for channel in Channel}
        rows = rows.filter(address__in=set(channels.values()))
    asked = {"channel": filters.channel, "cause": filters.cause}
    rows = rows.filter(**{name: value for name, value in asked.items() if value})
    return listed(page(rows, limit, cursor), lambda row: _suppression(who, row))


@router.post("/suppressions", auth=needs("suppressions:write"), response={201: SuppressionOut, 200: SuppressionOut})
def add_suppression(request: HttpRequest, body: SuppressionIn) -> Any:
    """Write nothing to this address any more, whoever has it. 200: that was so before, and stays as it was."""
    who = caller(request)
    reach.whole_installation(who, "A suppression")
    reach.need_reveal(who, "address", "the answer tells whether it was suppressed before")
    address = _address(body.channel, body.address)
    new = consent.suppress(body.channel, address, consent.Cause.PERSON, f"{body.reason} (by {who.name})")
    row = Suppression.objects.get(channel=body.channel, address=consent.normalised(body.channel, address))
    return Status(201 if new else 200, _suppression(who, row))


@router.delete("/suppressions/{suppression_id}", auth=needs("suppressions:write"), response={204: None})
def remove_suppression(request: HttpRequest, suppression_id: Id) -> Any:
    """Write to this address again, whoever has it."""
    who = caller(request)
    reach.whole_installation(who, "A suppression")
    who.permit("notifications.delete_suppression")
    row = reach.one(Suppression.objects.all(), suppression_id, "suppression")
    consent.lift(row.channel, row.address)
    return Status(204, None)


def _event(who: Caller, row: ConsentEvent) -> dict[str, Any]:
    masked = {"actor": privacy.text(row.actor), "evidence": privacy.nothing(row.evidence)}
    return columns(row) | ({} if reach.reveals(who) else masked)


def _suppression(who: Caller, row: Suppression) -> dict[str, Any]:
    masked = {"address": privacy.address(row.address), "detail": privacy.text(row.detail)}
    return columns(row) | ({} if reach.reveals(who) else masked)


def _address(channel: str, text: str) -> str:
    """As customers have it. Raises Problem 422."""
    try:
        if channel == Channel.EMAIL:
            return cells.email(text.strip())
        if channel == Channel.SMS:
            return cells.phone(text.strip())
        URLValidator(schemes=["http", "https"])(text.strip())
    except (ValueError, ValidationError) as exc:
        told = " ".join(exc.messages) if isinstance(exc, ValidationError) else str(exc)
        raise invalid("address", told) from exc
    return text.strip()
