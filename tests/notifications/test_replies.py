"""What customers answer: stop and start are heard, with evidence."""

from typing import Any

import pytest
from django.test import Client

from notifications.models import (
    Consent,
    ConsentEvent,
    ProviderEvent,
    Suppression,
)
from tests.notifications.telling import PHONE, SECRET, TOKEN, a_delivery, twilio

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _configured(settings) -> None:
    settings.TWILIO_AUTH_TOKEN, settings.CALLBACK_SECRET = TOKEN, SECRET


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
