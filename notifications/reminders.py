"""Reminders: `plan` makes deliveries match the rules, `deliver` sends one.

`plan` is called by bookings and payments whenever one changes, in their transaction; calling it twice changes
nothing. `deliver` is the durable task of each delivery. The promise: a message is handed to its provider at most
once, and never for an anchor that was cancelled, moved or paid before the intent was written.
"""

import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from celery import shared_task
from django.db.models import Case, Exists, OuterRef, Q, QuerySet, Value, When
from django.db.models.functions import Now
from django.utils import timezone

from jobs import ledger
from jobs.durable import Durable, Snooze, Stop
from notifications import rendering
from notifications.channels import CHANNELS
from notifications.channels.base import Busy, Message, Refused
from notifications.models import Booking, Delivery, Payment, ReminderRule
from notifications.timing import Window

State, Reason = Delivery.State, Delivery.Reason
Anchor = Booking | Payment

QUARANTINE = timedelta(seconds=10)  # a request begins within this time of its intent, or not at all
CHUNK = 500
RESTORABLE = frozenset({Reason.LEAD_TIME_PAST, Reason.CANCELLED, Reason.PAID, Reason.NO_ADDRESS, Reason.RULE_OFF})


# --- Planning ------------------------------------------------------------------------------------------


@dataclass
class Plan:
    """What one `plan` did, as deliveries."""

    added: list[Delivery] = field(default_factory=list)
    moved: list[Delivery] = field(default_factory=list)
    withdrawn: list[Delivery] = field(default_factory=list)  # it will not go out any more
    in_flight: list[Delivery] = field(default_factory=list)  # meant to be withdrawn, but being sent right now
    skipped: list[Delivery] = field(default_factory=list)  # recorded, with the reason why it will never go out
    kept: int = 0

    @property
    def changes(self) -> int:
        return len(self.added) + len(self.moved) + len(self.withdrawn) + len(self.skipped)


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
    changes = _Changes()
    for anchor in anchors:
        for rule in rules:
            _compare(rule, anchor, existing[anchor.pk, rule.pk], changes, done, now)
    changes.apply(done)
    return done


def _kind(anchor: Anchor) -> tuple[str, str]:
    if isinstance(anchor, Booking):
        return "booking", ReminderRule.Anchor.BOOKING_START
    return "payment", ReminderRule.Anchor.PAYMENT_DUE


