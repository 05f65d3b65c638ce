"""/customers: who they are, and everything that was ever sent to them.

The promise: without the scope customers:reveal, names and addresses are masked, can neither be looked for nor changed,
and no answer tells whether a guess of one is right.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import IntegrityError
from django.db.models import Q
from django.db.models.functions import Lower
from django.http import HttpRequest, HttpResponse
from ninja import Query, Router, Schema, Status
from pydantic import Field

from jobs.api.callers import Caller, caller, needs
from jobs.api.paging import Cursor, Limit, Page, page
from jobs.api.problems import Problem, invalid
from notifications import customers, privacy
from notifications.api import reach
from notifications.api.fields import (
    ChannelName,
    Channels,
    Email,
    ExternalId,
    Id,
    In,
    Locale,
    Phone,
    Tenant,
    Zone,
    line,
)
from notifications.api.receipts import State
from notifications.api.rows import columns, listed
from notifications.models import Customer, Delivery, InboxItem

router = Router(tags=["customers"])

MASKS = {
    "external_id": privacy.nothing,
    "name": privacy.name,
    "email": privacy.email,
    "phone": privacy.phone,
    "webhook_url": privacy.address,
}
PERSONAL = {*MASKS, "webhook_secret"}
GONE_OUT = [Delivery.State.SENT, Delivery.State.SENDING, Delivery.State.IN_DOUBT, Delivery.State.REFUSED]
Url = Field(
    None, max_length=500, description="where the customer's own system listens", examples=["https://example.com/in"]
)
Secret = Field(
    None, max_length=200, description="whsec_...; never told again", examples=["whsec_MfKQ9r8GKYqrTwjUPD8ILPZI"]
)


class Person(In):
    """What can be said of a customer."""

    external_id: ExternalId | None = None
    email: Email | None = Field(None, description="empty: none")
    phone: Phone | None = Field(None, description="E.164; empty: none")
    webhook_url: str | None = Url
    webhook_secret: str | None = Secret
    locale: Locale | None = None
    time_zone: Zone | None = None
    channels: Channels | None = Field(None, description="preferred, best first; empty: as the rule")


class CustomerIn(Person):
    tenant: Tenant = None
    name: line(200, "Alice Example")  # type: ignore[valid-type]


class CustomerChange(Person):
    """What is left out, or null, stays."""

    name: line(200, "Alice Example") | None = None  # type: ignore[valid-type]


class CustomerOut(Schema):
    id: int = Field(examples=[17])
    tenant: str
    external_id: str | None
    name: str = Field(examples=["Alice Example"])
    email: str
    phone: str
    webhook_url: str
    has_webhook_secret: bool
    locale: str
    time_zone: str
    channels: list[ChannelName]
    masked: bool = Field(description="whether names and addresses are masked, for want of customers:reveal")


class Filters(In):
    """All but tenant need customers:reveal: an answer would tell whether a guess is right."""

    search: str = Field("", max_length=200, description="a part of the name, email or external_id")
    email: str = Field("", max_length=254, description="in any case")
    phone: str = Field("", max_length=40)
    external_id: str = Field("", max_length=255)
    tenant: str | None = Field(None, max_length=100)


class SentOut(Schema):
    id: UUID = Field(description="of the delivery")
    rule: str
    channel: ChannelName
    state: State
    send_at: datetime
    sent_at: datetime | None
    outcome: str
    detail: str = Field(description="what the provider said; addresses masked without customers:reveal")
    booking: int | None
    payment: int | None
    bulk: int | None = Field(description="the change to many that it belongs to")
    read_at: datetime | None = Field(description="of a message in the app")


def told(who: Caller, row: Customer) -> dict[str, Any]:
    shown = columns(row) | {"phone": str(row.phone or ""), "has_webhook_secret": bool(row.webhook_secret)}
    masked = not reach.reveals(who)
    hidden = {name: mask(str(shown[name])) if shown[name] else shown[name] for name, mask in MASKS.items()}
    return shown | (hidden if masked else {}) | {"masked": masked}


@router.get("/customers", auth=needs("customers:read"), response=Page[CustomerOut])
def list_customers(request: HttpRequest, filters: Query[Filters], limit: Limit = 50, cursor: Cursor = "") -> Any:
    """Newest first. Filters are joined by and."""
    who, rows = caller(request), reach.customers(caller(request))
    looks = {"email": "place", "phone": "phone", "external_id": "external_id"}
    rows = rows.alias(place=Lower("email"))  # its index; Django's `iexact` asks for capitals
    for name in ("search", *looks):
        value = getattr(filters, name)
        if value:
            reach.need_reveal(who, name, "an answer would tell what is masked")
            value = value.lower() if name == "email" else value
            rows = _searched(rows, value) if name == "search" else rows.filter(**{looks[name]: value})
    if filters.tenant is not None:
        rows = rows.filter(tenant=filters.tenant)
    return listed(page(rows, limit, cursor), lambda row: told(who, row))


@router.post("/customers", auth=needs("customers:write"), response={201: CustomerOut, 200: CustomerOut})
def create_customer(request: HttpRequest, body: CustomerIn, response: HttpResponse) -> Any:
    """An external_id that is there already: 200 for the same content (with customers:reveal), else 409."""
    who = caller(request)
    who.permit("notifications.add_customer")
    fields = _said(body) | {"tenant": who.tenant_for(body.tenant)}
    try:
        customer = customers.add(**fields)
    except IntegrityError:
        return Status(200, told(who, _as_before(who, fields)))
    response["Location"] = f"/api/v1/customers/{customer.pk}"
    return Status(201, told(who, customer))


@router.get("/customers/{customer_id}", auth=needs("customers:read"), response=CustomerOut)
def get_customer(request: HttpRequest, customer_id: Id) -> Any:
    """With their consents; masked without `customers:reveal`."""
    who = caller(request)
    return told(who, reach.one(reach.customers(who), customer_id, "customer"))


@router.patch("/customers/{customer_id}", auth=needs("customers:write"), response=CustomerOut)
def change_customer(request: HttpRequest, customer_id: Id, body: CustomerChange) -> Any:
    """A new address makes reminders possible, a removed one ends them."""
    who = caller(request)
    customer = reach.one(reach.customers(who), customer_id, "customer")
    fields = _said(body)
    if not fields:
        raise invalid("name", "say what to change")
    for name in sorted(PERSONAL & set(fields)):
        reach.need_reveal(who, name, "what is masked cannot be changed unseen")
    try:
        return told(who, customers.change(customer, **fields))
    except IntegrityError as exc:
        raise Problem(409, "Another customer has this external_id.") from exc


@router.get("/customers/{customer_id}/sent", auth=needs("deliveries:read"), response=Page[SentOut])
def list_sent(request: HttpRequest, customer_id: Id, limit: Limit = 50, cursor: Cursor = "") -> Any:
    """Everything that ever went out to them, or may have, the newest first."""
    who = caller(request)
    who.need("customers:read")
    customer = reach.one(reach.customers(who), customer_id, "customer")
    rows = reach.deliveries(who).filter(customer=customer, state__in=GONE_OUT).select_related("rule")
    found = page(rows, limit, cursor, ("-send_at", "-pk"))
    keys = [str(row.pk) for row in found["items"] if row.channel == "inbox"]
    read = dict(InboxItem.objects.filter(customer=customer, key__in=keys).values_list("key", "read_at")) if keys else {}

    def tell(row: Delivery) -> dict[str, Any]:
        shown = {"rule": row.rule.name, "detail": reach.machine_text(who, row.detail)}
        return columns(row) | shown | {"read_at": read.get(str(row.pk))}

    return listed(found, tell)


def _searched(rows: Any, text: str) -> Any:
    for word in text.split():
        either = Q(name__icontains=word) | Q(email__icontains=word) | Q(external_id__icontains=word)
        rows = rows.filter(either)
    return rows


def _said(body: Person) -> dict[str, Any]:
    return {name: value for name, value in body.model_dump(exclude_unset=True).items() if value is not None}


def _as_before(who: Caller, fields: dict[str, Any]) -> Customer:
    """The customer of that external id, if the same was asked for. Raises Problem 409."""
    refused = "There is a customer of this external_id. Change that one, or take another external_id."
    if not reach.reveals(who):
        raise Problem(409, refused)
    found = reach.customers(who).filter(tenant=fields["tenant"], external_id=fields.get("external_id")).first()
    differing = found and [name for name, value in fields.items() if str(getattr(found, name)) != str(value)]
    if found is None or differing:
        raise Problem(409, refused, **({"customer": found.pk} if found else {}))
    customer: Customer = found
    return customer
