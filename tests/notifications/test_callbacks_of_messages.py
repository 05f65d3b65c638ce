"""What providers tell of direct messages."""

from typing import Any

import pytest
from django.test import Client

from jobs.models import Job
from notifications.channels.base import Message, Receipt, Unknown
from notifications.models import (
    DirectMessage,
    ProviderEvent,
    Suppression,
)
from tests.notifications.providers import Provider, Providers, providers as providers, put
from tests.notifications.telling import PHONE, SECRET, TOKEN, State, a_message, generic, status, twilio

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _configured(settings) -> None:
    settings.TWILIO_AUTH_TOKEN, settings.CALLBACK_SECRET = TOKEN, SECRET


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
