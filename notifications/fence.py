"""The intent fence: the guard between a delivery and its provider, and the record of what the provider said.

Used by `reminders.deliver`. The promise: a cancel, a move or a payment and a delivery's intent come one after the
other; when the cancel is first, no provider is called.
"""

import time
from datetime import datetime, timedelta
from typing import Any

from django.db import InterfaceError, OperationalError
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.db.models.functions import Now

from jobs import ledger
from jobs.durable import Snooze, Stop, insist
from notifications import rendering
from notifications.channels.base import Busy, Message
from notifications.models import Booking, Delivery, Payment, ReminderRule
from notifications.overrides import switched_on
from notifications.planning import Kind, Reason, State, still_unwanted

QUARANTINE = timedelta(seconds=10)  # a request begins within this time of its intent, or not at all


def intend(mine: QuerySet[Delivery], job: ledger.Job) -> bool:
    """Write the intent. The request has to begin within QUARANTINE of it, or not at all."""
    asked = time.monotonic()
    try:
        if not mine.filter(_still_wanted(job)).update(state=State.SENDING, token=job.token, intent_at=Now()):
            return False
        if time.monotonic() - asked <= QUARANTINE.total_seconds():
            return True
    except (OperationalError, InterfaceError):
        _take_back(mine, job)
        raise
    _take_back(mine, job)
    raise Busy("this worker was stopped between the intent and the request")


def _take_back(mine: QuerySet[Delivery], job: ledger.Job) -> None:
    """Certainly nothing was sent, whether or not the intent was written; a cancel may have been promised meanwhile."""
    insist(lambda: mine.filter(state=State.SENDING, token=job.token).update(state=State.PLANNED))


def rendered(delivery: Delivery, mine: QuerySet[Delivery]) -> Message:
    try:
        return rendering.render(delivery)
    except Exception as exc:
        why = f"{type(exc).__name__}: {exc}"
        mine.filter(state=State.PLANNED).update(state=State.SKIPPED, reason=Reason.BROKEN_TEMPLATE, detail=why)
        raise


def _still_wanted(job: ledger.Job) -> Q:
    """The intent fence: everything that has to hold at the moment before the provider is called.

    A cancel, a move and a payment change the delivery's own row too, so they and this UPDATE wait for each other on
    that row; the conditions on other tables cover rows that were changed past the application.
    """
    booking = Booking.objects.filter(pk=OuterRef("booking_id"), revision=OuterRef("revision"))
    payment = Payment.objects.filter(pk=OuterRef("payment_id"), revision=OuterRef("revision"))
    of_cancelled = Q(Exists(ReminderRule.objects.filter(pk=OuterRef("rule_id"), anchor=Kind.BOOKING_CANCELLED)))
    return (
        Q(state=State.PLANNED, send_at__lte=Now(), useful_until__gt=Now())
        & (
            Q(Exists(payment.filter(status=Payment.Status.OPEN)))
            | (~of_cancelled & Q(Exists(booking.filter(status=Booking.Status.BOOKED))))
            | (of_cancelled & Q(Exists(booking.filter(status=Booking.Status.CANCELLED))))
        )
        & switched_on()
        & Q(ledger.holds(job))
    )


def why_not(mine: QuerySet[Delivery]) -> str:
    """The fence did not open: find out why, and record it if the delivery is still waiting."""
    rows = mine.select_related("rule", "customer", "booking", "payment").annotate(now=Now())
    delivery = rows.get()
    now: datetime = delivery.now  # the database's: this machine's clock may be wrong
    if delivery.state != State.PLANNED:
        return delivery.state
    if delivery.send_at > now:
        raise Snooze(delivery.send_at)
    reason = still_unwanted(delivery)
    if not reason and delivery.revision != delivery.anchor.revision:
        reason = Reason.RESCHEDULED
    if not reason and delivery.useful_until <= now:
        reason = Reason.TOO_LATE
    if not reason:
        raise Stop("the job was cancelled, or given to another worker")
    return _end(mine.filter(state=State.PLANNED), State.SKIPPED, reason=reason)


def settle(intent: QuerySet[Delivery], state: Delivery.State, **changes: Any) -> str:
    """What the provider said must not be forgotten because the database hiccups."""
    return str(insist(lambda: _end(intent, state, **changes)))


def _end(rows: QuerySet[Delivery], state: Delivery.State, **changes: Any) -> str:
    rows.update(state=state, **changes)
    return state
