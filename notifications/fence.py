"""The intent fence: the guard between a delivery and its provider.

Used by `sending`. The promise: a cancel, a move, a payment or an opt-out and a delivery's intent come one after the
other; when the intent comes second, no provider is called.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from django.db import transaction
from django.db.models import Case, Exists, OuterRef, Q, QuerySet, Value, When
from django.db.models.functions import Now

from jobs import ledger
from jobs.durable import AWAY, Stop, insist
from notifications import crowding, destinations, digests, reach
from notifications.channels.base import Busy
from notifications.guarantees import QUARANTINE
from notifications.models import Booking, Delivery, Payment, ReminderRule
from notifications.overrides import switched_on
from notifications.planning import OF_CANCELLED, Reason, State, still_unwanted


def intend(delivery: Delivery, address: str, job: ledger.Job, *, content: str = "") -> bool:
    """Write the intent, with the fingerprint of what is about to be handed over. The request has to begin
    within the quarantine of it, or not at all.

    False: something does not hold any more, see `why_not`. Raises Busy for a worker that was stopped meanwhile,
    digests.Changed when the message has to be written anew.
    """
    asked = time.monotonic()
    mine = Delivery.objects.filter(pk=delivery.pk)
    try:
        with _alone(delivery):
            if crowding.day_is_full(delivery):
                return False
            wanted = mine.filter(_still_wanted(delivery, address, job))
            intent = destinations.intended(delivery.channel, address) | {"token": job.token, "content": content}
            if not wanted.update(state=State.SENDING, intent_at=Now(), **intent):
                return False
            digests.take_along(delivery)
        if time.monotonic() - asked <= QUARANTINE.total_seconds():
            return True
    except AWAY:
        _take_back(delivery, job)
        raise
    _take_back(delivery, job)
    raise Busy("this worker was stopped between the intent and the request")


@contextmanager
def _alone(delivery: Delivery) -> Iterator[None]:
    """A transaction that holds the customer, where the intent depends on what else the customer gets."""
    if not crowding.counts(delivery):
        yield  # one UPDATE needs no transaction
        return
    with transaction.atomic():
        crowding.locked(delivery.customer_id)
        digests.lock(delivery)
        yield


def _take_back(delivery: Delivery, job: ledger.Job) -> None:
    """Certainly nothing was sent, whether or not the intent was written; a cancel may have been promised meanwhile."""
    insist(lambda: _back(delivery, Delivery.objects.filter(pk=delivery.pk, state=State.SENDING, token=job.token)))


def _back(delivery: Delivery, intent: QuerySet[Delivery]) -> None:
    with transaction.atomic():
        if intent.update(state=State.PLANNED) and not delivery.doubts:
            digests.give_back(delivery)


def _still_wanted(delivery: Delivery, address: str, job: ledger.Job) -> Q:
    """The intent fence: everything that has to hold at the moment before the provider is called.

    A cancel, a move, a payment and an opt-out change the delivery's own row too, so they and this UPDATE wait for each
    other on that row; the conditions on other tables cover rows that were changed past the application.
    """
    holds = Q(state=State.PLANNED, send_at__lte=Now()) & Q(ledger.holds(job, lasting=QUARANTINE))
    for _, condition in checks(delivery, address):
        holds &= condition
    return holds


def checks(delivery: Delivery, address: str) -> list[tuple[str, Q]]:
    """What has to hold, and the reason why not where it does not; in the order in which a failure is told."""
    rule = ReminderRule.objects.filter(pk=OuterRef("rule_id"), anchor=delivery.rule.anchor)
    return [
        (Reason.CANCELLED, Q(_open_anchor(delivery))),
        (Reason.RULE_OFF, Q(Exists(rule)) & switched_on()),
        (Reason.TOO_LATE, Q(useful_until__gt=Now())),
        *reach.conditions(delivery.channel, address),
        (Reason.SUPERSEDED, ~Q(Exists(crowding.superseding(delivery)))),
    ]


def _open_anchor(delivery: Delivery) -> Exists:
    """No join: a joined UPDATE would look at the rows as they were before it waited for a lock."""
    if delivery.payment_id:
        payments = Payment.objects.filter(pk=OuterRef("payment_id"), revision=OuterRef("revision"))
        return Exists(payments.filter(status=Payment.Status.OPEN))
    status = Booking.Status.CANCELLED if delivery.rule.anchor in OF_CANCELLED else Booking.Status.BOOKED
    bookings = Booking.objects.filter(pk=OuterRef("booking_id"), revision=OuterRef("revision"), status=status)
    return Exists(bookings.filter(confirmed_at__isnull=True) if delivery.rule.unless_confirmed else bookings)


def why_not(pk: UUID, job: ledger.Job) -> str:
    """The fence did not open: the reason, as the rows are now. Raises Busy when nothing stands in the way any more,
    Stop when the job is not ours any more.
    """
    delivery = Delivery.objects.select_related("rule", "customer", "booking", "payment").get(pk=pk)
    if reason := still_unwanted(delivery):
        return reason
    if delivery.revision != delivery.anchor.revision:
        return Reason.RESCHEDULED
    conditions = checks(delivery, delivery.customer.address(delivery.channel))
    conditions += [("", Q(ledger.holds(job))), ("", Q(ledger.holds(job, lasting=QUARANTINE)))]
    flags = {
        f"holds_{n}": Case(When(holds, then=Value(True)), default=Value(False))
        for n, (_, holds) in enumerate(conditions)
    }
    held = Delivery.objects.filter(pk=pk).annotate(**flags).values_list(*flags).get()
    for (reason, _), holds in zip(conditions, held, strict=True):
        if not holds and reason:
            return reason
    if crowding.day_is_full(delivery):
        return Reason.DAY_FULL
    *_, ours, lasting = held
    if not ours:
        raise Stop("the job was cancelled, or given to another worker")
    if not lasting:
        raise Busy("this worker's lease is nearly over: its heartbeats do not come through")
    raise Busy("the customer's address, or what else they get, was changed at this very moment")
