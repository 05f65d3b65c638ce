"""One change to everything that matches: "the clinic is closed tomorrow".

    selection = bulk.Selection(on=date(2027, 3, 5), location="Clinic")
    words = bulk.Circular(subject="We are closed", text="Dear {{ customer.name }}, ...", channels=("sms", "email"))
    bulk.preview(selection, bulk.Kind.CANCEL, message=words)       # what it would touch, and whom it would reach
    change = bulk.start(bulk.Kind.CANCEL, selection, message=words, reason="burst pipe", actor="olga")

`start` records the change and its job in one transaction; the job works through the bookings, a chunk a transaction.
The promise: how far it came is written in the transaction that did it, so a killed worker's successor repeats nothing
and leaves nothing out, and what was changed meanwhile by somebody else is left as they wanted it.
"""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID, uuid4

from celery import shared_task
from django.db import transaction
from django.db.models import Exists, F, Max, Min, OuterRef
from django.db.models.functions import Coalesce, Now
from django.utils import timezone
from django.utils.translation import gettext as _

from jobs import ledger
from jobs.durable import AWAY, Durable
from jobs.ids import new_id
from jobs.pruner import longest
from notifications import circulars, reminders, timing
from notifications.changes import Changes, Plan
from notifications.circulars import Circular as Circular, Foreseen
from notifications.models import Booking, BulkChange, Delivery, ReminderRule
from notifications.planning import Reason, State
from notifications.selections import Selection as Selection

CHUNK = 500
FURTHEST = 366  # days
Kind = BulkChange.Kind
DONE = {Kind.CANCEL: "cancelled", Kind.MOVE: "moved", Kind.MESSAGE: "written to"}
MOVED = ["wall_date", "starts_at", "ends_at", "revision", "sequence", "moved_at", "confirmed_at"]


@dataclass(frozen=True)
class Preview:
    """What a change would touch, if it happened now."""

    bookings: int
    customers: int
    first: datetime | None
    last: datetime | None
    reminders: dict[str, int]  # of these bookings, by state
    message: Foreseen | None = None


def preview(
    selection: Selection, kind: Kind = Kind.CANCEL, *, days: int = 0, message: Circular | None = None
) -> Preview:
    """Four queries, and some for every chunk if there is a message; changes nothing."""
    bookings = selection.bookings()
    found = bookings.aggregate(first=Min("starts_at"), last=Max("starts_at"))
    people = bookings.order_by().values("customer").distinct().count()
    states = Delivery.objects.filter(booking__in=bookings.values("pk")).values_list("state", flat=True)
    reached = None
    if message:
        as_if = partial(_in_memory, kind, timedelta(days=days))
        reached = circulars.foresee(kind, message, selection, timezone.now(), as_if)
    counts = dict(Counter(states.order_by()))
    return Preview(bookings.count(), people, found["first"], found["last"], counts, reached)


def start(
    kind: Kind,
    selection: Selection,
    *,
    reason: str,
    actor: str,
    days: int = 0,
    message: Circular | None = None,
    token: UUID | None = None,
) -> BulkChange:
    """Record the change and let a job make it. Raises ValueError when it says nothing or too much.

    With a token it is started once: raises IntegrityError for the second time, also for one at the same moment.

    `days`: how far a move goes; times on the wall stay. `message` goes to the customers of what was changed, in the
    place of the notice that a rule may send of it.
    """
    if not reason.strip():
        raise ValueError(_("Say why: the reason is kept with every booking that is changed."))
    if kind == Kind.MOVE and not 1 <= abs(days) <= FURTHEST:
        told = _("Move by 1 to {furthest} days, or by as many back; this says {days}.")
        raise ValueError(told.format(furthest=FURTHEST, days=days))
    if kind == Kind.MESSAGE and message is None:
        raise ValueError(_("Say what to write."))
    if message and (wrong := message.wrong()):
        raise ValueError("; ".join(f"{part}: {why}" for part, why in wrong))
    job_id = new_id()
    parameters: dict[str, Any] = {"days": days} if kind == Kind.MOVE else {}
    if message:
        parameters["message"] = message.model_dump(mode="json")
    with transaction.atomic():
        name = f"Bulk {kind}: {reason[:60]} ({job_id.hex[-8:]})"
        rule = circulars.rule_for(kind, message, name, selection.tenant) if message else None
        if rule:
            rule.save(force_insert=True)
        change = BulkChange.objects.create(
            tenant=selection.tenant,
            kind=kind,
            filters=selection.model_dump(mode="json", exclude_defaults=True),
            parameters=parameters,
            reason=reason,
            actor=actor,
            total=selection.bookings().count(),
            rule=rule,
            job_id=job_id,
            token=token or uuid4(),
        )
        apply.apply_async((change.pk,), task_id=job_id, tenant=change.tenant)
    return change


def call_off(change: BulkChange, *, actor: str) -> bool:
    """Change no more bookings, and withdraw what has not gone out; what was changed stays so. False: it was before.

    From the commit on no message of it passes the fence, because its rule is off; a job does the accounts.
    """
    with transaction.atomic():
        mine = BulkChange.objects.filter(pk=change.pk, cancelled_at=None)
        if not mine.update(cancelled_at=Now(), cancelled_by=actor):
            return False
        ReminderRule.objects.filter(bulk=change.pk).update(active=False)
        if change.job_id:
            ledger.cancel([change.job_id], f"called off by {actor}")
        if change.rule_id:
            withdraw.apply_async((change.pk,), tenant=change.tenant)
    return True


