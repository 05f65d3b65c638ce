"""The owner's words and the addresses to leave alone, as edited in the admin."""

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from notifications import consent
from notifications.models import MessageTemplate, Suppression
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
