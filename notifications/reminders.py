"""Reminders: `plan` makes deliveries match the rules, `deliver` sends one.

`plan` is called by bookings and payments whenever one changes, in their transaction; calling it twice changes
nothing. `deliver` is the durable task of each delivery. The promise: a message is handed to its provider at most
once, and never for an anchor that was cancelled, moved or paid before the intent was written.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from celery import shared_task
from django.utils import timezone

from jobs import ledger
from jobs.durable import AWAY, Durable, Priority
from notifications import circulars, planning, sending
from notifications.changes import Changes, Plan
from notifications.channels.base import Busy, Refused, Unknown
from notifications.models import Booking, Delivery, Payment, ReminderRule

URGENT, SOON = timedelta(minutes=20), timedelta(hours=2)  # of use for so long

# --- Planning ------------------------------------------------------------------------------------------


def plan(
    anchors: Sequence[Booking] | Sequence[Payment], *, now: datetime | None = None, only: ReminderRule | None = None
) -> Plan:
    """Add, move and withdraw the deliveries of `anchors` (all of one kind) until they match the rules.

    The caller holds the anchors' rows locked, in the transaction that changed them. `only` leaves the deliveries of
    other rules alone. The number of queries does not
    depend on the number of anchors within a chunk.
    """
    done = Plan()
    if anchors:
        changes = Changes(job_for)
        rules = None if only is None else [only]
        circular = planning.decide(anchors, changes, done, now or timezone.now(), rules=rules)
        circulars.follow(circular, [anchor for anchor in anchors if isinstance(anchor, Booking)], changes, done)
        changes.apply(done)
    return done


def job_for(delivery: Delivery) -> ledger.Job:
    """No useful_until on the row: `deliver` itself finds out that it is too late, and says so on the delivery."""
    tag = f"booking:{delivery.booking_id}" if delivery.booking_id else f"payment:{delivery.payment_id}"
    priority = urgency(delivery.useful_until - delivery.send_at)
    if delivery.bulk_id and priority == Priority.NORMAL:
        priority = Priority.LOW  # fifty thousand at once must not make the reminders late
    options: dict[str, Any] = {"correlation_id": tag, "priority": priority, "tenant": delivery.tenant}
    return deliver.job((str(delivery.pk),), task_id=delivery.pk, eta=delivery.send_at, **options)


def urgency(useful: timedelta) -> Priority:
    """After an outage what is soon of no use goes first: "in 15 minutes" before "tomorrow".

    Oldest first, the day's reminders of tomorrow would let those of the next hour expire. Among equals the oldest is
    also the first to be of no use.
    """
    return Priority.URGENT if useful <= URGENT else Priority.HIGH if useful <= SOON else Priority.NORMAL


# --- Sending -------------------------------------------------------------------------------------------


@shared_task(
    base=Durable,
    bind=True,
    name="notifications.deliver",
    internal=True,
    queue="messages",
    autoretry_for=(Busy, *AWAY),
    throws=(Busy, Refused, Unknown),
    max_retries=None,  # the fence ends it when it is of no use any more
    retry_backoff=sending.BACKOFF,
    retry_backoff_max=sending.LONGEST_BACKOFF,
    soft_time_limit=60,
    time_limit=75,
)
def deliver(self: Durable, delivery_id: str) -> str:
    """Send one delivery now, unless nobody wants it any more. Returns the delivery's state."""
    return sending.send(self, delivery_id, job_for)
