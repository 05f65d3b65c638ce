"""Olga owns the place: rules, words, many bookings at once, crowded days and doubts, told to her customers' mailboxes.

Of the issue's lines: rules, templates, bulk, late and crowded, guarantee, why.
"""

from datetime import UTC, date, datetime
from typing import Any

import pytest

from notifications import bookings, bulk, doubts, reconciler
from notifications.models import Delivery, MessageTemplate, ReminderRule, RuleOverride
from notifications.why import find, why
from tests.factories import DAY, HOUR, MINUTE, alice, bob, make_booking, make_payment
from tests.provider import Provider
from tests.stories.conftest import Day, Post

pytestmark = pytest.mark.django_db

START = datetime(2027, 3, 27, 10, tzinfo=UTC)


def only(name: str, **fields: Any) -> ReminderRule:
    ReminderRule.objects.exclude(name__startswith=name).delete()
    ReminderRule.objects.update(**fields)
    return ReminderRule.objects.get()


def test_surgery_is_reminded_of_two_days_ahead_by_text_message_also_where_it_is_booked_already(
    day: Day, post: Post, twilio: Provider
) -> None:
    rule = only("24 hours")
    surgery = make_booking(alice(phone="+4915112345678"), starts=START, service="Surgery")
    make_booking(bob(phone="+4915112345679"), starts=START)
    RuleOverride.objects.create(rule=rule, service="Surgery", offset=-2 * DAY, channels=["sms", "email"])
    list(reconciler.reconcile(only=rule))
    day.goes_on_until(START - 2 * DAY + HOUR)
    assert ([request.fields["To"] for request in twilio.log], post.letters) == (["+4915112345678"], [])
    day.goes_on_until(START)
    assert (len(twilio.log), post.recipients) == (1, ["bob"])
    assert ["sent 2027-03-25 10:00" in answer.text for answer in why(find(str(surgery.pk)))].count(True) == 1


def test_a_customer_reads_the_owners_words_in_their_own_language(day: Day, post: Post) -> None:
    only("24 hours")
    for locale, hello in (("en", "See you {{ starts_in }}"), ("de", "Bis dann, {{ customer.name }}")):
        words = {"subject": f"{{{{ booking.service }}}} ({locale})", "text": hello}
        MessageTemplate.objects.create(message="booking_upcoming", channel="email", locale=locale, **words)
    make_booking(alice(locale="de"), starts=START)
    make_booking(bob(locale="en"), starts=START)
    day.goes_on_until(START)
    assert {letter.to.partition("@")[0]: (letter.subject, letter.text.strip()) for letter in post.letters} == {
        "alice": ("Haircut (de)", "Bis dann, Alice Ähre"),
        "bob": ("Haircut (en)", "See you in 24 hours"),
    }


def test_the_clinic_is_closed_tomorrow_and_everybody_hears_so_once_and_nothing_else(day: Day, post: Post) -> None:
    ReminderRule.objects.filter(anchor="booking_cancelled").update(active=True)
    customers = [alice(email=f"a{n}@example.com") for n in range(5)]
    for n, customer in enumerate(customers):
        make_booking(customer, starts=START + n * HOUR, location="Clinic")
    make_booking(bob(), starts=START, location="Elsewhere")
    day.goes_on_until(START - 25 * HOUR)
    tomorrow = bulk.Selection(on=date(2027, 3, 27), location="Clinic")
    assert bulk.preview(tomorrow).bookings == 5
    change = bulk.start(bulk.Kind.CANCEL, tomorrow, reason="burst pipe", actor="olga")
    day.goes_on_until(START + 6 * HOUR)
    change.refresh_from_db()
    assert change.counts["cancelled"] == 5
    assert sorted(post.recipients) == ["a0", "a1", "a2", "a3", "a4", "bob", "bob", "bob"]


def test_after_an_outage_one_message_goes_out_and_says_how_it_is_now(day: Day, post: Post) -> None:
    ReminderRule.objects.filter(anchor="booking_start").update(useful_for=None)  # all of use until the start
    booking = make_booking(alice(), starts=START)
    day.jumps_to(START - 10 * MINUTE)
    day.goes_on_until(START + HOUR, step=MINUTE)
    assert post.recipients == ["alice"]
    assert "in 9 minutes" in post.letters[0].text
    assert sorted(booking.deliveries.values_list("reason", flat=True)) == ["", "superseded", "superseded"]


def test_three_bills_of_one_day_come_as_one_message(day: Day, post: Post) -> None:
    only("On the day", digest=True)
    customer = alice()
    for n in range(3):
        make_payment(customer, due=date(2027, 3, 29), subject=f"Bill {n}")
    day.goes_on_until(datetime(2027, 3, 30, tzinfo=UTC), step=HOUR)
    (letter,) = post.letters
    assert all(f"Bill {n}" in letter.text for n in range(3)) and "136.50" in letter.text


@pytest.mark.parametrize(
    ("policy", "mails", "state", "doubts_left"), [("hold", 1, "in_doubt", 1), ("resend", 2, "sent", 1)]
)
def test_what_nobody_knows_is_held_or_sent_again_and_counted_until_somebody_says(
    day: Day, post: Post, settings: Any, policy: str, mails: int, state: str, doubts_left: int
) -> None:
    settings.CHANNEL_POLICIES = {"email": policy}
    only("24 hours")
    booking = make_booking(alice(), starts=START)
    post.answers = ["vanish"]
    day.goes_on_until(START - 12 * HOUR)
    delivery = Delivery.objects.get()
    assert (len(post.letters), delivery.state, delivery.doubts) == (mails, state, doubts_left)
    assert {letter.key for letter in post.letters} == {str(delivery.pk)}
    if policy == "hold":
        receipt = bookings.cancel(booking)
        assert ([one.pk for one in receipt.in_doubt], receipt.cancelled) == ([delivery.pk], [])
    assert doubts.resolve([delivery.pk], "sent", "olga", "Alice has told me") == 1
    delivery.refresh_from_db()
    assert (delivery.state, delivery.doubts) == ("sent", 0)
