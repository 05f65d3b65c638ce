"""From a booking to the mailbox, told as the people in it would tell it."""

from datetime import datetime

import pytest
from django.core import mail

from jobs.models import Job
from notifications import bookings, payments
from notifications.models import Delivery
from tests.factories import HOUR, MINUTE, alice, bob, make_booking, make_payment
from tests.stories.conftest import Day

pytestmark = pytest.mark.django_db


def arrived() -> list[str]:
    return [f"{message.to[0].split('@')[0]}: {message.subject}" for message in mail.outbox]


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def test_alice_books_for_the_day_the_clocks_change_and_is_reminded_three_times(day: Day) -> None:
    booking = make_booking(alice(), starts=at("2027-03-28T10:00+02:00"))
    sent = {}
    for moment in ("2027-03-27T09:00+01:00", "2027-03-28T09:00+02:00", "2027-03-28T09:45+02:00"):
        day.goes_on_until(at(moment) - MINUTE)
        before = len(mail.outbox)
        day.goes_on_until(at(moment) + MINUTE)
        sent[moment] = len(mail.outbox) - before
    day.goes_on_until(booking.starts_at + HOUR)
    assert list(sent.values()) == [1, 1, 1]
    assert len(mail.outbox) == 3
    assert "10:00" in mail.outbox[0].subject
    assert {delivery.state for delivery in booking.deliveries.all()} == {"sent"}


def test_bob_in_new_york_sees_both_clocks(day: Day) -> None:
    make_booking(bob(), starts=at("2027-03-24T18:00+01:00"))
    day.goes_on_until(at("2027-03-24T17:30+01:00"))
    (message,) = mail.outbox
    assert "6:00" in message.subject
    assert "1:00" in message.body.replace("\u202f", " ") and "for you" in message.body


def test_alice_cancels_after_the_first_reminder_and_hears_nothing_more(day: Day) -> None:
    booking = make_booking(alice(), starts=at("2027-03-26T10:00+01:00"))
    day.goes_on_until(at("2027-03-25T12:00+01:00"))
    receipt = bookings.cancel(booking)
    assert (len(receipt.already_sent), len(receipt.cancelled)) == (1, 2)
    day.goes_on_until(at("2027-03-26T12:00+01:00"))
    assert len(mail.outbox) == 1


def test_alice_moves_her_booking_and_is_reminded_of_the_new_time_only(day: Day) -> None:
    booking = make_booking(alice(), starts=at("2027-03-25T10:00+01:00"))
    later = at("2027-03-27T15:00+01:00")
    bookings.reschedule(booking, starts_at=later, ends_at=later + HOUR)
    day.goes_on_until(at("2027-03-27T16:00+01:00"))
    assert len(mail.outbox) == 3
    assert all("27" in message.subject for message in mail.outbox)


def test_a_changed_place_is_right_even_in_a_reminder_planned_before(day: Day) -> None:
    booking = make_booking(alice(), starts=at("2027-03-26T10:00+01:00"), location="Old Road 1")
    booking.location = "New Road 2"
    booking.save()
    day.goes_on_until(at("2027-03-25T10:05+01:00"))
    assert "New Road 2" in mail.outbox[0].body


def test_after_a_night_without_workers_what_is_still_useful_goes_out_and_the_rest_says_why_not(day: Day) -> None:
    missed = make_booking(alice(), starts=at("2027-03-24T20:00+01:00"))
    useful = make_booking(bob(), starts=at("2027-03-25T10:00+01:00"))
    day.jumps_to(at("2027-03-25T09:30+01:00"))  # nothing ran all night
    day.goes_on_until(at("2027-03-25T09:31+01:00"))
    assert {delivery.reason for delivery in missed.deliveries.exclude(reason="lead_time_past")} == {"too_late"}
    assert [line.split(":")[0] for line in arrived()] == ["bob"]
    assert useful.deliveries.get(state="sent").rule.name.startswith("1 hour")


def test_bob_is_reminded_of_his_payment_until_he_pays(day: Day) -> None:
    payment = make_payment(bob(), due=at("2027-03-29T00:00+02:00").date(), subject="Winter tyres")
    day.goes_on_until(at("2027-03-31T00:00-04:00"), step=HOUR)
    assert [line.split(": ")[2].split(" ")[1] for line in arrived()] == ["due", "due", "was"]
    receipt = payments.mark_paid(payment)
    assert (len(receipt.already_sent), len(receipt.cancelled)) == (3, 2)
    day.goes_on_until(at("2027-04-20T00:00-04:00"), step=6 * HOUR)
    assert len(mail.outbox) == 3
    assert "€45.50" in mail.outbox[0].subject


def test_every_reminder_has_an_end_and_every_job_too(day: Day) -> None:
    for n in range(4):
        make_booking(alice(email=f"a{n}@example.com"), starts=at("2027-03-25T10:00+01:00") + n * HOUR)
    day.goes_on_until(at("2027-03-25T18:00+01:00"))
    assert set(Delivery.objects.values_list("state", flat=True)) == {"sent"}
    assert set(Job.objects.values_list("state", flat=True)) == {"succeeded"}