def _compare(
    rule: ReminderRule, anchor: Anchor, have: list[Delivery], changes: "_Changes", done: Plan, now: datetime
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
            changes.add(rule, anchor, window, unwanted or (Reason.LEAD_TIME_PAST if window.send_at <= now else ""))
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


class _Changes:
    """The changes of one plan, applied with a few statements for all of them."""

    def __init__(self) -> None:
        self._add: list[Delivery] = []
        self._move: list[Delivery] = []
        self._restore: list[Delivery] = []
        self._withdraw: dict[str, list[Delivery]] = defaultdict(list)

    def add(self, rule: ReminderRule, anchor: Anchor, window: Window, skip: str) -> None:
        delivery = Delivery(rule=rule, customer_id=anchor.customer_id, channel=rule.channel, revision=anchor.revision)
        delivery.booking, delivery.payment = (anchor, None) if isinstance(anchor, Booking) else (None, anchor)
        delivery.send_at, delivery.useful_until = window.send_at, window.useful_until
        if skip:
            delivery.state, delivery.reason = State.SKIPPED, skip
        self._add.append(delivery)

    def move(self, delivery: Delivery, window: Window) -> None:
        delivery.send_at, delivery.useful_until = window.send_at, window.useful_until
        self._move.append(delivery)

    def restore(self, delivery: Delivery, window: Window) -> None:
        delivery.send_at, delivery.useful_until, delivery.reason = window.send_at, window.useful_until, ""
        self._restore.append(delivery)

    def withdraw(self, delivery: Delivery, reason: str) -> None:
        self._withdraw[reason].append(delivery)

    def apply(self, done: Plan) -> None:
        """Each kind is one guarded UPDATE per chunk; rows that somebody else moved on meanwhile are left alone."""
        done.added = [delivery for delivery in self._add if delivery.state == State.PLANNED]
        done.skipped = [delivery for delivery in self._add if delivery.state == State.SKIPPED]
        Delivery.objects.bulk_create(self._add, batch_size=CHUNK, ignore_conflicts=True)
        ledger.enqueue_many([_job(delivery) for delivery in done.added])
        for reason, deliveries in self._withdraw.items():
            _withdraw(deliveries, reason, done)
        moved = _set_window(self._move, State.PLANNED)
        ledger.reschedule({delivery.pk: (delivery.send_at, None) for delivery in moved})
        restored = _set_window(self._restore, State.SKIPPED)
        ledger.enqueue_many([_job(delivery) for delivery in restored])  # those that never had a job
        ledger.retry([delivery.pk for delivery in restored])
        ledger.reschedule({delivery.pk: (delivery.send_at, None) for delivery in restored})
        done.moved, done.added = moved, done.added + restored


def _job(delivery: Delivery) -> ledger.Job:
    """No useful_until on the row: `deliver` itself finds out that it is too late, and says so on the delivery."""
    tag = f"booking:{delivery.booking_id}" if delivery.booking_id else f"payment:{delivery.payment_id}"
    return deliver.job((str(delivery.pk),), task_id=delivery.pk, eta=delivery.send_at, correlation_id=tag)


def _withdraw(deliveries: list[Delivery], reason: str, done: Plan) -> None:
    for start in range(0, len(deliveries), CHUNK):
        some = {delivery.pk: delivery for delivery in deliveries[start : start + CHUNK]}
        rows = Delivery.objects.filter(pk__in=some)
        rows.filter(state=State.PLANNED).update(state=State.SKIPPED, reason=reason)
        ledger.cancel(some, Reason(reason).label)
        for delivery in rows:
            (done.withdrawn if delivery.state == State.SKIPPED else done.in_flight).append(delivery)


def _set_window(deliveries: list[Delivery], state: str) -> list[Delivery]:
    moved: list[Delivery] = []
    for start in range(0, len(deliveries), CHUNK // 5):
        some = {delivery.pk: delivery for delivery in deliveries[start : start + CHUNK // 5]}
        send_at = Case(*[When(pk=pk, then=Value(delivery.send_at)) for pk, delivery in some.items()])
        until = Case(*[When(pk=pk, then=Value(delivery.useful_until)) for pk, delivery in some.items()])
        rows = Delivery.objects.filter(pk__in=some)
        rows.filter(state=state).update(state=State.PLANNED, reason="", send_at=send_at, useful_until=until)
        planned = set(rows.filter(state=State.PLANNED).values_list("pk", flat=True))
        moved += [delivery for pk, delivery in some.items() if pk in planned]
    return moved


# --- Sending -------------------------------------------------------------------------------------------


@shared_task(
    base=Durable,
    bind=True,
    name="notifications.deliver",
    queue="messages",
    autoretry_for=(Busy,),
    throws=(Busy, Refused),
    max_retries=10,
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
        return _end(mine.filter(state=State.SENDING), State.IN_DOUBT, detail="the worker was lost while sending")
    if delivery.state != State.PLANNED:
        return delivery.state
    message = _rendered(delivery, mine)
    asked = time.monotonic()
    if not mine.filter(_still_wanted(job)).update(state=State.SENDING, token=job.token, intent_at=Now()):
        return _why_not(mine, job)
    intent = mine.filter(state=State.SENDING, token=job.token)
    if time.monotonic() - asked > QUARANTINE.total_seconds():
        intent.update(state=State.PLANNED)  # nothing was sent; a cancel may have been promised meanwhile
        raise Busy("this worker was stopped between the intent and the request")
    try:
        receipt = CHANNELS[delivery.channel](message, idempotency_key=str(delivery.pk))
    except Busy as exc:
        last = self.max_retries is not None and self.request.retries >= self.max_retries
        _end(intent, State.REFUSED if last else State.PLANNED, detail=str(exc))
        raise
    except Refused as exc:
        _end(intent, State.REFUSED, detail=str(exc))
        raise
    except Exception as exc:
        # Unknown, or something nobody thought of: the provider may have the message. Never sent again by itself.
        _end(intent, State.IN_DOUBT, detail=f"{type(exc).__name__}: {exc}")
        raise
    return _end(intent, State.SENT, sent_at=Now(), provider_id=receipt.provider_id)


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
    booking = Booking.objects.filter(
        pk=OuterRef("booking_id"), revision=OuterRef("revision"), status=Booking.Status.BOOKED
    )
    payment = Payment.objects.filter(
        pk=OuterRef("payment_id"), revision=OuterRef("revision"), status=Payment.Status.OPEN
    )
    return (
        Q(state=State.PLANNED, send_at__lte=Now(), useful_until__gt=Now())
        & Q(Exists(booking) | Exists(payment))
        & Q(ledger.holds(job))
    )


def _why_not(mine: QuerySet[Delivery], job: ledger.Job) -> str:
    """The fence did not open: find out why, and record it if the delivery is still waiting."""
    now = timezone.now()
    delivery = mine.select_related("rule", "customer", "booking", "payment").get()
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


def _end(rows: QuerySet[Delivery], state: Delivery.State, **changes: Any) -> str:
    rows.update(state=state, **changes)
    return state
