"""The owner's words: what may be said in them, what is refused, and that they cannot hurt us."""

import re
import time
from datetime import datetime, timedelta
from email.message import EmailMessage
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from babel.dates import format_date, format_time, get_timezone_name
from django.core import mail
from django.utils import timezone
from icalendar import Calendar

from notifications import bookings, rendering, wording
from notifications.channels import CHANNELS, segments
from notifications.models import Booking, Channel, Customer, Delivery, MessageTemplate, Payment
from notifications.wording import BadTemplate, Words
from tests.factories import DAY, MINUTE, alice, bob, make_booking, make_payment
from tests.virtual import noon as noon

pytestmark = pytest.mark.django_db
SPACES = {0xA0: " ", 0x202F: " "}  # unbreakable ones


def delivery_of(anchor: Booking | Payment, channel: str = "email", message: str = "") -> Delivery:
    delivery = anchor.deliveries.select_related("rule", "customer").order_by("send_at").first()
    assert delivery is not None
    delivery.channel = channel
    delivery.rule.message = message or delivery.rule.message
    return delivery


def everyone(**fields: Any) -> Customer:
    secret = {"webhook_url": "https://hooks.example.com/", "webhook_secret": "whsec_c2VjcmV0"}
    return alice(**{"phone": "+4930123456", **secret} | fields)


@pytest.mark.parametrize("locale", ["en", "de", "de-AT", "pt_BR", "tlh"])
@pytest.mark.parametrize("channel", Channel.values)
@pytest.mark.parametrize("message", sorted(wording.known()))
def test_every_message_that_comes_along_can_be_said(message: str, channel: str, locale: str) -> None:
    customer = everyone(locale=locale)
    anchor: Any = make_payment(customer) if message.startswith("payment") else make_booking(customer)
    said = rendering.render(delivery_of(anchor, channel, message))
    assert said.to == customer.address(channel) and said.text.strip()
    assert "{{" not in said.text + said.html + said.subject and "None" not in said.text
    if channel == "sms":
        assert segments.count(said.text) == 1, said.text
    if locale.startswith("de") and channel == "email":
        assert "Guten Tag" in said.text and "Guten Tag" in said.html


def test_there_is_something_to_test() -> None:
    assert wording.known() >= {"booking_upcoming", "booking_cancelled", "payment_upcoming", "payment_overdue"}


@pytest.mark.parametrize(("locale", "in_words"), [("fr", "en"), ("de-AT", "de_AT"), ("en-GB", "en_GB")])
def test_times_are_in_the_language_of_the_words_around_them(locale: str, in_words: str) -> None:
    """There are no French words: an English mail with French dates is in no language at all."""
    booking = make_booking(everyone(locale=locale))
    message = rendering.render(delivery_of(booking), now=booking.starts_at - timedelta(hours=1))
    day = booking.starts_at.astimezone(ZoneInfo("Europe/Berlin"))
    assert format_date(day, "full", locale=in_words) in message.text
    assert f'lang="{in_words.replace("_", "-")}"' in message.html and "dans 60" not in message.text


@pytest.mark.parametrize("locale", ["en", "en_GB", "de", "es", "fr_CA", "he", "ja", "ko", "pt_BR", "uk", "zh_Hant_TW"])
def test_a_time_has_no_seconds_and_names_its_zone(locale: str) -> None:
    """Nobody has an appointment at 14:05:00."""
    customer = everyone(locale=locale, time_zone="Asia/Kathmandu")
    starts = (timezone.now() + DAY).replace(minute=5, second=37, microsecond=0)
    facts = rendering.facts_of(make_booking(customer, starts=starts), customer)
    for said, zone in ((facts["starts"], "Europe/Berlin"), (facts["starts_for_customer"], "Asia/Kathmandu")):
        there = starts.astimezone(ZoneInfo(zone))
        for part in (format_date(there, "full", locale=locale), format_time(there, "short", locale=locale)):
            assert part.translate(SPACES) in said
        assert not re.search(r"(?<!\d)37(?!\d)", said) and get_timezone_name(there, locale=locale) in said


def test_a_time_makes_no_second_sms_of_one() -> None:
    """English writes "2:00 PM" with a space that no SMS has, and all of its text would need two bytes a letter."""
    said = rendering.facts_of(make_booking(everyone(time_zone="Asia/Kathmandu")), everyone(locale="en", name="Bob"))
    for name in ("starts", "starts_for_customer"):
        assert segments.count(f"Dear Alice, your haircut is on {said[name]}. See you!") == 1


def test_how_to_hear_no_more_is_said_in_the_language_of_the_words() -> None:
    words = {"message": "hello", "channel": "email", "locale": "en", "subject": "Hi"}
    MessageTemplate.objects.create(**words, text="{{ unsubscribe_text }}")
    booking = make_booking(everyone(locale="de"))
    assert rendering.render(delivery_of(booking, message="hello")).text == "No more reminders by email\n"
    MessageTemplate.objects.update(locale="de")
    assert rendering.render(delivery_of(booking, message="hello")).text == "Keine Erinnerungen mehr per E-Mail\n"


