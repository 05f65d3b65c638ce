"""What providers tell: who is believed, that the same thing twice counts once, and what follows from it."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from django.test import Client
from standardwebhooks.webhooks import Webhook
from twilio.request_validator import RequestValidator

from jobs.library.people import Person
from jobs.models import Job
from notifications import direct
from notifications.callbacks.record import Event, record
from notifications.channels.base import Message, Receipt, Unknown
from notifications.models import (
    Consent,
    ConsentEvent,
    Customer,
    Delivery,
    DirectMessage,
    ProviderEvent,
    Suppression,
)
from tests.factories import alice, bob, make_booking
from tests.notifications.providers import Provider, Providers, providers as providers, put

pytestmark = pytest.mark.django_db

PHONE, TOKEN, SECRET = "+4915112345678", "token", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
State = Delivery.State


@pytest.fixture(autouse=True)
def _configured(settings) -> None:
    settings.TWILIO_AUTH_TOKEN, settings.CALLBACK_SECRET = TOKEN, SECRET


def a_delivery(state: str = "sent", **fields: Any) -> Delivery:
    make_booking(alice(phone=PHONE))
    delivery = Delivery.objects.order_by("pk")[0]
    usual = {"state": state, "channel": "sms", "intent_at": datetime.now(UTC), "provider_id": "SM1"}
    Delivery.objects.filter(pk=delivery.pk).update(**usual | fields)
    delivery.refresh_from_db()
    return delivery


def twilio(client: Client, path: str, signature: str | None = None, **fields: str) -> int:
    url = f"http://127.0.0.1:8000/callbacks/twilio/{path}"
    right = RequestValidator(TOKEN).compute_signature(url, fields)
    headers = {"X-Twilio-Signature": right if signature is None else signature}
    return client.post(f"/callbacks/twilio/{path}", fields, headers=headers).status_code


def status(client: Client, delivery: object, word: str, code: str = "", sid: str = "SM1") -> int:
    fields = {"MessageSid": sid, "MessageStatus": word, "To": PHONE} | ({"ErrorCode": code} if code else {})
    return twilio(client, f"status/{delivery}/", **fields)


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


# --- Of a direct message -------------------------------------------------------------------------------


def a_message(state: str = "sent", **fields: Any) -> DirectMessage:
    message = direct.write(
        direct.Wanted(channel="sms", address=PHONE, text="It rains"),  # type: ignore[arg-type]
        Person("olga", lambda permission: True),
    )
    usual = {"state": state, "intent_at": datetime.now(UTC), "provider_id": "SM1"}
    DirectMessage.objects.filter(pk=message.pk).update(**usual | fields)
    message.refresh_from_db()
    return message


def test_a_status_of_a_direct_message_counts_once(client: Client) -> None:
    message = a_message()
    assert [status(client, message.pk, "delivered") for _ in range(3)] == [204] * 3
    (event,) = ProviderEvent.objects.all()
    assert (event.kind, event.direct_id, event.delivery_id) == ("delivered", message.pk, None)
    told_at = DirectMessage.objects.get().outcome_at
    assert told_at and DirectMessage.objects.get().outcome == "delivered"
    status(client, message.pk, "read")
    assert DirectMessage.objects.get().outcome_at == told_at


@pytest.mark.parametrize("order", [("delivered", "undelivered"), ("undelivered", "delivered")])
def test_statuses_of_a_direct_message_that_overtake_each_other_end_the_same(
    client: Client, order: tuple[str, str]
) -> None:
    message = a_message()
    for word in ("sent", *order, "sent", "queued"):
        status(client, message.pk, word)
    message.refresh_from_db()
    assert (message.outcome, message.state) == ("failed", State.SENT)


def test_a_number_that_is_none_is_left_alone_after_a_direct_message(client: Client, worker: Any) -> None:
    message, waiting = a_message(), a_message("planned", provider_id="")
    status(client, message.pk, "undelivered", "30005")
    message.refresh_from_db()
    assert message.outcome == "bounced"
    assert Suppression.objects.values_list("channel", "address", "cause").get() == ("sms", PHONE, "bounce")
    worker.run_due()
    waiting.refresh_from_db()
    assert (waiting.state, waiting.reason) == (State.SKIPPED, "suppressed")


def test_a_forged_or_changed_status_of_a_direct_message_is_not_believed(client: Client) -> None:
    message = a_message("in_doubt", doubts=1)
    fields = {"MessageSid": "SM1", "MessageStatus": "failed", "To": PHONE, "ErrorCode": "30005"}
    for signature in ("", "wrong"):
        assert twilio(client, f"status/{message.pk}/", signature, **fields) == 403
    assert generic(client, "bounced", secret="whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD", delivery=str(message.pk)) == 403
    message.refresh_from_db()
    assert (message.state, message.doubts, message.outcome) == (State.IN_DOUBT, 1, "")
    assert not ProviderEvent.objects.exists() and not Suppression.objects.exists()


def test_a_callback_resolves_the_doubt_of_a_direct_message_once(client: Client) -> None:
    message = a_message("in_doubt", provider_id="", doubts=1)
    for word in ("sent", "delivered", "delivered"):
        status(client, message.pk, word, sid="SM9")
    message.refresh_from_db()
    assert (message.state, message.doubts, message.provider_id) == (State.SENT, 0, "SM9")
    assert message.sent_at == message.intent_at and message.outcome == "delivered"


def test_what_was_to_be_sent_again_is_not_once_its_provider_has_it(
    client: Client, worker: Any, providers: Providers
) -> None:
    message = a_message("planned", provider_id="", doubts=1)
    status(client, message.pk, "sent", sid="SM9")
    worker.run_due()
    message.refresh_from_db()
    assert (message.state, message.doubts, Job.objects.get(pk=message.pk).state) == (State.SENT, 0, "cancelled")
    assert providers["sms"].asked == {}


@pytest.mark.parametrize("state", ["planned", "sending", "refused", "skipped"])
def test_a_callback_changes_no_state_of_a_direct_message_but_a_doubt(client: Client, state: str) -> None:
    message = a_message(state)
    status(client, message.pk, "delivered")
    message.refresh_from_db()
    assert (message.state, message.outcome) == (state, "delivered")


def test_a_callback_faster_than_a_broken_answer_settles_a_direct_message(
    client: Client, worker: Any, providers: Providers
) -> None:
    class Overtaken(Provider):
        def __call__(self, message: Message, *, idempotency_key: str) -> Receipt:
            assert status(client, idempotency_key, "delivered", sid="SM9") == 204
            raise Unknown("the connection broke")

    message = a_message("planned", provider_id="", intent_at=None)
    put("sms", Overtaken())
    worker.run_due()
    message.refresh_from_db()
    assert (message.state, message.doubts, message.outcome) == (State.SENT, 0, "delivered")
    assert message.sent_at == message.intent_at and Job.objects.get(pk=message.pk).state == "succeeded"


# --- Replies -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", ["STOP", " stop. ", "Unsubscribe", "STOPALL", "opt-out", "END!"])
def test_stop_is_heard_with_evidence(client: Client, words: str) -> None:
    a_delivery()
    assert twilio(client, "inbound/", MessageSid="SM5", From=PHONE, Body=words) == 200
    assert Suppression.objects.get().cause == "stop"
    assert Consent.objects.get(customer__name="Alice Ähre", channel="sms").granted is False
    event = ConsentEvent.objects.get()
    assert (event.granted, event.source) == (False, "reply")
    assert "SM5" in event.evidence


def test_start_takes_back_a_stop_and_nothing_else(client: Client) -> None:
    a_delivery()
    Suppression.objects.create(channel="sms", address="+4915199999999", cause="bounce")
    twilio(client, "inbound/", MessageSid="SM5", From=PHONE, Body="STOP")
    twilio(client, "inbound/", MessageSid="SM6", From=PHONE, Body="start")
    twilio(client, "inbound/", MessageSid="SM7", From="+4915199999999", Body="START")
    assert list(Suppression.objects.values_list("address", "cause")) == [("+4915199999999", "bounce")]
    assert Consent.objects.get().granted is True
    assert [event.granted for event in ConsentEvent.objects.order_by("pk")] == [False, True]


def test_a_reply_that_comes_again_late_does_not_undo_a_newer_one(client: Client) -> None:
    a_delivery()
    for sid, words in (("SM5", "STOP"), ("SM6", "START"), ("SM5", "STOP")):
        twilio(client, "inbound/", MessageSid=sid, From=PHONE, Body=words)
    assert not Suppression.objects.exists()


@pytest.mark.parametrize("words", ["Please stop by at nine", "", "Stop it, I will be there", "x" * 5000])
def test_other_words_are_no_stop_and_are_not_kept(client: Client, words: str) -> None:
    a_delivery()
    assert twilio(client, "inbound/", MessageSid="SM5", From=PHONE, Body=words) == 200
    assert not Suppression.objects.exists()
    (event,) = ProviderEvent.objects.values()
    assert event["kind"] == "reply"
    assert PHONE not in str(event)


def test_a_failure_while_writing_leaves_nothing_so_that_it_is_told_again(client: Client, monkeypatch) -> None:
    a_delivery()

    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("the database went away")

    monkeypatch.setattr("notifications.consent.record", broken)
    with pytest.raises(RuntimeError):
        twilio(client, "inbound/", MessageSid="SM5", From=PHONE, Body="STOP")
    assert not ProviderEvent.objects.exists()
    monkeypatch.undo()
    twilio(client, "inbound/", MessageSid="SM5", From=PHONE, Body="STOP")
    assert Suppression.objects.count() == 1


# --- Our own format ------------------------------------------------------------------------------------


def generic(client: Client, kind: str, event_id: str = "e-1", secret: str = SECRET, **data: str) -> int:
    body = json.dumps({"type": kind, "data": data})
    now = datetime.now(UTC)
    headers = {
        "webhook-id": event_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(secret).sign(event_id, now, body),
    }
    return client.post("/callbacks/generic/", body, content_type="application/json", headers=headers).status_code


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


# --- Email providers, through Anymail ------------------------------------------------------------------


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
