"""One change to everything that matches: "the clinic is closed tomorrow".

    selection = bulk.Selection(on=date(2027, 3, 5), location="Clinic")
    bulk.preview(selection)                                # what it would touch
    change = bulk.start(bulk.Kind.MOVE, selection, days=1, reason="burst pipe", actor="olga")

`start` records the change and its job in one transaction; the job works through the bookings, a chunk a transaction.
The promise: how far it came is written in the transaction that did it, so a killed worker's successor repeats nothing
and leaves nothing out, and what was changed meanwhile by somebody else is left as they wanted it.
"""

from collections import Counter
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from celery import shared_task
from django.db import transaction
from django.db.models import F, Max, Min, QuerySet
from django.db.models.functions import Now
from pydantic import AwareDatetime, BaseModel, ConfigDict, model_validator

from jobs.durable import Durable
from notifications import reminders, timing
from notifications.models import Booking, BulkChange, Delivery

CHUNK = 500
FURTHEST = 366  # days
Kind = BulkChange.Kind


class Selection(BaseModel):
    """Which bookings, of those that are still on. All that is said has to hold."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    on: date | None = None  # by the venue's clocks
    starts_from: AwareDatetime | None = None
    starts_before: AwareDatetime | None = None
    service: str = ""
    location: str = ""
    customer: int | None = None

    @model_validator(mode="after")
    def _something(self) -> "Selection":
        if self == type(self).model_construct():
            raise ValueError("Say which bookings: a day, a time, a service, a location or a customer.")
        return self

    def bookings(self) -> QuerySet[Booking]:
        asked: dict[str, Any] = {
            "wall_date": self.on,
            "starts_at__gte": self.starts_from,
            "starts_at__lt": self.starts_before,
            "service": self.service,
            "location": self.location,
            "customer": self.customer,
        }
        said = {column: value for column, value in asked.items() if value not in (None, "")}
        return Booking.objects.filter(status=Booking.Status.BOOKED, **said)


@dataclass(frozen=True)
class Preview:
    """What a change would touch, if it happened now."""

    bookings: int
    customers: int
    first: datetime | None
    last: datetime | None
    reminders: dict[str, int]  # of these bookings, by state


def preview(selection: Selection) -> Preview:
    """Four queries; changes nothing."""
    bookings = selection.bookings()
    found = bookings.aggregate(first=Min("starts_at"), last=Max("starts_at"))
    people = bookings.order_by().values("customer").distinct().count()
    states = Delivery.objects.filter(booking__in=bookings.values("pk")).values_list("state", flat=True)
    return Preview(bookings.count(), people, found["first"], found["last"], dict(Counter(states.order_by())))


def start(kind: Kind, selection: Selection, *, reason: str, actor: str, days: int = 0) -> BulkChange:
    """Record the change and let a job make it. Raises ValueError when it says nothing or too much.

    `days`: how far a move goes; times on the wall stay.
    """
    if not reason.strip():
        raise ValueError("Say why: the reason is kept with every booking that is changed.")
    if kind == Kind.MOVE and not 1 <= abs(days) <= FURTHEST:
        raise ValueError(f"Move by 1 to {FURTHEST} days, or by as many back; this says {days}.")
    filters = selection.model_dump(mode="json", exclude_defaults=True)
    with transaction.atomic():
        change = BulkChange.objects.create(
            kind=kind,
            filters=filters,
            parameters={"days": days} if kind == Kind.MOVE else {},
            reason=reason,
            actor=actor,
            total=selection.bookings().count(),
        )
        apply.delay(change.pk)
    return change


@shared_task(base=Durable, bind=True, name="notifications.bulk", time_limit=3600, soft_time_limit=3540)
def apply(self: Durable, change_id: int) -> dict[str, int]:
    """Make the change, a chunk a transaction. Returns what became of the bookings and reminders."""
    while True:
        self.running.check_cancelled()
        change, more = _chunk(change_id)
        self.running.progress(change.done, max(change.total or 0, change.done))
        if not more:
            return dict(change.counts)


def _chunk(change_id: int) -> tuple[BulkChange, bool]:
    """The next bookings, and how far it came, together. Returns whether there may be more."""
    with transaction.atomic():
        change = BulkChange.objects.select_for_update().get(pk=change_id)
        if change.finished_at:
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
            counts += _make(change, some)
        else:
            change.finished_at = Now()
        change.counts = dict(counts)
        change.save(update_fields=["after", "done", "counts", "finished_at"])
        return change, bool(some)


def _make(change: BulkChange, bookings: list[Booking]) -> Counter[str]:
    """Change locked bookings and their reminders. The number of statements does not depend on how many."""
    if change.kind == Kind.CANCEL:
        closed = {"status": Booking.Status.CANCELLED, "closed_at": Now(), "sequence": F("sequence") + 1}
        Booking.objects.filter(pk__in=[booking.pk for booking in bookings]).update(**closed)
        word = "cancelled"
    else:
        columns = _move(bookings, timedelta(days=change.parameters["days"]))
        Booking.objects.bulk_create(bookings, update_conflicts=True, unique_fields=["id"], update_fields=columns)
        word = "moved"
    for booking in bookings:
        booking.status = Booking.Status.CANCELLED if change.kind == Kind.CANCEL else booking.status
    done = reminders.plan(bookings)
    return Counter(
        {
            word: len(bookings),
            "reminders withdrawn": len(done.withdrawn),
            "reminders planned": len(done.added) + len(done.moved),
            "reminders in flight": len(done.in_flight),
        }
    )


def _move(bookings: list[Booking], by: timedelta) -> list[str]:
    """Set the new times, the same by the venue's clocks. Returns the columns that changed."""
    moved_at = BulkChange.objects.values_list(Now(), flat=True)[0]
    for booking in bookings:
        lasts = booking.ends_at - booking.starts_at
        booking.wall_date += by
        booking.starts_at = timing.instant(booking.wall_date, booking.wall_time, booking.time_zone, booking.fold)
        booking.ends_at = booking.starts_at + lasts
        booking.revision += 1
        booking.sequence += 1
        booking.moved_at, booking.confirmed_at = moved_at, None
    return ["wall_date", "starts_at", "ends_at", "revision", "sequence", "moved_at", "confirmed_at"]
