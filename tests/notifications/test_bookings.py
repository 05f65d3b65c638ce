"""Every change of a booking answers with a receipt, and the receipt is true."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.core import mail
from django.utils import timezone

from jobs.models import Job
from notifications import bookings, payments
from notifications.models import Booking, Delivery
from tests.conftest import InProcessWorker
from tests.factories import DAY, HOUR, alice, make_booking, make_payment

pytestmark = pytest.mark.django_db


def all_due() -> None:
    past = timezone.now() - timedelta(seconds=5)
    Delivery.objects.filter(state="planned").update(send_at=past)
    Job.objects.filter(state="scheduled").update(run_at=past)


def test_a_booking_keeps_the_wall_time_that_was_agreed() -> None:
    starts_at = datetime.fromisoformat("2027-03-28T08:00:00+00:00")
    booking = make_booking(alice(), starts=starts_at, time_zone="Europe/Berlin")
    assert (str(booking.wall_date), str(booking.wall_time), booking.fold) == ("2027-03-28", "10:00:00", 0)


def test_after_a_cancel_nothing_is_sent(worker: InProcessWorker) -> None:
    booking = make_booking(alice())
    receipt = bookings.cancel(booking)
    assert len(receipt.cancelled) == 3 and receipt.in_flight == receipt.already_sent == []
    all_due()
    worker.run_due()
    assert mail.outbox == []


def test_a_cancel_says_what_was_sent_before(worker: InProcessWorker) -> None:
    booking = make_booking(alice())
    all_due()
    worker.run_due()
    receipt = bookings.cancel(booking)
    assert [delivery.sent_at is not None for delivery in receipt.already_sent] == [True] * 3
    assert receipt.cancelled == []


def test_a_cancel_says_what_is_being_sent_at_this_moment() -> None:
    booking = make_booking(alice())
    sending = booking.deliveries.order_by("send_at")[0]
    Delivery.objects.filter(pk=sending.pk).update(state="sending")
    receipt = bookings.cancel(booking)
    assert ([delivery.pk for delivery in receipt.in_flight], len(receipt.cancelled)) == ([sending.pk], 2)


def test_a_move_withdraws_the_old_time_and_plans_the_new_one(worker: InProcessWorker) -> None:
    booking = make_booking(alice())
    old = set(booking.deliveries.values_list("pk", flat=True))
    later = booking.starts_at + 3 * DAY
    receipt = bookings.reschedule(booking, starts_at=later, ends_at=later + HOUR)
    assert {delivery.pk for delivery in receipt.cancelled} == old
    assert [delivery.revision for delivery in receipt.planned] == [2, 2, 2]
    assert set(Delivery.objects.filter(pk__in=old).values_list("reason", flat=True)) == {"rescheduled"}
    all_due()
    worker.run_due()
    assert len(mail.outbox) == 3


def test_a_cancelled_booking_cannot_be_moved_or_cancelled_again() -> None:
    booking = make_booking(alice())
    bookings.cancel(booking)
    with pytest.raises(bookings.NotOpen, match="is called off; nothing was changed"):
        bookings.reschedule(booking, starts_at=booking.starts_at + DAY, ends_at=booking.ends_at + DAY)
    with pytest.raises(bookings.NotOpen):
        bookings.cancel(booking)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"starts": datetime(2027, 1, 1, 10), "ends_at": timezone.now()}, "names no time zone"),  # noqa: DTZ001
        ({"time_zone": "Mars/Olympus"}, "Use an IANA name"),
        ({"ends_at": timezone.now() - DAY}, "before it starts"),
    ],
)
def test_bad_times_are_refused_before_anything_is_stored(fields, says) -> None:
    with pytest.raises(ValueError, match=says):
        make_booking(alice(), **fields)
    assert not Booking.objects.exists()


def test_a_payment_can_be_postponed_or_called_off() -> None:
    payment = make_payment(alice())
    receipt = payments.postpone(payment, payment.due_on + 5 * DAY)
    assert (len(receipt.cancelled), len(receipt.planned)) == (5, 5)
    assert len(payments.cancel(payment).cancelled) == 5
    with pytest.raises(bookings.NotOpen):
        payments.mark_paid(payment)


@pytest.mark.parametrize(
    ("fields", "says"),
    [({"amount": 0}, "minor units"), ({"currency": "EURO"}, "ISO 4217"), ({"time_zone": "CET+1"}, "IANA")],
)
def test_a_bad_payment_is_refused(fields, says) -> None:
    with pytest.raises(ValueError, match=says):
        make_payment(alice(), **fields)


def test_the_broker_is_not_asked_when_a_booking_is_made(settings, monkeypatch) -> None:
    from celery import current_app

    def down(*_: object, **__: object) -> None:
        raise OSError("broker down")

    monkeypatch.setattr(current_app.amqp, "send_task_message", down)
    monkeypatch.setattr(current_app, "send_task", down)
    assert make_booking(alice()).deliveries.count() == 3


def test_a_confirmation_is_of_the_time_that_was_told() -> None:
    booking = make_booking(alice())
    told = booking.revision
    bookings.confirm(booking, revision=told)
    first = booking.confirmed_at
    bookings.confirm(booking, revision=told)
    assert first and str(booking.confirmed_at) == str(first)
    later = booking.starts_at + DAY
    bookings.reschedule(booking, starts_at=later, ends_at=later + HOUR)
    assert not booking.confirmed_at
    with pytest.raises(bookings.NotOpen, match="moved"):
        bookings.confirm(booking, revision=told)
    booking.refresh_from_db()
    assert not booking.confirmed_at


def test_another_text_keeps_the_confirmation_and_another_time_does_not() -> None:
    booking = make_booking(alice())
    bookings.confirm(booking)
    same: dict[str, Any] = {"starts_at": booking.starts_at, "ends_at": booking.ends_at, "time_zone": booking.time_zone}
    bookings.change(booking, **same, service="Shave", location="", customer=booking.customer)
    assert booking.confirmed_at is not None
    same["ends_at"] += HOUR
    bookings.change(booking, **same, service="Shave", location="", customer=booking.customer)
    assert not booking.confirmed_at


def test_every_change_of_the_calendar_entry_has_a_higher_number() -> None:
    booking = make_booking(alice())
    seen = [booking.sequence]
    later = booking.starts_at + DAY
    bookings.reschedule(booking, starts_at=later, ends_at=later + HOUR)
    seen.append(booking.sequence)
    same: dict[str, Any] = {"starts_at": later, "ends_at": later + HOUR, "time_zone": booking.time_zone}
    bookings.change(booking, **same, service="Shave")
    seen.append(booking.sequence)
    bookings.cancel(booking)
    seen.append(booking.sequence)
    assert seen == [0, 1, 2, 3]


@pytest.mark.parametrize("verb", [bookings.complete, bookings.no_show])
def test_whether_somebody_came_is_known_after_the_start(verb: Callable[[Booking], bookings.Receipt]) -> None:
    booking = make_booking(alice())
    with pytest.raises(bookings.NotOpen, match="has not begun"):
        verb(booking)
    past = timezone.now() - HOUR
    Booking.objects.filter(pk=booking.pk).update(starts_at=past, ends_at=past + HOUR / 2)
    assert len(verb(booking).cancelled) == 3
    assert booking.status in ("completed", "no_show")
    with pytest.raises(bookings.NotOpen):
        bookings.cancel(booking)
