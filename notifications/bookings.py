"""Bookings: made, moved and cancelled, together with their reminders.

Called by the admin, the API, the importers and the application's own code. The promise: a change and the new plan of
its reminders are one transaction, and the receipt tells for each reminder what became of it.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import F

from notifications import reminders, timing
from notifications.models import Booking, Customer, Delivery

Status = Booking.Status


class NotOpen(Exception):
    """The booking is cancelled or over: nothing was changed."""


@dataclass(frozen=True)
class Receipt:
    """What became of a booking's or payment's reminders when it was changed."""

    planned: list[Delivery] = field(default_factory=list)
    cancelled: list[Delivery] = field(default_factory=list)  # certainly not sent, and never will be
    in_flight: list[Delivery] = field(default_factory=list)  # being handed to the provider at this moment
    already_sent: list[Delivery] = field(default_factory=list)  # see sent_at

    @classmethod
    def of(cls, done: reminders.Plan, sent_before: list[Delivery]) -> "Receipt":
        return cls(done.added + done.moved, done.withdrawn, done.in_flight, sent_before)


def schedule(starts_at: datetime, ends_at: datetime, time_zone: str) -> dict[str, Any]:
    """The columns that say when. Raises ValueError for naive times, unknown zones and an end before the start."""
    starts_at, ends_at = timing.aware(starts_at, "starts_at"), timing.aware(ends_at, "ends_at")
    if ends_at <= starts_at:
        raise ValueError(f"It ends ({ends_at.isoformat()}) before it starts ({starts_at.isoformat()}).")
    wall = starts_at.astimezone(timing.zone(time_zone))
    return {
        "starts_at": starts_at,
        "ends_at": ends_at,
        "time_zone": time_zone,
        "wall_date": wall.date(),
        "wall_time": wall.time(),
        "fold": wall.fold,
    }


def book(
    *,
    customer: Customer,
    service: str,
    starts_at: datetime,
    ends_at: datetime,
    time_zone: str | None = None,
    location: str = "",
    external_id: str | None = None,
) -> tuple[Booking, Receipt]:
    """Make a booking and plan its reminders. `time_zone` is the venue's; without one, the customer's."""
    when = schedule(starts_at, ends_at, time_zone or customer.time_zone)
    with transaction.atomic():
        booking = Booking.objects.create(
            customer=customer, service=service, location=location, external_id=external_id, **when
        )
        return booking, Receipt.of(reminders.plan([booking]), [])


def reschedule(booking: Booking, *, starts_at: datetime, ends_at: datetime, time_zone: str | None = None) -> Receipt:
    """Move a booking. Reminders of the old time are withdrawn, the new time gets its own."""
    return _change(booking, revision=F("revision") + 1, **schedule(starts_at, ends_at, time_zone or booking.time_zone))


def change(booking: Booking, *, starts_at: datetime, ends_at: datetime, time_zone: str, **texts: Any) -> Receipt:
    """Change anything about a booking. Only another time, zone or customer counts as a move."""
    when = schedule(starts_at, ends_at, time_zone) | {key: texts[key] for key in ("customer",) if key in texts}
    moved = any(getattr(booking, column) != value for column, value in when.items())
    return _change(booking, **texts | when | {"revision": F("revision") + int(moved)})


def cancel(booking: Booking) -> Receipt:
    """Cancel a booking. After this returns, no provider is called for the reminders in `receipt.cancelled`."""
    return _change(booking, status=Status.CANCELLED)


def _change(booking: Booking, **changes: Any) -> Receipt:
    """Apply to a booking that is still on. Raises NotOpen if it is not."""
    with transaction.atomic():
        if not Booking.objects.filter(pk=booking.pk, status=Status.BOOKED).update(**changes):
            current = Booking.objects.filter(pk=booking.pk).values_list("status", flat=True).first()
            raise NotOpen(f"Booking {booking.pk} is {current or 'gone'}; nothing was changed.")
        booking.refresh_from_db()
        sent = list(booking.deliveries.filter(state=Delivery.State.SENT).select_related("rule"))
        return Receipt.of(reminders.plan([booking]), sent)
