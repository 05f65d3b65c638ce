"""/bookings: made, found, described. What is done with one is in `booking_verbs`, with many in `bulk_changes`."""

from datetime import date, datetime
from typing import Any, Literal

from django.db import IntegrityError
from django.http import HttpRequest, HttpResponse
from ninja import Query, Router, Schema, Status
from pydantic import Field

from jobs.api.callers import Caller, caller, needs
from jobs.api.paging import Cursor, Limit, Page, page
from jobs.api.problems import Problem, invalid
from notifications import bookings, searches, why
from notifications.api import reach, times
from notifications.api.fields import ChannelName, Day, ExternalId, Id, In, Moment, StrictId, WallTime, line
from notifications.api.receipts import ReceiptLine, ReminderOut, receipt, reminders
from notifications.api.refusals import refusing
from notifications.api.rows import columns, listed
from notifications.models import Booking

router = Router(tags=["bookings"])

BookingState = Literal["booked", "cancelled", "completed", "no_show"]


class BookingIn(times.When):
    customer: StrictId = Field(description="the customer's id")
    service: line(200, "Haircut")  # type: ignore[valid-type]
    location: str = Field("", max_length=300, examples=["High Street 1"])
    external_id: ExternalId | None = Field(None, description="makes it safe to send again: the same one is one booking")


class BookingOut(Schema):
    id: int = Field(examples=[17])
    tenant: str
    external_id: str | None
    customer: int = Field(description="the customer's id")
    service: str = Field(examples=["Haircut"])
    location: str
    starts_at: datetime = Field(description="in UTC")
    ends_at: datetime = Field(description="in UTC")
    wall_date: date = Field(description="as agreed, by the venue's clocks")
    wall_time: WallTime
    fold: int = Field(description="1: the second of a time that the clocks show twice")
    time_zone: str = Field(examples=["Europe/Berlin"])
    status: BookingState
    confirmed_at: datetime | None
    revision: int = Field(description="+1 with every move")
    created_at: datetime


class BookingWithReminders(BookingOut):
    reminders: list[ReminderOut] = Field(description="of all revisions, by the time they are planned for")


class BookingChanged(BookingOut):
    receipt: list[ReceiptLine] = Field(description="what became of each reminder that the change touched")


class Described(In):
    """What is left out stays."""

    service: line(200, "Beard") | None = None  # type: ignore[valid-type]
    location: str | None = Field(None, max_length=300)


class Filters(In):
    day: Day | None = Field(None, description="by the venue's clocks")
    starts_from: Moment | None = Field(None, description="this moment or later", alias="from")
    until: Moment | None = Field(None, description="before this moment")
    status: BookingState | None = None
    customer: Id | None = None
    service: str = Field("", max_length=200)
    location: str = Field("", max_length=300)
    external_id: str = Field("", max_length=255)
    tenant: str | None = Field(None, max_length=100)
    search: str = Field(
        "",
        max_length=200,
        description="each word somewhere in external_id or service, or in the customer's name or address; "
        "needs customers:reveal",
    )


class AnswerOut(Schema):
    rule: str
    channel: ChannelName
    state: str = Field(description="of the delivery; none: there never was one")
    reason: str = Field(examples=["opted_out"])
    text: str = Field(description="the answer, for people", examples=["skipped: the rule is switched off"])
    delivery: str | None
    revision: int | None
    occurrence: int
    send_at: datetime | None
    sent_at: datetime | None
    outcome: str


def told(row: Booking, **more: Any) -> dict[str, Any]:
    """A booking beside its reminders or a receipt."""
    return columns(row) | more


@router.get("/bookings", auth=needs("bookings:read"), response=Page[BookingOut])
def list_bookings(request: HttpRequest, filters: Query[Filters], limit: Limit = 50, cursor: Cursor = "") -> Any:
    """Newest first. Filters are joined by and."""
    who = caller(request)
    if filters.search:
        reach.need_reveal(who, "search", "it looks at names and addresses of customers")
    asked = {
        "wall_date": filters.day,
        "starts_at__gte": filters.starts_from,
        "starts_at__lt": filters.until,
        "status": filters.status,
        "customer": filters.customer,
        "service": filters.service or None,
        "location": filters.location or None,
        "external_id": filters.external_id or None,
        "tenant": filters.tenant,
    }
    rows = reach.bookings(who).filter(**{name: value for name, value in asked.items() if value is not None})
    return listed(page(searches.searched(rows, filters.search), limit, cursor))


