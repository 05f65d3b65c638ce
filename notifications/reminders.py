"""Reminders: `plan` makes deliveries match the rules, `deliver` sends one.

`plan` is called by bookings and payments whenever one changes, in their transaction; calling it twice changes
nothing. `deliver` is the durable task of each delivery. The promise: a message is handed to its provider at most
once, and never for an anchor that was cancelled, moved or paid before the intent was written.
"""

import time
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import chain
from typing import Any

from celery import shared_task
from django.db import InterfaceError, OperationalError
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from jobs import ledger
from jobs.durable import Durable, Snooze, Stop, insist
from notifications import rendering
from notifications.changes import Changes, Plan
from notifications.channels import CHANNELS
from notifications.channels.base import Busy, Message, Refused, Unknown
from notifications.models import Booking, Delivery, Payment, ReminderRule

State, Reason = Delivery.State, Delivery.Reason
Anchor = Booking | Payment

QUARANTINE = timedelta(seconds=10)  # a request begins within this time of its intent, or not at all
RESTORABLE = frozenset({Reason.LEAD_TIME_PAST, Reason.CANCELLED, Reason.PAID, Reason.NO_ADDRESS, Reason.RULE_OFF})


# --- Planning ------------------------------------------------------------------------------------------


def plan(anchors: Sequence[Booking] | Sequence[Payment], *, now: datetime | None = None) -> Plan:
    """Add, move and withdraw the deliveries of `anchors` (all of one kind) until they match the rules.

    The caller holds the anchors' rows locked, in the transaction that changed them. The number of queries does not
    depend on the number of anchors within a chunk.
    """
    done = Plan()
    if not anchors:
        return done
    now = now or timezone.now()
    name, kind = _kind(anchors[0])
    rules = list(ReminderRule.objects.filter(anchor=kind))
    existing: dict[tuple[int, int], list[Delivery]] = defaultdict(list)
    for delivery in Delivery.objects.filter(**{f"{name}__in": anchors}):
        existing[getattr(delivery, f"{name}_id"), delivery.rule_id].append(delivery)
    changes = Changes(_job)
    for anchor in anchors:
        for rule in rules:
            _compare(rule, anchor, existing.pop((anchor.pk, rule.pk), []), changes, done, now)
    for delivery in chain.from_iterable(existing.values()):  # of rules that are about something else by now
        if delivery.state == State.PLANNED:
            changes.withdraw(delivery, Reason.RULE_OFF)
    changes.apply(done)
    return done


def _kind(anchor: Anchor) -> tuple[str, str]:
    if isinstance(anchor, Booking):
        return "booking", ReminderRule.Anchor.BOOKING_START
    return "payment", ReminderRule.Anchor.PAYMENT_DUE


def _compare(
    rule: ReminderRule, anchor: Anchor, have: list[Delivery], changes: "Changes", done: Plan, now: datetime
) -> None:
    """Decide what has to happen for one rule and one anchor."""
    unwanted, window = _unwanted(rule, anchor), rule.window(anchor)
    for delivery in have:
        outdated = delivery.revision != anchor.revision
        if delivery.state == State.SENDING and (outdated or unwanted):
            done.in_flight.append(delivery)
        if delivery.state == State.PLANNED and outdated:
            changes.withdraw(delivery, unwanted or Reason.RESCHEDULED)
    current = next((delivery for delivery in have if delivery.revision == anchor.revision), None)
    if current is None:
        if unwanted in ("", Reason.NO_ADDRESS):
            missed = window.send_at <= now or window.useful_until <= window.send_at
            changes.add(rule, anchor, window, unwanted or (Reason.LEAD_TIME_PAST if missed else ""))
    elif current.state == State.PLANNED:
        moved = (current.send_at, current.useful_until) != (window.send_at, window.useful_until)
        if unwanted:
            changes.withdraw(current, unwanted)
        elif moved and window.send_at <= now:
            changes.withdraw(current, Reason.LEAD_TIME_PAST)
        elif moved:
            changes.move(current, window)
        else:
            done.kept += 1
    elif current.state == State.SKIPPED and current.reason in RESTORABLE and not unwanted and window.send_at > now:
        changes.restore(current, window)
    else:
        done.kept += 1


