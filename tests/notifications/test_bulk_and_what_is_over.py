"""A change to many is about what is to come: what is over is touched only where it is named."""

from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.utils import timezone

from notifications import bulk
from notifications.models import Booking
from tests.factories import DAY, HOUR, alice, make_booking

pytestmark = pytest.mark.django_db
MOVED = bulk.Circular(
    subject="We have moved",
    text="Dear {{ customer.name }}",
    channels=("email",),  # type: ignore[arg-type]
    useful_for=2 * DAY,
    quiet_from=None,
    quiet_until=None,
)


@pytest.fixture
def visits() -> list[Booking]:
    """Two last month that nobody has marked as completed, one that goes on, one to come."""
    customer = alice()
    made = [make_booking(customer) for _ in range(4)]
    for booking, starts in zip(made, (-30 * DAY, -29 * DAY, timedelta(minutes=-5), 2 * DAY), strict=True):
        starts_at = timezone.now() + starts
        Booking.objects.filter(pk=booking.pk).update(
            starts_at=starts_at, ends_at=starts_at + HOUR, wall_date=starts_at.date()
        )
    return [Booking.objects.get(pk=booking.pk) for booking in made]


@pytest.mark.parametrize(
    "said",
    [{"service": "Haircut"}, {"search": "alice"}, {"service": "Haircut", "starts_before": "2200-01-01T00:00Z"}],
    ids=["service", "search", "before"],
)
def test_what_is_over_is_not_meant(visits: list[Booking], said: dict[str, Any]) -> None:
    assert set(bulk.Selection.model_validate(said).bookings()) == set(visits[2:])


def test_nobody_is_written_to_once_for_each_visit_of_the_past(visits: list[Booking], worker: Any) -> None:
    bulk.start(bulk.Kind.MESSAGE, bulk.Selection(service="Haircut"), reason="moved", actor="olga", message=MOVED)
    worker.run_due()
    worker.run_due()
    assert len(mail.outbox) == 2


def test_closing_calls_nothing_off_that_took_place(visits: list[Booking], worker: Any) -> None:
    bulk.start(bulk.Kind.CANCEL, bulk.Selection(service="Haircut"), reason="closed", actor="olga")
    worker.run_due()
    assert [Booking.objects.get(pk=one.pk).status for one in visits] == ["booked", "booked", "cancelled", "cancelled"]


def test_what_is_over_is_meant_where_it_is_named(visits: list[Booking]) -> None:
    """Everybody who was here on that day."""
    first = visits[0]
    for said in ({"on": first.wall_date}, {"ids": [first.pk]}, {"starts_from": first.starts_at}):
        assert first in bulk.Selection.model_validate(said).bookings()