@router.post("/bookings", auth=needs("bookings:write"), response={201: BookingChanged, 200: BookingChanged})
def create_booking(request: HttpRequest, body: BookingIn, response: HttpResponse) -> Any:
    """Books and plans the reminders. An external_id that is there already: 200 for the same content, else 409."""
    who = caller(request)
    who.permit("notifications.add_booking")
    customer = reach.referred(reach.customers(who), body.customer, "customer")
    when = times.read(body)
    about = {"service": body.service, "location": body.location, "external_id": body.external_id}
    try:
        with refusing("starts_at"):
            booking, done = bookings.book(customer=customer, **when, **about)
    except IntegrityError:
        return Status(200, _as_before(who, customer, when, about))
    response["Location"] = f"/api/v1/bookings/{booking.pk}"
    return Status(201, told(booking, receipt=receipt(done)))


def _as_before(who: Caller, customer: Any, when: dict[str, Any], about: dict[str, Any]) -> dict[str, Any]:
    """The booking of that external id, if the same was asked for. Raises Problem 409."""
    row = reach.bookings(who).filter(tenant=customer.tenant, external_id=about["external_id"]).first()
    if row is None:
        raise Problem(409, "Somebody has just made the same. Nothing was changed; look, and try again.")
    asked = {**when, **about, "time_zone": when["time_zone"] or customer.time_zone, "customer_id": customer.pk}
    differing = [name.removesuffix("_id") for name, value in asked.items() if getattr(row, name) != value]
    if differing:
        told_of = f"There is booking {row.pk} of this external_id, with another {', '.join(differing)}."
        raise Problem(409, f"{told_of} Change that one, or take another external_id.", booking=row.pk)
    return told(row, receipt=[])


@router.get("/bookings/{booking_id}", auth=needs("bookings:read"), response=BookingWithReminders)
def get_booking(request: HttpRequest, booking_id: Id) -> Any:
    """With its reminders: those that wait, went out, or never will, and why."""
    who = caller(request)
    booking = reach.one(reach.bookings(who).select_related("customer"), booking_id, "booking")
    return told(booking, reminders=reminders(who, booking))


@router.patch("/bookings/{booking_id}", auth=needs("bookings:write"), response=BookingChanged)
def change_booking(request: HttpRequest, booking_id: Id, body: Described) -> Any:
    """Another service or location; reminders follow. For another time: POST /bookings/{id}/reschedule."""
    booking = reach.one(reach.bookings(caller(request)), booking_id, "booking")
    texts = {name: value for name, value in body.model_dump(exclude_unset=True).items() if value is not None}
    if not texts:
        raise invalid("service", "say what to change: service or location")
    with refusing("service"):
        done = bookings.describe(booking, **texts)
    return told(booking, receipt=receipt(done))


@router.get("/bookings/{booking_id}/why", auth=needs("bookings:read"), response=list[AnswerOut])
def explain_booking(request: HttpRequest, booking_id: Id) -> Any:
    """What became of every rule on every channel, also of those that never made a reminder."""
    who = caller(request)
    booking = reach.one(who.of_tenant(why.asked(Booking)), booking_id, "booking")
    return answers(who, booking)


def answers(who: Caller, anchor: Any) -> list[dict[str, Any]]:
    """What a delivery says in words may hold what a provider said."""
    return [
        {
            **{name: getattr(one, name) for name in ("rule", "channel", "state", "reason", "revision", "occurrence")},
            **{name: getattr(one, name) for name in ("send_at", "sent_at", "outcome")},
            "text": reach.machine_text(who, one.text),
            "delivery": str(one.delivery) if one.delivery else None,
        }
        for one in why.why(anchor)
    ]
