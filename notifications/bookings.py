"""Bookings: made, moved and cancelled, together with their reminders.

Called by the admin, the API, the importers and the application's own code. The promise: a change and the new plan of
its reminders are one transaction, and the receipt tells for each reminder what became of it.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Case, F, Value, When
from django.db.models.functions import Coalesce, Now
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext

from notifications import reminders, tenants, timing
from notifications.changes import Plan
from notifications.models import Booking, Customer, Delivery, Payment

Status = Booking.Status
FIRST_YEAR, LAST_YEAR = 1970, 2200


class NotOpen(Exception):
    """The booking or payment is not in a state for this change: nothing was changed."""


@dataclass(frozen=True)
class Receipt:
    """What became of a booking's or payment's reminders when it was changed."""

    planned: list[Delivery] = field(default_factory=list)
    cancelled: list[Delivery] = field(default_factory=list)  # certainly not sent, and never will be
    in_flight: list[Delivery] = field(default_factory=list)  # being handed to the provider at this moment
    already_sent: list[Delivery] = field(default_factory=list)  # see sent_at
    in_doubt: list[Delivery] = field(default_factory=list)  # may have been sent; nobody knows

    @classmethod
    def of(cls, anchor: Booking | Payment, done: Plan) -> "Receipt":
        """Read after the plan and in one go: a reminder that is sent meanwhile must show somewhere."""
        now = defaultdict(list)
        for delivery in anchor.deliveries.select_related("rule", "digest"):
            now[delivery.fate].append(delivery)
        state = Delivery.State
        return cls(done.added + done.moved, done.withdrawn, now[state.SENDING], now[state.SENT], now[state.IN_DOUBT])


def schedule(starts_at: datetime, ends_at: datetime, time_zone: str) -> dict[str, Any]:
    """The columns that say when. Raises ValueError for naive times, unknown zones and an end before the start."""
    starts_at, ends_at = timing.aware(starts_at, "starts_at"), timing.aware(ends_at, "ends_at")
    if ends_at <= starts_at:
        raise ValueError(f"It ends ({ends_at.isoformat()}) before it starts ({starts_at.isoformat()}).")
    if not FIRST_YEAR <= starts_at.year <= ends_at.year <= LAST_YEAR:
        raise ValueError(f"The year {starts_at.year} is not between {FIRST_YEAR} and {LAST_YEAR}.")
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
    tenant: str | None = None,
) -> tuple[Booking, Receipt]:
    """Make a booking and plan its reminders. `time_zone` is the venue's; without one, the customer's.

    With a `tenant` the customer has to be one of theirs: raises tenants.OtherTenant.
    """
    when = schedule(starts_at, ends_at, time_zone or customer.time_zone)
    with transaction.atomic():
        booking = Booking.objects.create(
            tenant=tenants.shared_by(tenant, customer),
            customer=customer,
            service=service,
            location=location,
            external_id=external_id,
            made_at=timezone.now(),
            **when,
        )
        return booking, Receipt.of(booking, reminders.plan([booking]))


def reschedule(
    booking: Booking,
    *,
    starts_at: datetime,
    ends_at: datetime,
    time_zone: str | None = None,
    revision: int | None = None,
) -> Receipt:
    """Move a booking. Reminders of the old time are withdrawn, the new time gets its own. To where it is: nothing.

    With `revision` (of the page on which it was decided): raises NotOpen if it was moved since.
    """
    when = schedule(starts_at, ends_at, time_zone or booking.time_zone)
    return _change(booking, _seen(revision), **_moved(when), **_next_entry(), **when)


def change(
    booking: Booking,
    *,
    starts_at: datetime,
    ends_at: datetime,
    time_zone: str,
    revision: int | None = None,
    **texts: Any,
) -> Receipt:
    """Change anything about a booking. Only another time, zone or customer counts as a move.

    Raises tenants.OtherTenant for a customer of another tenant. With `revision` (of the form that was filled in) it
    raises NotOpen if it was moved since, which the form would take back.
    """
    tenants.shared_by(booking.tenant, texts.get("customer"))
    when = schedule(starts_at, ends_at, time_zone) | {key: texts[key] for key in ("customer",) if key in texts}
    return _change(booking, _seen(revision), **texts | when | _next_entry() | _moved(when))


def _moved(when: dict[str, Any]) -> dict[str, Any]:
    """A new revision, unless it is there already: who hands over the same time every hour must not send news of it."""
    return {
        "revision": F("revision") + unless_same(when),
        "moved_at": Case(When(**when, then=F("moved_at")), default=Now()),
        # Who confirmed the old time has said nothing about the new one.
        "confirmed_at": Case(When(**when, then=F("confirmed_at")), default=None),
    }


def describe(booking: Booking, **texts: str) -> Receipt:
    """Change its service or location, and nothing of when it is; overrides may be for these."""
    return _change(booking, **texts, **_next_entry())


def unless_same(columns: dict[str, Any]) -> Case:
    """1, or 0 if the row has these values already. The row decides: a form has written its values into the object."""
    return Case(When(**columns, then=Value(0)), default=Value(1))


def cancel(booking: Booking) -> Receipt:
    """Cancel a booking. After this returns, no provider is called for the reminders in `receipt.cancelled`."""
    return _change(booking, status=Status.CANCELLED, closed_at=Now(), **_next_entry())


def confirm(booking: Booking, *, revision: int | None = None) -> Receipt:
    """The customer will come. Said twice, it stays as it was first said.

    With `revision` (of the message that was answered) only that time is confirmed: raises NotOpen after a move.
    """
    return _change(booking, _seen(revision), confirmed_at=Coalesce("confirmed_at", Now()))


def complete(booking: Booking) -> Receipt:
    """The customer came. Raises NotOpen before the start."""
    return _change(booking, {"starts_at__lte": Now()}, status=Status.COMPLETED, closed_at=Now())


def no_show(booking: Booking) -> Receipt:
    """The customer did not come. Raises NotOpen before the start."""
    return _change(booking, {"starts_at__lte": Now()}, status=Status.NO_SHOW, closed_at=Now())


def _seen(revision: int | None) -> dict[str, Any]:
    return {} if revision is None else {"revision": revision}


def _next_entry() -> dict[str, Any]:
    """Calendars take a change of an entry only under a higher number."""
    return {"sequence": F("sequence") + 1}


def _change(booking: Booking, only_if: dict[str, Any] | None = None, /, **changes: Any) -> Receipt:
    """Apply to a booking that is still on. Raises NotOpen if it is not."""
    with transaction.atomic():
        if not Booking.objects.filter(pk=booking.pk, status=Status.BOOKED, **only_if or {}).update(**changes):
            raise NotOpen(_as_it_is(Booking.objects.filter(pk=booking.pk).first(), booking.pk))
        booking.refresh_from_db()
        return Receipt.of(booking, reminders.plan([booking]))


def _as_it_is(booking: Booking | None, pk: int) -> str:
    """Why a change was refused."""
    if booking is None or booking.status != Status.BOOKED:
        status = booking.get_status_display() if booking else gettext("gone")
        return gettext("Booking {pk} is {status}; nothing was changed.").format(pk=pk, status=status)
    if booking.starts_at > timezone.now():
        told = gettext("Booking {pk} has not begun or was moved, to {at}; nothing was changed.")
        return told.format(pk=pk, at=date_format(booking.local_start, "DATETIME_FORMAT"))
    return gettext("Booking {pk} was moved; nothing was changed.").format(pk=pk)
