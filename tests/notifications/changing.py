"""What people do to a booking or payment whose reminder goes out; each answers: withdrawn, or in flight."""

from collections.abc import Callable
from typing import Any

from jobs import dispatcher
from jobs.models import Job
from notifications import bookings, bulk, payments, reconciler
from notifications.imports import import_bookings
from notifications.imports.rows import booking_row
from notifications.models import Booking, Channel, Delivery, ReminderRule
from tests.conftest import InProcessWorker
from tests.factories import DAY, alice, make_booking, make_payment
from tests.notifications.reminding import due_now, first

Change = Callable[[Delivery], Any]
WITHDRAWN, IN_FLIGHT = "withdrawn", "in flight"


def told(receipt: bookings.Receipt, delivery: Delivery) -> str:
    assert (delivery in receipt.cancelled) != (delivery in receipt.in_flight)
    return WITHDRAWN if delivery in receipt.cancelled else IN_FLIGHT


def booking_cancelled(delivery: Delivery) -> str:
    return told(bookings.cancel(fresh(delivery)), delivery)


def payment_paid(delivery: Delivery) -> str:
    return told(payments.mark_paid(fresh(delivery)), delivery)


def payment_postponed(delivery: Delivery) -> str:
    payment = fresh(delivery)
    return told(payments.postpone(payment, payment.due_on + 9 * DAY), delivery)


def payment_called_off(delivery: Delivery) -> str:
    return told(payments.cancel(fresh(delivery)), delivery)


def rule_switched_off(delivery: Delivery) -> str:
    ReminderRule.objects.filter(pk=delivery.rule_id).update(active=False)
    done = list(reconciler.reconcile())
    return WITHDRAWN if delivery in [one for plan in done for one in plan.withdrawn] else IN_FLIGHT


def message_to_many_called_off(delivery: Delivery) -> str:
    """The receipt is that of the job that does the accounts."""
    assert delivery.bulk and bulk.call_off(delivery.bulk, actor="olga")
    receipt = bulk.withdraw.run(delivery.bulk_id)
    assert sum(receipt.values()) <= 1
    return WITHDRAWN if receipt.get("withdrawn") else IN_FLIGHT


OF_A_PAYMENT: list[Change] = [payment_paid, payment_postponed, payment_called_off]


def import_booking(booking: Booking, **cells: str) -> None:
    row = {
        "external_id": str(booking.external_id),
        "customer_email": booking.customer.email,
        "customer_name": booking.customer.name,
        "service": booking.service,
        "starts_at": booking.starts_at.isoformat(),
        "duration_minutes": "60",
        "time_zone": booking.time_zone,
    }
    list(import_bookings([booking_row(2, row | cells)]))


def fresh(delivery: Delivery) -> Any:
    """The booking or payment, as somebody else has loaded it."""
    return Delivery.objects.select_related("booking__customer", "payment__customer").get(pk=delivery.pk).anchor


def state(delivery: Delivery) -> str:
    return str(Delivery.objects.values_list("state", flat=True).get(pk=delivery.pk))


def due(change: Change) -> Delivery:
    """A due delivery that the change is about."""
    customer = alice()
    if change is message_to_many_called_off:
        return due_now(message_to_many(make_booking(customer)))
    return due_now(
        first(make_payment(customer) if change in OF_A_PAYMENT else make_booking(customer, external_id="B-1"))
    )


def message_to_many(booking: Booking) -> Delivery:
    asked: dict[str, Any] = {"reason": "burst pipe", "actor": "olga"}
    words = bulk.Circular(subject="Closed", text="Closed", channels=(Channel.EMAIL,), quiet_from=None, quiet_until=None)
    change = bulk.start(bulk.Kind.MESSAGE, bulk.Selection(ids=(booking.pk,)), message=words, **asked)
    bulk._chunk(change.pk)
    Job.objects.filter(task="notifications.bulk").delete()  # it has done its work
    return Delivery.objects.select_related("bulk").get(bulk=change)


def one_message(worker: InProcessWorker) -> Any:
    dispatcher.dispatch_due()
    (message,) = worker.messages()
    return message
