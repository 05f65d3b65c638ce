"""/bookings/{id}/...: what is done with one booking. Each answers with a receipt of its reminders."""

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest
from ninja import Router
from pydantic import Field

from jobs.api.callers import caller, needs
from notifications import bookings
from notifications.api import reach, times
from notifications.api.bookings import BookingChanged, told
from notifications.api.fields import Id, In
from notifications.api.receipts import receipt
from notifications.api.refusals import refusing
from notifications.bookings import Receipt

router = Router(tags=["bookings"])
WRITE = needs("bookings:write")


class Confirmation(In):
    revision: int | None = Field(
        None,
        strict=True,
        ge=1,
        le=2**31 - 1,
        description="only that time of the booking is confirmed, none it moved to",
    )


@router.post("/bookings/{booking_id}/reschedule", auth=WRITE, response=BookingChanged)
def reschedule_booking(request: HttpRequest, booking_id: Id, body: times.When) -> Any:
    """Another time. Without time_zone, times without an offset are by the clocks of the booking's zone."""
    booking = reach.one(reach.bookings(caller(request)), booking_id, "booking")
    when = times.read(body, known=booking.time_zone)
    with refusing("starts_at"):
        done = bookings.reschedule(booking, **when)
    return told(booking, receipt=receipt(done))


@router.post("/bookings/{booking_id}/cancel", auth=WRITE, response=BookingChanged)
def cancel_booking(request: HttpRequest, booking_id: Id) -> Any:
    """Once this is answered, no provider is called for what the receipt says is withdrawn."""
    return _done(request, booking_id, bookings.cancel)


@router.post("/bookings/{booking_id}/confirm", auth=WRITE, response=BookingChanged)
def confirm_booking(request: HttpRequest, booking_id: Id, body: Confirmation) -> Any:
    """The customer will come. Said twice, it stays as it was first said."""
    return _done(request, booking_id, lambda booking: bookings.confirm(booking, revision=body.revision))


@router.post("/bookings/{booking_id}/no-show", auth=WRITE, response=BookingChanged)
def no_show_booking(request: HttpRequest, booking_id: Id) -> Any:
    """The customer did not come. 409 before the start."""
    return _done(request, booking_id, bookings.no_show)


@router.post("/bookings/{booking_id}/complete", auth=WRITE, response=BookingChanged)
def complete_booking(request: HttpRequest, booking_id: Id) -> Any:
    """The customer came. 409 before the start."""
    return _done(request, booking_id, bookings.complete)


def _done(request: HttpRequest, pk: int, verb: Callable[..., Receipt]) -> Any:
    booking = reach.one(reach.bookings(caller(request)), pk, "booking")
    with refusing("booking"):
        done = verb(booking)
    return told(booking, receipt=receipt(done))
