"""Bookings that have begun are planned on while a rule still speaks of them."""

from datetime import timedelta

import pytest
from django.utils import timezone

from notifications import reconciler
from notifications.models import Booking, Delivery, RuleOverride
from tests.factories import DAY, HOUR, alice, make_booking
from tests.notifications.ruling import only_rule

pytestmark = pytest.mark.django_db


def begun(ago: timedelta) -> Booking:
    booking = make_booking(alice(), time_zone="UTC")  # where a day always has 24 hours
    Booking.objects.filter(pk=booking.pk).update(starts_at=timezone.now() - ago)
    booking.deliveries.all().delete()
    return booking


def planned_by_the_reconciler(booking: Booking) -> int:
    for _ in reconciler.reconcile():
        pass
    return Delivery.objects.filter(booking=booking, state="planned").count()


def test_a_series_after_the_start_is_planned_to_its_end() -> None:
    only_rule(offset=HOUR, repeat_every=DAY, repeat_times=3, useful_for=HOUR)
    assert planned_by_the_reconciler(begun(2 * DAY)) == 2
    assert planned_by_the_reconciler(begun(4 * DAY)) == 0


def test_so_is_one_that_begins_later_by_an_override() -> None:
    rule = only_rule(offset=-HOUR, repeat_every=DAY, repeat_times=3, useful_for=HOUR)
    RuleOverride.objects.create(rule=rule, service="Haircut", offset=HOUR)
    assert planned_by_the_reconciler(begun(2 * DAY)) == 2
