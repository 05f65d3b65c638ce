"""Every rule has an answer, at the price of two queries."""

import json
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from jobs.models import Job
from notifications import bookings, payments
from notifications.models import Consent, Delivery, ReminderRule, Suppression
from notifications.why import NotFound, find, why
from tests.conftest import InProcessWorker
from tests.factories import DAY, HOUR, alice, bob, make_booking, make_payment

pytestmark = pytest.mark.django_db


def told(booking: Any) -> dict[tuple[str, str], str]:
    kind = type(booking)
    return {(answer.rule, answer.channel): answer.text for answer in why(find(str(booking.pk), kind))}


def command(*args: str) -> str:
    out = StringIO()
    call_command("why", *args, stdout=out)
    return out.getvalue()


def test_a_new_booking_waits_and_says_until_when() -> None:
    booking = make_booking(alice(), starts=2 * DAY)
    answers = why(find(str(booking.pk)))
    waiting = [answer for answer in answers if answer.state == "planned"]
    assert len(waiting) == 3 and all(answer.text.startswith("waits for 20") for answer in waiting)


def test_a_rule_that_is_off_says_so_though_there_never_was_a_delivery() -> None:
    ReminderRule.objects.filter(name__startswith="1 hour").update(active=False)
    booking = make_booking(alice())
    assert told(booking)["1 hour before a booking", "email"] == "not planned: the rule is switched off"


def test_a_rule_made_later_says_that_it_is_not_planned_yet() -> None:
    booking = make_booking(alice())
    ReminderRule.objects.create(
        name="2 hours before", anchor="booking_start", offset=-2 * HOUR, message="booking_upcoming"
    )
    assert told(booking)["2 hours before", "email"].startswith("not planned yet")
    bookings.cancel(booking)  # from then on there is a better reason
    assert told(booking)["2 hours before", "email"] == "not planned: the booking or payment is cancelled or over"


def test_the_notice_of_a_cancel_says_the_truth_about_a_booking_that_is_on() -> None:
    notice = ReminderRule.objects.get(anchor="booking_cancelled")
    booking = make_booking(alice())
    assert told(booking)[notice.name, "email"] == "not planned: the rule is switched off"
    ReminderRule.objects.filter(pk=notice.pk).update(active=True)
    assert told(booking)[notice.name, "email"].startswith("not planned: the booking is not cancelled")
    bookings.complete(over := make_booking(bob(), starts=-DAY))
    assert told(over)[notice.name, "email"].startswith("not planned: the booking is not cancelled")
    bookings.cancel(booking)
    assert told(booking)[notice.name, "email"].startswith("waits for")
    ReminderRule.objects.filter(pk=notice.pk).update(active=False)
    other = make_booking(booking.customer)
    bookings.cancel(other)
    assert told(other)[notice.name, "email"] == "not planned: the rule is switched off"


def test_made_too_late_is_a_reason() -> None:
    booking = make_booking(alice(), starts=30 * timedelta(minutes=1))
    assert told(booking)["24 hours before a booking", "email"] == "skipped: made too late for this reminder"


def test_a_moved_booking_tells_of_both_times() -> None:
    booking = make_booking(alice())
    later = booking.starts_at + DAY
    bookings.reschedule(booking, starts_at=later, ends_at=later + HOUR)
    texts = [answer.text for answer in why(find(str(booking.pk))) if answer.rule.startswith("1 hour")]
    assert [text.split(" ")[0] for text in texts] == ["skipped,", "waits"]
    assert texts[0] == "skipped, for an earlier time: the booking or payment was moved"


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda customer: None, "not needed: goes by email"),
        (lambda customer: Consent.objects.create(customer=customer, channel="sms", granted=False), "does not want"),
        (lambda customer: Suppression.objects.create(channel="sms", address="+4930123456", cause="stop"), "said STOP"),
        (lambda customer: type(customer).objects.filter(pk=customer.pk).update(phone=""), "no address"),
    ],
)
def test_a_channel_that_was_not_used_says_why(make: Any, reason: str) -> None:
    customer = alice(phone="+4930123456")
    booking = make_booking(customer)
    ReminderRule.objects.update(channels=["email", "sms"])
    make(customer)
    assert reason in told(booking)["1 hour before a booking", "sms"]


def test_what_was_sent_says_when_and_what_the_provider_told_later(worker: InProcessWorker) -> None:
    booking = make_booking(alice())
    Delivery.objects.update(send_at=booking.created_at)
    Job.objects.update(run_at=booking.created_at)
    worker.run_due()
    Delivery.objects.filter(state="sent").update(outcome="bounced")
    assert {text.split(" ")[0] for (_, channel), text in told(booking).items() if channel == "email"} >= {"sent"}
    assert any(text.endswith("UTC, then bounced") for text in told(booking).values())


def test_a_payment_has_answers_too() -> None:
    payment = make_payment(bob())
    payments.mark_paid(payment)
    assert set(told(payment).values()) == {"skipped: the payment is paid"}


def test_everything_is_told_at_the_price_of_two_queries(django_assert_num_queries: Any) -> None:
    booking = make_booking(alice())
    for days in range(1, 8):
        moved = booking.starts_at + days * DAY
        bookings.reschedule(booking, starts_at=moved, ends_at=moved + HOUR)
    with django_assert_num_queries(2):
        answers = why(find(str(booking.pk)))
    assert len(answers) >= 24


def test_a_booking_is_found_by_number_by_external_id_and_by_delivery() -> None:
    make_booking(alice())
    booking = make_booking(bob(), external_id="B-17")
    delivery = booking.deliveries.first()
    assert delivery is not None
    for text in (str(booking.pk), "B-17", str(delivery.pk)):
        assert find(text) == booking


@pytest.mark.parametrize("text", ["0", "", "nobody", "9" * 40, "01a20ad3-dce7-77d4-9c60-34cbb7289161", "\u00b2"])
def test_what_is_not_there_is_said_to_be_not_there(text: str) -> None:
    make_booking(alice())
    with pytest.raises(NotFound, match="There is no booking"):
        find(text)


def test_a_number_that_means_two_bookings_is_not_guessed() -> None:
    first = make_booking(alice())
    second = make_booking(bob(), external_id=str(first.pk))
    with pytest.raises(NotFound, match=f"of another: {first.pk}, {second.pk}"):
        find(str(first.pk))


def test_the_command_tells_it_as_a_table_and_as_json() -> None:
    booking = make_booking(alice(), external_id="B-17")
    table = command("B-17")
    assert "24 hours before a booking" in table and "waits for" in table and "\x1b" not in table
    data = json.loads(command(str(booking.pk), "--json"))
    assert (data["kind"], data["id"], data["status"]) == ("booking", booking.pk, "booked")
    assert [entry["state"] for entry in data["reminders"] if entry["delivery"]] == ["planned"] * 3


def test_the_command_says_what_to_do_about_a_wrong_number() -> None:
    payment = make_payment(bob())
    with pytest.raises(CommandError, match="For a payment add --payment"):
        command(str(payment.pk + 1000))
    assert "1 day after a payment was due" in command("--payment", str(payment.pk))
