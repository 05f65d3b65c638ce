"""Reminders: `plan` makes deliveries match the rules, `deliver` sends one.

`plan` is called by bookings and payments whenever one changes, in their transaction; calling it twice changes
nothing. `deliver` is the durable task of each delivery. The promise: a message is handed to its provider at most
once, and never for an anchor that was cancelled, moved or paid before the intent was written.
"""

from collections.abc import Sequence
from datetime import datetime

from celery import shared_task
from django.db import InterfaceError, OperationalError
from django.db.models.functions import Now
from django.utils import timezone

from jobs import ledger
from jobs.durable import Durable
from notifications import fence, planning
from notifications.changes import Changes, Plan
from notifications.channels import CHANNELS
from notifications.channels.base import Busy, Refused, Unknown
from notifications.models import Booking, Delivery, Payment, ReminderRule
from notifications.planning import State

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
        changes = Changes(_job)
        planning.decide(anchors, changes, done, now or timezone.now(), rules=None if only is None else [only])
        changes.apply(done)
    return done


def _job(delivery: Delivery) -> ledger.Job:
    """No useful_until on the row: `deliver` itself finds out that it is too late, and says so on the delivery."""
    tag = f"booking:{delivery.booking_id}" if delivery.booking_id else f"payment:{delivery.payment_id}"
    return deliver.job((str(delivery.pk),), task_id=delivery.pk, eta=delivery.send_at, correlation_id=tag)


# --- Sending -------------------------------------------------------------------------------------------


@shared_task(
    base=Durable,
    bind=True,
    name="notifications.deliver",
    queue="messages",
    autoretry_for=(Busy, OperationalError, InterfaceError),
    throws=(Busy, Refused, Unknown),
    max_retries=None,  # the fence ends it when it is of no use any more
    retry_backoff=5,
    retry_backoff_max=900,
    soft_time_limit=60,
    time_limit=75,
)
def deliver(self: Durable, delivery_id: str) -> str:
    """Send one delivery now, unless nobody wants it any more. Returns the delivery's state."""
    delivery = Delivery.objects.select_related("rule", "customer", "booking", "payment").filter(pk=delivery_id).first()
    if delivery is None:
        return "withdrawn"
    job, mine = self.running.job, Delivery.objects.filter(pk=delivery_id)
    if delivery.state == State.SENDING:
        # An earlier attempt wrote its intent and never came back: only a person or the provider knows.
        lost = {"state": State.IN_DOUBT, "detail": "the worker was lost while sending"}
        if not mine.filter(state=State.SENDING).update(**lost):
            raise Busy("an earlier attempt, only slow, has just told its outcome")
        return State.IN_DOUBT
    if delivery.state != State.PLANNED:
        return delivery.state
    if planning.still_unwanted(delivery):
        return fence.why_not(mine)
    message = fence.rendered(delivery, mine)
    if not fence.intend(mine, job):
        return fence.why_not(mine)
    # In doubt too: if this worker was slow and given up for dead, it still is the one who knows the answer.
    intent = mine.filter(state__in=[State.SENDING, State.IN_DOUBT], token=job.token)
    try:
        receipt = CHANNELS[delivery.channel](message, idempotency_key=str(delivery.pk))
    except Busy as exc:
        fence.settle(intent, State.PLANNED, detail=str(exc))
        if exc.retry_after:
            raise self.retry(exc=exc, countdown=exc.retry_after.total_seconds()) from None
        raise
    except Refused as exc:
        fence.settle(intent, State.REFUSED, detail=str(exc))
        raise
    except Exception as exc:
        # Unknown, or something nobody thought of: the provider may have the message. Never sent again by itself.
        why = str(exc) if isinstance(exc, Unknown) else type(exc).__name__  # its text may hold an address
        fence.settle(intent, State.IN_DOUBT, detail=why)
        raise Unknown(why) from None
    return fence.settle(intent, State.SENT, sent_at=Now(), provider_id=receipt.provider_id)
