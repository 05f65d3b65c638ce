"""Payments: requested, paid and called off, together with their reminders.

As `bookings`: the change and the new plan of its reminders are one transaction, and the receipt tells for each
reminder what became of it.
"""

from datetime import date
from typing import Any

from babel.numbers import is_currency
from django.db import transaction
from django.db.models import Case, F, Q, Value, When
from django.db.models.functions import Greatest, Least, Now
from django.utils.translation import gettext

from notifications import reminders, tenants, timing
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
    tenant: str | None = None,
) -> tuple[Payment, Receipt]:
    """Ask for money by a date, and plan the reminders. `amount` is in minor units.

    Customer and booking are of one tenant, and of this if it is given: raises tenants.OtherTenant.
    """
    zone = time_zone or customer.time_zone
    timing.zone(zone)
    with transaction.atomic():
        payment = Payment.objects.create(
            tenant=tenants.shared_by(tenant, customer, booking),
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
    """Record money that came in: `amount` in minor units, or all that is left. Paid in full ends the reminders.

    Money may also come for a payment that is disputed or written off.
    """
    paid = F("amount") if amount is None else F("paid_amount") + _positive(amount, "paid")
    closed = _closed(When(amount__lte=paid, then=Value(Status.PAID)))
    return _change(payment, (Status.OPEN, Status.DISPUTED, Status.WRITTEN_OFF), paid_amount=paid, **closed)


def refund(payment: Payment, amount: int | None = None) -> Receipt:
    """Record money that was given back of a payment that is paid: `amount` in minor units, or all of it.

    Nothing is owed again; all of it given back closes the payment. Raises NotOpen for more than came in.
    """
    back = F("paid_amount") if amount is None else F("refunded_amount") + _positive(amount, "refunded")
    status = Case(When(paid_amount__lte=back, then=Value(Status.REFUNDED)), default=F("status"))
    enough = Q() if amount is None else Q(paid_amount__gte=F("refunded_amount") + amount)
    return _change(payment, (Status.PAID,), enough, refunded_amount=back, status=status)


def bounce(payment: Payment, amount: int) -> Receipt:
    """Money that had come in went back (a returned debit, a chargeback): it is owed again.

    What was paid too much and given back pays for nothing: where money is owed again, neither is counted any more.
    """
    left = F("paid_amount") - _positive(amount, "bounced")
    enough = Q(paid_amount__gte=F("refunded_amount") + amount)
    given_back = Least(F("refunded_amount"), Greatest(F("paid_amount") - F("amount"), 0))
    again = When(amount__gt=left - given_back, then=Value(Status.OPEN))
    owed = {
        "status": Case(again, default=F("status")),
        "closed_at": Case(When(again.condition, then=None), default=F("closed_at")),
        "paid_amount": Case(When(again.condition, then=left - given_back), default=left),
        "refunded_amount": F("refunded_amount") - Case(When(again.condition, then=given_back), default=0),
    }
    return _change(payment, (Status.OPEN, Status.PAID), enough, **owed)


def dispute(payment: Payment) -> Receipt:
    """The customer objects: no reminders until `uphold`, `cancel`, `write_off` or the money."""
    return _change(payment, (Status.OPEN,), status=Status.DISPUTED, closed_at=Now())


def uphold(payment: Payment) -> Receipt:
    """The objection is settled and the money is owed: the reminders still to come are planned again."""
    return _change(payment, (Status.DISPUTED,), status=Status.OPEN, closed_at=None)


def write_off(payment: Payment) -> Receipt:
    """Give the money up. Should it come all the same, `mark_paid` takes it."""
    return _change(payment, (Status.OPEN, Status.DISPUTED), status=Status.WRITTEN_OFF, closed_at=Now())


def postpone(payment: Payment, due_on: date) -> Receipt:
    """Move the due date. Reminders of the old date are withdrawn, the new date gets its own."""
    return _change(payment, due_on=due_date(due_on), revision=F("revision") + 1, moved_at=Now())


def change(
    payment: Payment, *, amount: int, currency: str, due_on: date, revision: int | None = None, **others: Any
) -> Receipt:
    """Change anything about a payment. Only another due date, zone or customer counts as a move.

    Raises tenants.OtherTenant for a customer or booking of another tenant. With `revision` (of the form that was filled
    in): raises NotOpen if its due date was moved since, which the form would take back.
    """
    tenants.shared_by(payment.tenant, others.get("customer"), others.get("booking"))
    dated = {"due_on": due_date(due_on)} | {key: others[key] for key in ("time_zone", "customer") if key in others}
    changes = others | dated | money(amount, currency)
    return _change(
        payment,
        (Status.OPEN,),
        None,
        revision,
        **changes
        | _closed(When(paid_amount__gte=amount, then=Value(Status.PAID)))
        | {
            "revision": F("revision") + unless_same(dated),
            "moved_at": Case(When(**dated, then=F("moved_at")), default=Now()),
        },
    )


def cancel(payment: Payment) -> Receipt:
    """Call a payment off. After this returns, no provider is called for the reminders in `receipt.cancelled`."""
    return _change(payment, (Status.OPEN, Status.DISPUTED), status=Status.CANCELLED, closed_at=Now())


def _closed(when: When) -> dict[str, Any]:
    """The status becomes what `when` says, and the moment of it is kept."""
    return {
        "status": Case(when, default=F("status")),
        "closed_at": Case(When(when.condition, then=Now()), default=F("closed_at")),
    }


def _positive(amount: int, what: str) -> int:
    if amount <= 0:
        raise ValueError(f"The amount {what} is {amount}; it is counted in minor units and more than nothing.")
    return amount


def _change(
    payment: Payment,
    from_: tuple[Status, ...] = (Status.OPEN,),
    only_if: Q | None = None,
    seen: int | None = None,
    /,
    **changes: Any,
) -> Receipt:
    """Apply to a payment that is in one of the states, and of the revision `seen`. Raises NotOpen if it is not."""
    same = {} if seen is None else {"revision": seen}
    with transaction.atomic():
        if not Payment.objects.filter(only_if or Q(), pk=payment.pk, **same, status__in=from_).update(**changes):
            raise NotOpen(_as_it_is(payment.pk, Payment.objects.filter(pk=payment.pk).first(), from_, seen))
        payment.refresh_from_db()
        return Receipt.of(payment, reminders.plan([payment]))


def _as_it_is(pk: int, current: Payment | None, from_: tuple[Status, ...], seen: int | None) -> str:
    """Why a change was refused."""
    if current is None or current.status not in from_:
        status = current.get_status_display() if current else gettext("gone")
        return gettext("Payment {pk} is {status}; nothing was changed.").format(pk=pk, status=status)
    if seen not in (None, current.revision):
        told = gettext("Payment {pk} was moved, to {day}; nothing was changed.")
        return told.format(pk=pk, day=current.due_on)
    left = current.paid_amount - current.refunded_amount
    told = gettext("Of payment {pk} only {left} came in (minor units); nothing was changed.")
    return told.format(pk=pk, left=left)
