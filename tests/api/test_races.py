"""Two requests at the same moment: one of them makes the row, the other is told so; no error, and nothing twice."""

from functools import partial
from typing import Any

import pytest

from notifications.models import Booking, Customer, Delivery, Payment
from tests.api.callers import Caller, Make
from tests.api.product import ALL, shop
from tests.jobs.races import TRANSACTIONAL, at_once, need_two_writers

pytestmark = TRANSACTIONAL
WHEN = {"starts_at": "2027-07-01T14:30", "duration": 3600, "time_zone": "Europe/Berlin"}


def ask(caller: Caller, *said: Any) -> Any:
    """Each on a client of its own."""
    return Caller(caller.key).ask(*said)


@pytest.mark.parametrize("path", ["bookings", "payments", "customers"])
def test_one_external_id_at_once_is_one_row(caller: Make, path: str) -> None:
    need_two_writers()
    scene, program = shop(), caller(scopes=ALL)
    bodies: dict[str, dict[str, Any]] = {
        "bookings": {"customer": scene.customer.pk, "service": "Beard", **WHEN},
        "payments": {
            "customer": scene.customer.pk,
            "subject": "Beard",
            "amount": 1,
            "currency": "EUR",
            "due_on": "2027-07-01",
        },
        "customers": {"name": "Carol"},
    }
    model: Any = {"bookings": Booking, "payments": Payment, "customers": Customer}[path]
    body = bodies[path] | {"external_id": "x-1"}
    answers = at_once(*[partial(ask, program, "post", path, body) for _n in range(4)])
    assert sorted(one.status_code for one in answers) == [200, 200, 200, 201]
    assert len({one.data["id"] for one in answers}) == 1
    assert model.objects.filter(external_id="x-1").count() == 1


def test_a_cancel_and_a_move_at_once_leave_no_reminder_of_a_booking_that_is_off(caller: Make) -> None:
    need_two_writers()
    scene, program = shop(), caller(scopes=ALL)
    path = f"bookings/{scene.booking.pk}"
    answers = at_once(
        partial(ask, program, "post", f"{path}/cancel"), partial(ask, program, "post", f"{path}/reschedule", WHEN)
    )
    assert answers[0].status_code == 200
    assert answers[1].status_code in (200, 409)
    assert Booking.objects.get(pk=scene.booking.pk).status == "cancelled"
    assert not Delivery.objects.filter(booking=scene.booking, state="planned").exists()


def test_a_payment_is_paid_in_full_once(caller: Make) -> None:
    need_two_writers()
    scene, program = shop(), caller(scopes=ALL)
    calls = [partial(ask, program, "post", f"payments/{scene.payment.pk}/pay", {}) for _n in range(3)]
    assert sorted(one.status_code for one in at_once(*calls)) == [200, 409, 409]
    assert Payment.objects.get(pk=scene.payment.pk).paid_amount == scene.payment.amount
