"""A callback and a change of the same booking at one moment: both come to their end, one after the other."""

import pytest

from notifications import bookings, outcomes
from notifications.callbacks.record import Event, record
from notifications.models import Delivery
from tests.factories import alice, make_booking
from tests.notifications.providers import booking_of
from tests.notifications.reminding import first
from tests.races import Held, elsewhere, needs_postgresql, until_it_waits

pytestmark = [needs_postgresql, pytest.mark.django_db(transaction=True, serialized_rollback=True)]


def test_a_bounce_of_what_is_to_be_tried_again_and_a_cancel(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bounce says that it was taken, which is written first, and then that it did not arrive."""
    delivery = first(make_booking(alice()))
    Delivery.objects.filter(pk=delivery.pk).update(doubts=1)
    bounce = Event("test", "e-1", "bounced", delivery=str(delivery.pk), outcome="bounced")
    held = Held(monkeypatch, outcomes, "did_not_arrive")
    with held.while_there(lambda: record(bounce)) as told:
        assert held.reached.wait(60)
        with elsewhere(lambda: bookings.cancel(booking_of(delivery))) as (cancelled, process):
            until_it_waits(cancelled, process)
            held.go_on.set()
    assert told.result() and cancelled.result()
    delivery.refresh_from_db()
    assert (delivery.state, delivery.outcome) == ("sent", "bounced")
