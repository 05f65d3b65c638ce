"""The next channel, when one certainly does not reach the customer.

Used by `outcomes`, in the transaction that records the refusal, or that a message did not arrive: there is no moment at
which the one is over and the other not yet planned. The promise: never a second message while the first may have been
taken or has arrived, and none for a booking or payment that was closed meanwhile.
"""

from collections.abc import Callable

from django.db.models import Q, QuerySet

from jobs import ledger
from notifications import crowding, reach
from notifications.models import Booking, Delivery, Payment
from notifications.overrides import rule_of
from notifications.planning import unwanted
from notifications.routes import by_preference

State, Reason = Delivery.State, Delivery.Reason
JobFor = Callable[[Delivery], ledger.Job]


def others(delivery: Delivery) -> list[str]:
    """The channels of the rule besides the delivery's own, best first, as when it was planned."""
    best_first = by_preference(rule_of(delivery), delivery.customer)
    return [channel for channel in best_first if channel != delivery.channel]


def hold_anchor(delivery: Delivery) -> Booking | Payment | None:
    """The booking or payment, locked, if the delivery is about it as it is now. Before the delivery's own row."""
    rows = (Booking if delivery.booking_id else Payment).objects.select_related("customer")
    locked = rows.select_for_update(of=("self",), no_key=True)  # as a cancel does: anchor first, then deliveries
    anchor: Booking | Payment | None = locked.filter(pk=delivery.anchor.pk, revision=delivery.revision).first()
    return anchor


def is_wanted(delivery: Delivery, anchor: Booking | Payment) -> bool:
    """Whether the rule still speaks of the anchor as it is."""
    return not unwanted(rule_of(delivery), anchor)


def reaches_otherwise(delivery: Delivery, anchor: Booking | Payment) -> bool:
    """Whether the same goes, went or may have gone by another channel. The caller holds the anchor."""
    goes = Q(state__in=[State.PLANNED, State.SENDING, State.IN_DOUBT]) | Q(doubts__gt=0) | Q(reason=Reason.IN_DIGEST)
    went = Q(state=State.SENT) & ~Q(outcome__in=Delivery.UNREACHED)
    return _same(delivery, anchor).exclude(pk=delivery.pk).filter(goes | went).exists()


def _same(delivery: Delivery, anchor: Booking | Payment) -> QuerySet[Delivery]:
    named = {"rule": delivery.rule_id, "occurrence": delivery.occurrence, "revision": delivery.revision}
    return Delivery.objects.filter(**{"booking" if delivery.booking_id else "payment": anchor.pk}, **named)


def plan_next(delivery: Delivery, anchor: Booking | Payment, job_for: JobFor) -> Delivery | None:
    """A delivery by the next channel that reaches the customer, due now. None: there is none, or it is too late."""
    if delivery.useful_until <= crowding.database_now():
        return None
    tried = set(_same(delivery, anchor).values_list("channel", flat=True))
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
            moved_from=delivery.moved_from,
        )
        following.save(force_insert=True)
        ledger.enqueue(job_for(following))
        return following
    return None
