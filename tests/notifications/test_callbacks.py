"""What providers tell: who is believed, that the same thing twice counts once, and what follows from it."""

import pytest
from django.test import Client
from twilio.request_validator import RequestValidator

from notifications.models import (
    Consent,
    Customer,
    ProviderEvent,
    Suppression,
)
from tests.factories import alice, bob
from tests.notifications.providers import providers as providers
from tests.notifications.telling import PHONE, SECRET, TOKEN, State, a_delivery, generic, status, twilio

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _configured(settings) -> None:
    settings.TWILIO_AUTH_TOKEN, settings.CALLBACK_SECRET = TOKEN, SECRET


# --- Who is believed -----------------------------------------------------------------------------------


@pytest.mark.parametrize("signature", ["", "wrong", "ü" * 28])
def test_without_twilios_signature_nothing_is_believed(client: Client, signature: str) -> None:
    delivery = a_delivery()
    fields = {"MessageSid": "SM1", "MessageStatus": "delivered"}
    assert twilio(client, f"status/{delivery.pk}/", signature.encode().decode("latin-1"), **fields) == 403
    assert twilio(client, "inbound/", "", MessageSid="SM2", From=PHONE, Body="STOP") == 403
    assert not ProviderEvent.objects.exists()


def test_a_signature_holds_for_its_own_delivery_and_fields_only(client: Client) -> None:
    delivery = a_delivery()
    fields = {"MessageSid": "SM1", "MessageStatus": "failed"}
    url = f"http://127.0.0.1:8000/callbacks/twilio/status/{delivery.pk}/"
    signature = RequestValidator(TOKEN).compute_signature(url, fields)
    assert twilio(client, f"status/{delivery.pk}/", signature, MessageSid="SM1", MessageStatus="delivered") == 403
    assert twilio(client, "status/other/", signature, **fields) == 403
    assert twilio(client, f"status/{delivery.pk}/", signature, **fields) == 204


def test_without_a_token_not_even_a_right_signature_is_believed(client: Client, settings) -> None:
    settings.TWILIO_AUTH_TOKEN = ""
    fields = {"MessageSid": "SM1", "MessageStatus": "delivered"}
    url = "http://127.0.0.1:8000/callbacks/twilio/status/x/"
    assert twilio(client, "status/x/", RequestValidator("").compute_signature(url, fields), **fields) == 403


def test_only_posts_are_read(client: Client) -> None:
    for path in ("twilio/status/x/", "twilio/inbound/", "generic/"):
        assert client.get(f"/callbacks/{path}").status_code == 405


# --- The status of a message ---------------------------------------------------------------------------


def test_a_status_twice_counts_once(client: Client) -> None:
    delivery = a_delivery()
    assert [status(client, delivery.pk, "delivered") for _ in range(3)] == [204] * 3
    (event,) = ProviderEvent.objects.all()
    assert (event.provider, event.kind, event.delivery_id) == ("twilio", "delivered", delivery.pk)
    delivery.refresh_from_db()
    assert (delivery.outcome, delivery.state) == ("delivered", State.SENT)
    assert delivery.outcome_at


@pytest.mark.parametrize("order", [("delivered", "undelivered"), ("undelivered", "delivered")])
def test_statuses_that_overtake_each_other_end_the_same(client: Client, order: tuple[str, str]) -> None:
    delivery = a_delivery()
    for word in ("sent", *order, "sent", "queued"):
        status(client, delivery.pk, word)
    delivery.refresh_from_db()
    assert delivery.outcome == "failed"


@pytest.mark.parametrize(
    ("code", "outcome", "cause"),
    [
        ("30003", "failed", None),  # switched off: another day it may be reached
        ("30005", "bounced", "bounce"),
        ("30006", "bounced", "bounce"),
        ("30004", "failed", "blocked"),
        ("30007", "failed", None),  # the words were filtered, not the number
        ("21610", "failed", "stop"),
        ("", "failed", None),
        ("99999", "failed", None),
        ("x", "failed", None),
    ],
)
def test_error_codes_decide_whether_the_number_is_left_alone(
    client: Client, code: str, outcome: str, cause: str | None
) -> None:
    delivery = a_delivery()
    assert status(client, delivery.pk, "undelivered", code) == 204
    delivery.refresh_from_db()
    assert delivery.outcome == outcome
    assert list(Suppression.objects.values_list("channel", "address", "cause")) == (
        [("sms", PHONE, cause)] if cause else []
    )


def test_a_delivery_that_nobody_knows_is_counted_and_answered(client: Client) -> None:
    for name in ("nonsense", "00000000-0000-7000-8000-000000000000"):
        assert status(client, name, "delivered", sid=f"SM-{name}") == 204
    assert ProviderEvent.objects.filter(delivery__isnull=True).count() == 2


def test_a_callback_resolves_a_doubt_once(client: Client) -> None:
    delivery = a_delivery("in_doubt", provider_id="", doubts=1)
    for word in ("sent", "delivered"):
        status(client, delivery.pk, word, sid="SM9")
    delivery.refresh_from_db()
    assert (delivery.state, delivery.doubts, delivery.provider_id) == (State.SENT, 0, "SM9")
    assert delivery.sent_at == delivery.intent_at
    assert delivery.outcome == "delivered"


@pytest.mark.parametrize("state", ["planned", "sending", "refused", "skipped"])
def test_a_callback_changes_no_state_but_a_doubt(client: Client, state: str) -> None:
    delivery = a_delivery(state)
    status(client, delivery.pk, "delivered")
    delivery.refresh_from_db()
    assert (delivery.state, delivery.outcome) == (state, "delivered")


def test_a_signed_event_of_any_provider_is_recorded_once(client: Client) -> None:
    delivery = a_delivery(channel="email")
    for _ in range(2):
        assert (
            generic(client, "bounced", delivery=str(delivery.pk), channel="email", address="Alice@Example.com") == 204
        )
    delivery.refresh_from_db()
    assert delivery.outcome == "bounced"
    assert Suppression.objects.get().address == "alice@example.com"
    assert ProviderEvent.objects.count() == 1


def test_an_unsigned_event_is_not_believed(client: Client, settings) -> None:
    other = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
    assert generic(client, "stop", secret=other, channel="sms", address=PHONE) == 403
    assert client.post("/callbacks/generic/", "{}", content_type="application/json").status_code == 403
    settings.CALLBACK_SECRET = ""
    assert generic(client, "stop", channel="sms", address=PHONE) == 403
    assert not Suppression.objects.exists()


@pytest.mark.parametrize("kind", ["opened", "", "stop"])
def test_a_signed_event_that_makes_no_sense_is_a_bad_request(client: Client, kind: str) -> None:
    assert generic(client, kind) == 400
    assert not ProviderEvent.objects.exists()


def test_stop_by_our_own_format_holds_for_everybody_with_that_address(client: Client) -> None:
    alice(email="Shared@example.com"), bob(email="shared@example.com")
    assert generic(client, "stop", channel="email", address="SHARED@example.com") == 204
    assert set(Consent.objects.values_list("customer__name", "granted")) == {("Alice Ähre", False), ("Bob", False)}
    assert Customer.objects.count() == 2
