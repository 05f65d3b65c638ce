"""Payments: requested, paid and called off, together with their reminders.

As `bookings`: the change and the new plan of its reminders are one transaction, and the receipt tells for each
reminder what became of it.
"""

from datetime import date
from typing import Any

from babel.numbers import is_currency
from django.db import transaction
from django.db.models import Case, F, Value, When

from notifications import reminders, timing
from notifications.bookings import FIRST_YEAR, LAST_YEAR, NotOpen, Receipt, unless_same
from notifications.models import Booking, Customer, Payment

Status = Payment.Status


def money(amount: int, currency: str) -> dict[str, Any]:
    """The columns that say how much. Raises ValueError for an amount that is not due, or an unknown currency."""
    if amount <= 0:
        raise ValueError(f"The amount is {amount}; it is counted in minor units and more than nothing.")
    if not is_currency(currency):
        raise ValueError(f"Unknown currency {currency!r}. Use an ISO 4217 code such as EUR.")
    return {"amount": amount, "currency": currency}


def due_date(day: date) -> date:
    """The day, if reminders around it have a place in the calendar. Raises ValueError."""
    if not FIRST_YEAR <= day.year <= LAST_YEAR:
        raise ValueError(f"The year {day.year} is not between {FIRST_YEAR} and {LAST_YEAR}.")
    return day


def request_payment(
    *,
    customer: Customer,
    subject: str,
    amount: int,
    currency: str,
    due_on: date,
    time_zone: str | None = None,
    booking: Booking | None = None,
    external_id: str | None = None,
) -> tuple[Payment, Receipt]:
    """Ask for money by a date, and plan the reminders. `amount` is in minor units."""
    zone = time_zone or customer.time_zone
    timing.zone(zone)
    with transaction.atomic():
        payment = Payment.objects.create(
            customer=customer,
            booking=booking,
            subject=subject,
            due_on=due_date(due_on),
            time_zone=zone,
            external_id=external_id,
            **money(amount, currency),
        )
        return payment, Receipt.of(payment, reminders.plan([payment]))


def mark_paid(payment: Payment, amount: int | None = None) -> Receipt:
    """Record money that came in: `amount` in minor units, or all that is left. Paid in full ends the reminders."""
    if amount is not None and amount <= 0:
        raise ValueError(f"The amount paid is {amount}; it is counted in minor units and more than nothing.")
    paid = F("amount") if amount is None else F("paid_amount") + amount
    status = Case(When(amount__lte=paid, then=Value(Status.PAID)), default=F("status"))
    return _change(payment, paid_amount=paid, status=status)


def postpone(payment: Payment, due_on: date) -> Receipt:
    """Move the due date. Reminders of the old date are withdrawn, the new date gets its own."""
    return _change(payment, due_on=due_date(due_on), revision=F("revision") + 1)


def change(payment: Payment, *, amount: int, currency: str, due_on: date, **others: Any) -> Receipt:
    """Change anything about a payment. Only another due date, zone or customer counts as a move."""
    dated = {"due_on": due_date(due_on)} | {key: others[key] for key in ("time_zone", "customer") if key in others}
    changes = others | dated | money(amount, currency)
    status = Case(When(paid_amount__gte=amount, then=Value(Status.PAID)), default=F("status"))
    return _change(payment, **changes | {"status": status, "revision": F("revision") + unless_same(dated)})


def cancel(payment: Payment) -> Receipt:
    """Call a payment off. After this returns, no provider is called for the reminders in `receipt.cancelled`."""
    return _change(payment, status=Status.CANCELLED)


def _change(payment: Payment, **changes: Any) -> Receipt:
    """Apply to a payment that is still open. Raises NotOpen if it is not."""
    with transaction.atomic():
        if not Payment.objects.filter(pk=payment.pk, status=Status.OPEN).update(**changes):
            current = Payment.objects.filter(pk=payment.pk).values_list("status", flat=True).first()
            raise NotOpen(f"Payment {payment.pk} is {current or 'gone'}; nothing was changed.")
        payment.refresh_from_db()
        return Receipt.of(payment, reminders.plan([payment]))
