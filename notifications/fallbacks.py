"""The next channel, when one certainly does not reach the customer.

Used by `outcomes`, in the transaction that records the refusal: there is no moment at which the one is over and the
other not yet planned. The promise: never a second message while the first may have been taken, and none for a booking
or payment that was closed meanwhile.
"""

from collections.abc import Callable

from jobs import ledger
from notifications import crowding, reach
from notifications.models import Booking, Delivery, Payment
from notifications.overrides import rule_of
from notifications.planning import unwanted
from notifications.routes import by_preference

JobFor = Callable[[Delivery], ledger.Job]


def others(delivery: Delivery) -> list[str]:
    """The channels of the rule besides the delivery's own, best first, as when it was planned."""
    best_first = by_preference(rule_of(delivery), delivery.customer)
    return [channel for channel in best_first if channel != delivery.channel]


def open_anchor(delivery: Delivery) -> Booking | Payment | None:
    """The booking or payment, locked, if it still is what the delivery is about. Before the delivery's own row."""
    rows = (Booking if delivery.booking_id else Payment).objects.select_related("customer")
    locked = rows.select_for_update(of=("self",), no_key=True)  # as a cancel does: anchor first, then deliveries
    anchor: Booking | Payment | None = locked.filter(pk=delivery.anchor.pk, revision=delivery.revision).first()
    if anchor is None or unwanted(rule_of(delivery), anchor):
        return None
    return anchor


def plan_next(delivery: Delivery, anchor: Booking | Payment, job_for: JobFor) -> Delivery | None:
    """A delivery by the next channel that reaches the customer, due now. None: there is none, or it is too late."""
    if delivery.useful_until <= crowding.database_now():
        return None
    same = anchor.deliveries.filter(rule=delivery.rule_id, occurrence=delivery.occurrence, revision=delivery.revision)
    tried = set(same.values_list("channel", flat=True))
    for channel in others(delivery):
        if channel in tried or reach.obstacle(anchor.customer, channel):
            continue
        following = Delivery(
            tenant=delivery.tenant,
            rule=delivery.rule,
            booking=delivery.booking,
            payment=delivery.payment,
            bulk=delivery.bulk,
            customer=anchor.customer,
            channel=channel,
            revision=delivery.revision,
            occurrence=delivery.occurrence,
            fallback_of=delivery,
            send_at=delivery.send_at,  # when it was due: it is late by that much
            useful_until=delivery.useful_until,
        )
        following.save(force_insert=True)
        ledger.enqueue(job_for(following))
        return following
    return None
