"""The owner's words and the addresses to leave alone, as edited in the admin."""

import re
from html import unescape
from urllib.parse import parse_qsl

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from notifications import consent, wording
from notifications.admin import beginnings
from notifications.examples import example
from notifications.models import MessageTemplate, Suppression
from notifications.wording import Words
from tests.factories import alice, make_booking

pytestmark = pytest.mark.django_db

ADD = "admin:notifications_messagetemplate_add"
GOOD = {"message": "booking_upcoming", "channel": "email", "locale": "en", "subject": "Hi", "html": ""}


@pytest.fixture
def olga(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("olga"))
    return client


def test_good_words_are_saved_and_shown_as_they_read(olga: Client) -> None:
    olga.post(reverse(ADD), GOOD | {"text": "See you {{ starts_in }}, {{ customer.name }}."})
    row = MessageTemplate.objects.get()
    page = olga.get(reverse("admin:notifications_messagetemplate_change", args=[row.pk]))
    assert b"Alice Example." in page.content


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"text": "{{ customer.shoe_size }}"}, "shoe_size"),
        ({"text": "Hello", "subject": ""}, "it is empty"),
        ({"text": "x" * 161, "channel": "sms"}, "161 characters are 2 SMS"),
        ({"text": "{{ booking.service }}", "message": "payment_overdue"}, "booking"),
        ({"text": "{% if %}"}, "errorlist"),
    ],
)
def test_words_that_would_fail_when_they_are_sent_are_not_saved(
    olga: Client, changes: dict[str, str], told: str
) -> None:
    page = olga.post(reverse(ADD), GOOD | changes)
    assert page.status_code == 200 and told in page.content.decode()
    assert not MessageTemplate.objects.exists()


def test_an_owner_begins_with_our_words_and_sees_what_may_be_said(olga: Client) -> None:
    page = olga.get(reverse(ADD)).content.decode()
    found = re.findall(r'href="([^"]+message=booking_upcoming&amp;channel=email&amp;locale=de)"', page)
    assert len(found) == 1
    assert "{{ starts_in }}" in page and "{{ booking.service }}" in page and "{{ payment.subject }}" in page
    form = olga.get(unescape(found[0])).context["adminform"].form
    ours = {name: form[name].value() for name in ("message", "channel", "locale", "subject", "text", "html")}
    assert ours["text"].startswith("Guten Tag {{ customer.name }}") and "<" in ours["html"]
    assert ours["subject"].startswith("Erinnerung") and ours["locale"] == "de"
    olga.post(reverse(ADD), ours)
    template = MessageTemplate.objects.get()
    page = olga.get(reverse("admin:notifications_messagetemplate_change", args=[template.pk])).content.decode()
    assert "{{ starts_in }}" in page and "{{ payment.subject }}" not in page


def test_all_of_our_words_can_be_begun_with() -> None:
    offered = re.findall(r'href="[^"]+\?([^"]+)"', beginnings.links())
    assert len(offered) > 40
    for query in offered:
        asked = dict(parse_qsl(unescape(query)))
        words = Words(**beginnings.initial(asked))
        assert wording.check(asked["channel"], words, example(asked["message"], asked["locale"])) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("message", ".."), ("message", "m" * 300), ("channel", "../../base"), ("channel", "")],
        *[("locale", "../en"), ("locale", "fr"), ("locale", "l" * 300)],
    ],
)
def test_no_other_file_can_be_begun_with(olga: Client, name: str, value: str) -> None:
    asked = {"message": "booking_upcoming", "channel": "email", "locale": "en"}
    assert beginnings.initial(asked) and beginnings.initial(asked | {name: value}) == {}
    assert olga.get(reverse(ADD), asked | {name: value}).status_code == 200  # a name longer than any file's, too


def test_an_address_left_alone_by_hand_ends_its_reminders_and_lifting_brings_them_back(olga: Client) -> None:
    booking = make_booking(alice())
    fields = {"channel": "email", "address": "Alice@Example.com", "cause": "person", "detail": ""}
    olga.post(reverse("admin:notifications_suppression_add"), fields)
    row = Suppression.objects.get()
    assert (row.address, row.detail) == ("alice@example.com", "by olga")
    assert set(booking.deliveries.values_list("reason", flat=True)) == {"suppressed"}
    olga.post(reverse("admin:notifications_suppression_delete", args=[row.pk]), {"post": "yes"})
    assert booking.deliveries.filter(state="planned").count() == 3


def test_a_customers_page_tells_what_they_agreed_to(olga: Client) -> None:
    customer = alice()
    consent.record(customer, "email", False, source="form", actor="olga", evidence="on the phone, at noon")
    page = olga.get(reverse("admin:notifications_customer_change", args=[customer.pk]))
    assert b"on the phone, at noon" in page.content