def test_words_of_a_locale_that_nobody_knows_are_taken_for_the_customers() -> None:
    words = {"message": "hello", "channel": "email", "locale": "german", "subject": "!"}
    MessageTemplate.objects.create(**words, text="{{ starts }} {{ locale }} {{ unsubscribe_text }}")
    booking = make_booking(everyone(locale="de"))
    said = rendering.render(delivery_of(booking, message="hello")).text
    assert format_date(booking.local_start, "full", locale="de") in said
    assert said.endswith(" de Keine Erinnerungen mehr per E-Mail\n")


def test_amounts_are_in_the_language_of_the_owners_words() -> None:
    words = {"message": "payment_upcoming", "channel": "sms", "locale": "fr"}
    MessageTemplate.objects.create(**words, text="{{ owed }}, {{ due }}")
    payment = make_payment(everyone(locale="fr-CA"))
    assert rendering.render(delivery_of(payment, "sms")).text.endswith(format_date(payment.due_on, "full", "fr_CA"))


def test_the_owners_words_come_before_ours_and_the_exact_locale_before_the_language() -> None:
    booking = make_booking(everyone(locale="de-AT"))
    for locale, word in (("en", "Hi"), ("de", "Hallo"), ("de-AT", "Servus")):
        MessageTemplate.objects.create(message="booking_upcoming", channel="sms", locale=locale, text=word)
    assert rendering.render(delivery_of(booking, "sms")).text == "Servus"
    MessageTemplate.objects.filter(locale="de-AT").delete()
    assert rendering.render(delivery_of(booking, "sms")).text == "Hallo"
    MessageTemplate.objects.filter(locale="de").delete()
    assert rendering.render(delivery_of(booking, "sms")).text.startswith("Erinnerung:")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{{ customer.shoe_size }}", "shoe_size"),
        ("{{ booking.customer.password }}", "customer"),
        ("{% for x in (1..100000000) %}x{% endfor %}", "loop"),
        ("{% for a in (1..900) %}{% for b in (1..900) %}{{ 'xxxxxxxxxxxxxxxx' }}{% endfor %}{% endfor %}", "loop"),
        ("{% assign a = 'xxxxxxxxxxxxxxxx' %}" + "{% assign a = a | append: a %}" * 30 + "{{ a }}", "limit"),
        ("{% include 'settings' %}", "settings"),
        ("{% render 'settings' %}", "settings"),
        ("{% load static %}", "load"),
        ("{{ 5 | divided_by: 0 }}", "divi"),
        ("{% if %}", "text:"),
        ("{{ 'x' | nonsense }}", "nonsense"),
        ("x" * 100_001, "too many"),
        ("   ", "empty"),
    ],
)
def test_words_that_cannot_be_used_are_refused_with_the_reason_and_soon(text: str, why: str) -> None:
    facts = rendering.facts_of(make_booking(alice()), alice(email="a2@example.com"))
    started = time.process_time()
    wrong = wording.check("email", Words("Hello", text), facts)
    assert len(wrong) == 1 and why in wrong[0].lower(), wrong
    assert time.process_time() - started < 5


def test_an_sms_that_costs_two_is_told() -> None:
    facts = rendering.facts_of(make_booking(alice()), alice(email="a2@example.com"))
    assert wording.check("sms", Words("", "x" * 160), facts) == []
    assert "161 characters are 2 SMS" in wording.check("sms", Words("", "x" * 161), facts)[0]
    assert "are 2 SMS" in wording.check("sms", Words("", "\U0001f600" * 36), facts)[0]


def test_a_subject_cannot_become_a_second_header() -> None:
    customer = everyone(name="Alice\r\nBcc: all@example.com")
    booking = make_booking(customer, service="Cut\r\nX-Spam: no")
    message = rendering.render(delivery_of(booking))
    assert "\n" not in message.subject and "\r" not in message.subject
    facts = rendering.facts_of(booking, customer)
    assert wording.check("email", Words("one\ntwo", "text"), facts) == ["subject: it is one line"]


def test_what_a_customer_is_called_is_no_markup() -> None:
    booking = make_booking(everyone(name="<script>alert(1)</script>"), service="{{ 7 | times: 6 }}")
    message = rendering.render(delivery_of(booking))
    assert "<script>" not in message.html and "&lt;script&gt;" in message.html
    assert "{{ 7 | times: 6 }}" in message.text  # what customers write is never a template
    assert "<script>" in message.text  # and plain text is plain


def test_styles_are_where_mail_programs_look_for_them() -> None:
    html = rendering.render(delivery_of(make_booking(alice()))).html
    assert "<style" not in html and 'style="' in html


