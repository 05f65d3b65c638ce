"""/payments/{id}/...: what is done with one payment. Each answers with a receipt of its reminders."""

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest
from ninja import Router
from pydantic import Field

from jobs.api.callers import caller, needs
from notifications import payments
from notifications.api import reach
from notifications.api.fields import Amount, Day, Id, In
from notifications.api.payments import PaymentChanged, told
from notifications.api.receipts import receipt
from notifications.api.refusals import refusing
from notifications.bookings import Receipt

router = Router(tags=["payments"])
WRITE = needs("payments:write")


class Paid(In):
    amount: Amount | None = Field(None, description="in minor units; empty: all that is left")


class Refunded(In):
    amount: Amount | None = Field(None, description="in minor units; empty: all of it")


class Bounced(In):
    amount: Amount


class Due(In):
    due_on: Day


@router.post("/payments/{payment_id}/pay", auth=WRITE, response=PaymentChanged)
def record_payment(request: HttpRequest, payment_id: Id, body: Paid) -> Any:
    """Money came in. Paid in full ends the reminders. Send an Idempotency-Key: sent twice, it counts twice."""
    return _done(request, payment_id, lambda payment: payments.mark_paid(payment, body.amount))


@router.post("/payments/{payment_id}/refund", auth=WRITE, response=PaymentChanged)
def refund_payment(request: HttpRequest, payment_id: Id, body: Refunded) -> Any:
    """Money was given back of a payment that is paid. 409 for more than came in."""
    return _done(request, payment_id, lambda payment: payments.refund(payment, body.amount))


@router.post("/payments/{payment_id}/bounce", auth=WRITE, response=PaymentChanged)
def bounce_payment(request: HttpRequest, payment_id: Id, body: Bounced) -> Any:
    """Money that had come in went back (a returned debit): it is owed again."""
    return _done(request, payment_id, lambda payment: payments.bounce(payment, body.amount))


@router.post("/payments/{payment_id}/dispute", auth=WRITE, response=PaymentChanged)
def dispute_payment(request: HttpRequest, payment_id: Id) -> Any:
    """The customer objects: no reminders until it is upheld, paid, cancelled or written off."""
    return _done(request, payment_id, payments.dispute)


@router.post("/payments/{payment_id}/uphold", auth=WRITE, response=PaymentChanged)
def uphold_payment(request: HttpRequest, payment_id: Id) -> Any:
    """The objection is settled and the money is owed: what is still to come is planned again."""
    return _done(request, payment_id, payments.uphold)


@router.post("/payments/{payment_id}/write-off", auth=WRITE, response=PaymentChanged)
def write_off_payment(request: HttpRequest, payment_id: Id) -> Any:
    """Give the money up. Should it come all the same, it can still be recorded."""
    return _done(request, payment_id, payments.write_off)


@router.post("/payments/{payment_id}/cancel", auth=WRITE, response=PaymentChanged)
def cancel_payment(request: HttpRequest, payment_id: Id) -> Any:
    """Once this is answered, no provider is called for what the receipt says is withdrawn."""
    return _done(request, payment_id, payments.cancel)


@router.post("/payments/{payment_id}/postpone", auth=WRITE, response=PaymentChanged)
def postpone_payment(request: HttpRequest, payment_id: Id, body: Due) -> Any:
    """Another due date, later or earlier; the series follows."""
    return _done(request, payment_id, lambda payment: payments.postpone(payment, body.due_on))


def _done(request: HttpRequest, pk: int, verb: Callable[..., Receipt]) -> Any:
    payment = reach.one(reach.payments(caller(request)), pk, "payment")
    with refusing("amount"):
        done = verb(payment)
    return told(payment, receipt=receipt(done))