def _unwanted(rule: ReminderRule, anchor: Anchor) -> str:
    """Why this rule's message about this anchor is not to go out; empty if it is."""
    if isinstance(anchor, Payment) and anchor.status == Payment.Status.PAID:
        return Reason.PAID
    if anchor.status not in (Booking.Status.BOOKED, Payment.Status.OPEN):
        return Reason.CANCELLED
    if not rule.active:
        return Reason.RULE_OFF
    address = {"email": anchor.customer.email}[rule.channel]
    return "" if address else Reason.NO_ADDRESS


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
    if _unwanted(delivery.rule, delivery.anchor):
        return _why_not(mine)
    message = _rendered(delivery, mine)
    if not _intend(mine, job):
        return _why_not(mine)
    # In doubt too: if this worker was slow and given up for dead, it still is the one who knows the answer.
    intent = mine.filter(state__in=[State.SENDING, State.IN_DOUBT], token=job.token)
    try:
        receipt = CHANNELS[delivery.channel](message, idempotency_key=str(delivery.pk))
    except Busy as exc:
        _settle(intent, State.PLANNED, detail=str(exc))
        if exc.retry_after:
            raise self.retry(exc=exc, countdown=exc.retry_after.total_seconds()) from None
        raise
    except Refused as exc:
        _settle(intent, State.REFUSED, detail=str(exc))
        raise
    except Exception as exc:
        # Unknown, or something nobody thought of: the provider may have the message. Never sent again by itself.
        why = str(exc) if isinstance(exc, Unknown) else type(exc).__name__  # its text may hold an address
        _settle(intent, State.IN_DOUBT, detail=why)
        raise Unknown(why) from None
    return _settle(intent, State.SENT, sent_at=Now(), provider_id=receipt.provider_id)


def _intend(mine: QuerySet[Delivery], job: ledger.Job) -> bool:
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


def _rendered(delivery: Delivery, mine: QuerySet[Delivery]) -> Message:
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
    open_anchors = (
        Booking.objects.filter(pk=OuterRef("booking_id"), revision=OuterRef("revision"), status=Booking.Status.BOOKED),
        Payment.objects.filter(pk=OuterRef("payment_id"), revision=OuterRef("revision"), status=Payment.Status.OPEN),
    )
    rule = ReminderRule.objects.filter(pk=OuterRef("rule_id"), active=True)
    return (
        Q(state=State.PLANNED, send_at__lte=Now(), useful_until__gt=Now())
        & Q(Exists(open_anchors[0]) | Exists(open_anchors[1]))
        & Q(Exists(rule))
        & Q(ledger.holds(job))
    )


def _why_not(mine: QuerySet[Delivery]) -> str:
    """The fence did not open: find out why, and record it if the delivery is still waiting."""
    rows = mine.select_related("rule", "customer", "booking", "payment").annotate(now=Now())
    delivery = rows.get()
    now: datetime = delivery.now  # the database's: this machine's clock may be wrong
    if delivery.state != State.PLANNED:
        return delivery.state
    if delivery.send_at > now:
        raise Snooze(delivery.send_at)
    reason = _unwanted(delivery.rule, delivery.anchor)
    if not reason and delivery.revision != delivery.anchor.revision:
        reason = Reason.RESCHEDULED
    if not reason and delivery.useful_until <= now:
        reason = Reason.TOO_LATE
    if not reason:
        raise Stop("the job was cancelled, or given to another worker")
    return _end(mine.filter(state=State.PLANNED), State.SKIPPED, reason=reason)


def _settle(intent: QuerySet[Delivery], state: Delivery.State, **changes: Any) -> str:
    """What the provider said must not be forgotten because the database hiccups."""
    return str(insist(lambda: _end(intent, state, **changes)))


def _end(rows: QuerySet[Delivery], state: Delivery.State, **changes: Any) -> str:
    rows.update(state=state, **changes)
    return state
