"""/payments: asked for by a date, found, told with their series. What is done with one is in `payment_verbs`."""

from datetime import date, datetime
from typing import Any, Literal

from django.db import IntegrityError
from django.http import HttpRequest, HttpResponse
from ninja import Query, Router, Schema, Status
from pydantic import Field

from jobs.api.callers import Caller, caller, needs
from jobs.api.paging import Cursor, Limit, Page, page
from jobs.api.problems import Problem
from notifications import payments, why
from notifications.api import reach
from notifications.api.bookings import AnswerOut, answers
from notifications.api.fields import Amount, Currency, Day, ExternalId, Id, In, StrictId, Zone, line
from notifications.api.receipts import ReceiptLine, ReminderOut, reminders
from notifications.api.refusals import refusing
from notifications.api.rows import columns, listed
from notifications.models import Payment

router = Router(tags=["payments"])

PaymentState = Literal["open", "paid", "cancelled", "disputed", "written_off", "refunded"]


class PaymentIn(In):
    customer: StrictId = Field(description="the customer's id")
    booking: StrictId | None = Field(None, description="the id of the booking that it is for")
    subject: line(200, "Haircut", "what it is for")  # type: ignore[valid-type]
    amount: Amount
    currency: Currency
    due_on: Day = Field(description="a date, not a moment: by the calendar of time_zone")
    time_zone: Zone | None = Field(None, description="of the due date; empty: the customer's")
    external_id: ExternalId | None = Field(None, description="makes it safe to send again: the same one is one payment")


class PaymentOut(Schema):
    id: int = Field(examples=[17])
    tenant: str
    external_id: str | None
    customer: int = Field(description="the customer's id")
    booking: int | None = Field(description="the booking's id")
    subject: str
    amount: int = Field(description="in minor units", examples=[4550])
    paid_amount: int = Field(description="in minor units")
    refunded_amount: int = Field(description="in minor units, of what was paid")
    currency: str = Field(examples=["EUR"])
    due_on: date
    time_zone: str = Field(description="by whose calendar due_on is a date")
    status: PaymentState
    revision: int = Field(description="+1 with every other due date")
    created_at: datetime


class PaymentWithSeries(PaymentOut):
    series: list[ReminderOut] = Field(description="its reminders of all revisions, by the time they are planned for")


class PaymentChanged(PaymentOut):
    receipt: list[ReceiptLine] = Field(description="what became of each reminder that the change touched")


class Filters(In):
    status: PaymentState | None = None
    customer: Id | None = None
    booking: Id | None = None
    due_from: Day | None = Field(None, description="this date or later")
    due_until: Day | None = Field(None, description="before this date")
    currency: Currency | None = None
    external_id: str = Field("", max_length=255)
    tenant: str | None = Field(None, max_length=100)


def told(row: Payment, **more: Any) -> dict[str, Any]:
    """A payment beside its series or a receipt."""
    return columns(row) | more


@router.get("/payments", auth=needs("payments:read"), response=Page[PaymentOut])
def list_payments(request: HttpRequest, filters: Query[Filters], limit: Limit = 50, cursor: Cursor = "") -> Any:
    """Newest first. Filters are joined by and."""
    asked = {
        "status": filters.status,
        "customer": filters.customer,
        "booking": filters.booking,
        "due_on__gte": filters.due_from,
        "due_on__lt": filters.due_until,
        "currency": filters.currency,
        "external_id": filters.external_id or None,
        "tenant": filters.tenant,
    }
    said = {name: value for name, value in asked.items() if value is not None}
    return listed(page(reach.payments(caller(request)).filter(**said), limit, cursor))


@router.post("/payments", auth=needs("payments:write"), response={201: PaymentWithSeries, 200: PaymentWithSeries})
def create_payment(request: HttpRequest, body: PaymentIn, response: HttpResponse) -> Any:
    """Asks for money and answers with the whole series of reminders.

    An external_id that is there already: 200 for the same content, else 409.
    """
    who = caller(request)
    who.permit("notifications.add_payment")
    about = body.model_dump() | {
        "customer": reach.referred(reach.customers(who), body.customer, "customer"),
        "booking": reach.referred(reach.bookings(who), body.booking, "booking"),
    }
    try:
        with refusing("booking"):
            payment, _receipt = payments.request_payment(**about)
    except IntegrityError:
        return Status(200, _as_before(who, about))
    response["Location"] = f"/api/v1/payments/{payment.pk}"
    return Status(201, told(payment, series=reminders(who, payment)))


def _as_before(who: Caller, about: dict[str, Any]) -> dict[str, Any]:
    """The payment of that external id, if the same was asked for. Raises Problem 409."""
    customer = about["customer"]
    rows = reach.payments(who).select_related("customer")
    row = rows.filter(tenant=customer.tenant, external_id=about["external_id"]).first()
    if row is None:
        raise Problem(409, "Somebody has just made the same. Nothing was changed; look, and try again.")
    asked = {**about, "time_zone": about["time_zone"] or customer.time_zone}
    booking = asked.pop("booking")
    asked |= {"customer_id": asked.pop("customer").pk, "booking_id": booking.pk if booking else None}
    differing = [name.removesuffix("_id") for name, value in asked.items() if getattr(row, name) != value]
    if differing:
        told_of = f"There is payment {row.pk} of this external_id, with another {', '.join(differing)}."
        raise Problem(409, f"{told_of} Change that one, or take another external_id.", payment=row.pk)
    return told(row, series=reminders(who, row))


@router.get("/payments/{payment_id}", auth=needs("payments:read"), response=PaymentWithSeries)
def get_payment(request: HttpRequest, payment_id: Id) -> Any:
    """With its series: the reminders that wait, went out, or never will, and why."""
    who = caller(request)
    payment = reach.one(reach.payments(who).select_related("customer"), payment_id, "payment")
    return told(payment, series=reminders(who, payment))


@router.get("/payments/{payment_id}/why", auth=needs("payments:read"), response=list[AnswerOut])
def explain_payment(request: HttpRequest, payment_id: Id) -> Any:
    """What became of every rule on every channel, also of those that never made a reminder."""
    who = caller(request)
    return answers(who, reach.one(who.of_tenant(why.asked(Payment)), payment_id, "payment"))
