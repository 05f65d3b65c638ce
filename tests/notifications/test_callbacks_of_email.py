"""What providers of email tell, through Anymail."""

import json
from dataclasses import replace
from typing import Any

import pytest
from django.test import Client

from notifications.callbacks.record import Event, record
from notifications.models import (
    ProviderEvent,
    Suppression,
)
from tests.notifications.providers import providers as providers
from tests.notifications.telling import SECRET, TOKEN, State, a_delivery, a_message

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _configured(settings) -> None:
    settings.TWILIO_AUTH_TOKEN, settings.CALLBACK_SECRET = TOKEN, SECRET


@pytest.fixture
def postmark(settings) -> None:
    settings.EMAIL_BACKEND = "anymail.backends.postmark.EmailBackend"
    settings.ANYMAIL = {"POSTMARK_SERVER_TOKEN": "t", "WEBHOOK_SECRET": "user:password"}


DAY_ONE = "2026-07-01T12:00:00Z"
RIGHT = "dXNlcjpwYXNzd29yZA=="


def told(client: Client, *, login: str = RIGHT, **fields: Any) -> int:
    usual = {"MessageID": "pm-1", "Recipient": "Alice@example.com", "Email": "Alice@example.com"}
    return client.post(
        "/callbacks/email/postmark/tracking/",
        json.dumps(usual | fields),
        content_type="application/json",
        headers={"authorization": f"Basic {login}"},
    ).status_code


@pytest.mark.usefixtures("postmark")
def test_a_bounce_is_recorded_and_the_address_left_alone(client: Client) -> None:
    delivery = a_delivery(channel="email", provider_id="pm-1")
    bounce: dict[str, Any] = {
        "RecordType": "Bounce",
        "ID": 42,
        "Type": "HardBounce",
        "BouncedAt": DAY_ONE,
    }
    for _ in range(2):
        assert told(client, **bounce) == 200
    delivery.refresh_from_db()
    assert delivery.outcome == "bounced"
    assert Suppression.objects.values_list("channel", "address", "cause").get() == (
        "email",
        "alice@example.com",
        "bounce",
    )
    assert ProviderEvent.objects.count() == 1


@pytest.mark.usefixtures("postmark")
def test_the_metadata_names_a_delivery_in_doubt(client: Client) -> None:
    delivery = a_delivery("in_doubt", channel="email", provider_id="", doubts=1)
    fields = {"RecordType": "Delivery", "DeliveredAt": DAY_ONE}
    assert told(client, **fields, Metadata={"delivery": str(delivery.pk)}) == 200
    delivery.refresh_from_db()
    assert (delivery.state, delivery.outcome, delivery.provider_id) == (State.SENT, "delivered", "pm-1")


@pytest.mark.usefixtures("postmark")
def test_a_complaint_after_a_delivery_counts(client: Client) -> None:
    delivery = a_delivery(channel="email", provider_id="pm-1")
    told(client, RecordType="Delivery", DeliveredAt=DAY_ONE)
    complaint: dict[str, Any] = {"RecordType": "SpamComplaint", "Type": "SpamComplaint", "ID": 43, "BouncedAt": DAY_ONE}
    told(client, **complaint)
    delivery.refresh_from_db()
    assert delivery.outcome == "complained"
    assert Suppression.objects.get().cause == "complaint"


@pytest.mark.usefixtures("postmark")
def test_a_complaint_about_a_direct_message_is_found_by_the_providers_id(client: Client) -> None:
    message = a_message(channel="email", provider_id="pm-1")
    told(client, RecordType="Delivery", DeliveredAt=DAY_ONE)
    told(client, RecordType="SpamComplaint", Type="SpamComplaint", ID=43, BouncedAt=DAY_ONE)
    message.refresh_from_db()
    assert message.outcome == "complained" and message.events.count() == 2
    assert Suppression.objects.get().cause == "complaint"


@pytest.mark.usefixtures("postmark")
def test_what_customers_read_is_not_kept(client: Client) -> None:
    a_delivery(channel="email", provider_id="pm-1")
    assert told(client, RecordType="Open", ReceivedAt=DAY_ONE) == 200
    assert not ProviderEvent.objects.exists()


@pytest.mark.usefixtures("postmark")
def test_only_the_provider_in_use_with_its_secret_is_heard(client: Client, settings) -> None:
    assert told(client, login="dXNlcjp3cm9uZw==", RecordType="Delivery") == 400
    assert client.post("/callbacks/email/mailgun/tracking/").status_code == 404
    settings.ANYMAIL = {"POSTMARK_SERVER_TOKEN": "t"}
    assert told(client, RecordType="Delivery") == 404
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    assert told(client, RecordType="Delivery") == 404
    assert not ProviderEvent.objects.exists()


def test_what_no_database_keeps_is_left_out_of_an_event() -> None:
    """An error would make the provider repeat it for days."""
    odd = Event("acme", "1\x00", "delivered", code="a\x00b", provider_id="no\x00body", outcome="delivered")
    assert (record(odd), record(odd)) == (True, False)
    assert ProviderEvent.objects.values_list("event_id", "code").get() == ("1", "ab")


@pytest.mark.parametrize("event", [Event("a", "1", "in", said="stop"), Event("a", "1", "in", suppress="bounce")])
def test_an_address_of_blanks_is_nobodys(event: Event) -> None:
    assert record(replace(event, channel="sms", address=" \x00 "))
    assert not Suppression.objects.exists()