def test_a_mail_carries_the_buttons_of_mail_programs_and_the_calendar_entry() -> None:
    booking = make_booking(alice())
    CHANNELS["email"](rendering.render(delivery_of(booking)), idempotency_key="k1")
    sent: EmailMessage = mail.outbox[0].message()
    assert sent["List-Unsubscribe"].startswith("<http://127.0.0.1:8000/unsubscribe/")
    assert sent["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    parts = {part.get_content_type(): part for part in sent.walk()}
    assert {"text/plain", "text/html", "text/calendar"} <= set(parts)


def entry(booking: Booking, message: str = "booking_upcoming", anchor: str = "booking_start") -> Any:
    delivery = delivery_of(booking, "email", message)
    delivery.rule.anchor = anchor
    delivery.booking = booking
    return Calendar.from_ical(rendering.render(delivery).attachments[0].content)


def test_a_booking_is_one_calendar_entry_that_moves_and_goes() -> None:
    booking = make_booking(alice())
    asked = entry(booking, "booking_made", "booking_made")
    later = booking.starts_at + DAY
    bookings.reschedule(booking, starts_at=later, ends_at=later + 30 * MINUTE)
    moved = entry(booking, "booking_moved", "booking_moved")
    bookings.cancel(booking)
    gone = entry(booking, "booking_cancelled", "booking_cancelled")
    calendars = [asked, moved, gone]
    assert [str(calendar["method"]) for calendar in calendars] == ["REQUEST", "REQUEST", "CANCEL"]
    events = [calendar.walk("VEVENT")[0] for calendar in calendars]
    assert len({str(event["uid"]) for event in events}) == 1
    assert [int(event["sequence"]) for event in events] == [0, 1, 2]
    assert [str(event["status"]) for event in events] == ["CONFIRMED", "CONFIRMED", "CANCELLED"]
    assert events[1].decoded("dtstart") == later.replace(microsecond=0)
    assert str(entry(make_booking(bob()))["method"]) == "PUBLISH"  # a reminder asks for nothing


def test_nothing_is_announced_that_does_not_follow() -> None:
    booking = make_booking(alice())  # at no place, by the clocks she has; she has said that she will come
    bookings.confirm(booking)
    booking.refresh_from_db()
    for channel in ("email", "sms"):
        message = rendering.render(delivery_of(booking, channel))
        for said in (message.text, message.html):
            assert "for you" not in said and ", ." not in said and "Please tell us" not in said, said


@pytest.mark.parametrize("part", ["subject", "text", "html"])
@pytest.mark.parametrize("typo", ["{{ costumer.name }}", "{{ booking.servce }}", "{{ starts | datte }}"])
def test_a_typo_in_words_that_the_example_does_not_say_is_refused_too(part: str, typo: str) -> None:
    facts = rendering.facts_of(make_booking(alice()), alice(email="a2@example.com"))
    usual = {"subject": "Hello", "text": "Hello", "html": "<p>Hello</p>"}
    own = Words(**usual | {part: "x{% if booking.confirmed %}" + typo + "{% endif %}"})
    wrong = wording.check("email", own, facts)
    assert len(wrong) == 1 and wrong[0].startswith(f"{part}: "), wrong


def test_what_liquid_knows_by_itself_is_no_typo() -> None:
    facts = rendering.facts_of(make_payment(alice()), alice(email="a2@example.com"))
    text = (
        "{{ payments.size }}{{ payments.first.owed }}{% for p in payments %}{{ forloop.index }}{{ p.owed }}{% endfor %}"
    )
    text += "{% assign k = 'subject' %}{{ payment[k] }}{{ customer.name.size }}{{ payments[0].due }}"
    assert wording.check("email", Words("Hello", text), facts) == []


def test_late_words_are_true_when_they_are_read(noon: Any) -> None:
    booking = make_booking(alice(), starts=2 * DAY)
    delivery = delivery_of(booking)
    assert "in 2 days" in rendering.render(delivery).text
    late = rendering.render(delivery, now=booking.starts_at - 40 * MINUTE).text
    assert "in 40 minutes" in late


def test_a_digest_lists_all_and_adds_up_by_currency() -> None:
    customer = bob()
    payments = [make_payment(customer, amount=1000, currency="USD", subject=word) for word in ("Cut", "Shave")]
    payments.append(make_payment(customer, amount=500, currency="EUR", subject="Dye"))
    text = rendering.render(delivery_of(payments[0]), payments=payments).text
    assert all(word in text for word in ("Cut", "Shave", "Dye"))
    assert "In all: $20.00, €5.00." in text


def test_a_webhook_gets_data_in_its_own_types() -> None:
    booking = make_booking(everyone(), external_id="B-1")
    message = rendering.render(delivery_of(booking, "webhook"))
    assert message.secret == "whsec_c2VjcmV0" and "secret" not in repr(message)
    assert message.metadata["type"] == "reminder.booking_upcoming"
    assert message.metadata["about"]["external_id"] == "B-1"
    assert datetime.fromisoformat(message.metadata["about"]["starts_at"]) == booking.starts_at


def test_a_message_without_words_says_what_to_do() -> None:
    with pytest.raises(BadTemplate, match="Write them under Message templates"):
        rendering.render(delivery_of(make_booking(alice()), "email", "no_such_message"))


@pytest.mark.parametrize("name", ["..", "../..", "base.html", "/etc", "booking_upcoming/en", ""])
def test_a_message_is_no_way_out_of_its_folder(name: str) -> None:
    with pytest.raises(BadTemplate):
        wording.words(name, "email", "en")