# A chunk is a transaction: when the database was away, the next attempt goes on after the last.
_LONG: dict[str, Any] = {"internal": True, "time_limit": 3600, "soft_time_limit": 3540, "autoretry_for": AWAY}
_LONG |= {"retry_backoff": 5, "max_retries": 10}


@shared_task(base=Durable, name="notifications.bulk_withdraw", **_LONG)
def withdraw(change_id: int) -> dict[str, int]:
    """Withdraw the messages that wait, a chunk a transaction. Returns how many certainly will not go out."""
    counts: Counter[str] = Counter()
    waiting = Delivery.objects.filter(bulk=change_id, state=State.PLANNED)
    while True:
        with transaction.atomic():
            if not (some := list(waiting.order_by("pk")[:CHUNK])):
                return dict(counts)
            changes, done = Changes(reminders.job_for), Plan()
            for delivery in some:
                changes.withdraw(delivery, Reason.CALLED_OFF)
            changes.apply(done)
        counts += Counter({"withdrawn": len(done.withdrawn), "in flight or in doubt": len(done.in_flight)})


@shared_task(base=Durable, bind=True, name="notifications.bulk", **_LONG)
def apply(self: Durable, change_id: int) -> dict[str, int]:
    """Make the change, a chunk a transaction. Returns what became of the bookings, reminders and messages."""
    while True:
        self.running.check_cancelled()
        change, more = _chunk(change_id)
        self.running.progress(change.done, max(change.total or 0, change.done))
        if not more:
            return dict(change.counts)


def prune() -> int:
    """Delete changes that are over for longer than any job is kept, with their rules. Returns how many.

    One that has messages stays with them: they tell a customer's story, and its rule is theirs.
    """
    old = BulkChange.objects.alias(over=Coalesce("cancelled_at", "finished_at")).filter(over__lt=Now() - longest())
    old = old.filter(~Exists(Delivery.objects.filter(bulk=OuterRef("pk")))).order_by("pk")
    gone = 0
    while True:
        with transaction.atomic():
            some = dict(old.select_for_update(of=("self",), skip_locked=True).values_list("pk", "rule")[:CHUNK])
            if not some:
                return gone
            BulkChange.objects.filter(pk__in=some).delete()
            ReminderRule.objects.filter(pk__in=[rule for rule in some.values() if rule]).delete()
        gone += len(some)


def _chunk(change_id: int) -> tuple[BulkChange, bool]:
    """The next bookings, and how far it came, together. Returns whether there may be more."""
    with transaction.atomic():
        change = BulkChange.objects.select_related("rule").select_for_update(of=("self",)).get(pk=change_id)
        if change.finished_at or change.cancelled_at:
            return change, False
        selection = Selection.model_validate(change.filters)
        rows = selection.bookings().filter(pk__gt=change.after).select_related("customer").order_by("pk")
        if change.kind == Kind.MOVE:  # who was put on that day after this was asked for is meant to be there
            rows = rows.filter(created_at__lte=change.created_at).exclude(moved_at__gt=change.created_at)
        some = list(rows.select_for_update(of=("self",), no_key=True)[:CHUNK])
        counts = Counter(change.counts)
        if some:
            change.after = some[-1].pk
            change.done += len(some)
            counts += _make(change, some, BulkChange.objects.values_list(Now(), flat=True)[0])
        else:
            change.finished_at = Now()
        change.counts = dict(counts)
        change.save(update_fields=["after", "done", "counts", "finished_at"])
        return change, bool(some)


def _make(change: BulkChange, bookings: list[Booking], now: datetime) -> Counter[str]:
    """Change locked bookings, their reminders and messages. As many statements for one as for a chunk."""
    kind, done = Kind(change.kind), Plan()
    counts = Counter({DONE[kind]: len(bookings)})
    _in_memory(kind, timedelta(days=change.parameters.get("days", 0)), bookings, now)
    if kind == Kind.CANCEL:
        closed = {"status": Booking.Status.CANCELLED, "closed_at": now, "sequence": F("sequence") + 1}
        Booking.objects.filter(pk__in=[booking.pk for booking in bookings]).update(**closed)
    elif kind == Kind.MOVE:
        Booking.objects.bulk_create(bookings, update_conflicts=True, unique_fields=["id"], update_fields=MOVED)
    if kind != Kind.MESSAGE:
        done = reminders.plan(bookings)
        counts["reminders withdrawn"] = len(done.withdrawn)
        counts["reminders planned"] = len(done.added) + len(done.moved)
        counts["reminders in flight"] = len(done.in_flight)
    if change.rule_id:
        counts += circulars.tell(change, bookings, done, Changes(reminders.job_for), now)
    return counts


def _in_memory(kind: Kind, by: timedelta, bookings: list[Booking], now: datetime | None = None) -> None:
    """The bookings as the change makes them, not saved. A move keeps the times by the venue's clocks."""
    for booking in bookings:
        if kind == Kind.CANCEL:
            booking.status, booking.closed_at = Booking.Status.CANCELLED, now
        elif kind == Kind.MOVE:
            lasts = booking.ends_at - booking.starts_at
            booking.wall_date += by
            booking.starts_at = timing.instant(booking.wall_date, booking.wall_time, booking.time_zone, booking.fold)
            booking.ends_at = booking.starts_at + lasts
            booking.revision += 1
            booking.sequence += 1
            booking.moved_at, booking.confirmed_at = now, None
