"""Which bounces bar an address: what says that it is none, not a full mailbox, a holiday, or a fault of our own."""

from importlib import import_module
from typing import Any

import pytest
from anymail.signals import AnymailTrackingEvent, EventType, RejectReason

from notifications.callbacks import email
from notifications.channels import email as channel
from notifications.channels.base import Refused
from notifications.models import Suppression
from tests.notifications.test_email_apis import MESSAGE, TAKEN, says, using as using

pytestmark = pytest.mark.django_db
CLASSES = {"brevo": "Brevo", "mailersend": "MailerSend", "mailjet": "Mailjet", "postmark": "Postmark"}
TO = "alice@example.com"


def read_by_anymail(provider: str, payload: dict[str, Any]) -> AnymailTrackingEvent:
    """As the provider's own view understands what was posted."""
    view: Any = getattr(import_module(f"anymail.webhooks.{provider}"), f"{CLASSES[provider]}TrackingWebhookView")
    event: AnymailTrackingEvent = view.esp_to_anymail_event(view.__new__(view), payload)
    return event


def mailersend(word: str) -> dict[str, Any]:
    about = {"message": {"id": "m"}, "recipient": {"email": TO}}
    data = {"id": "e", "type": word, "created_at": "2026-07-01T12:00:00Z", "email": about}
    return {"type": f"activity.{word}", "data": data | {"morph": {"object": "recipient_bounce"}}}


def postmark(word: str) -> dict[str, Any]:
    return {"RecordType": "Bounce", "Type": word, "ID": 1, "Email": TO, "MessageID": "m"}


def mailjet(error: str, hard: bool, event: str = "bounce") -> dict[str, Any]:
    return {"event": event, "error": error, "hard_bounce": hard, "email": TO, "time": 1}


SAID: list[tuple[str, dict[str, Any], str]] = [
    ("brevo", {"event": "hard_bounce", "email": TO}, "bounce"),
    ("brevo", {"event": "soft_bounce", "email": TO}, ""),
    ("brevo", {"event": "blocked", "email": TO}, ""),
    ("brevo", {"event": "spam", "email": TO}, "complaint"),
    ("mailersend", mailersend("hard_bounced"), "bounce"),
    ("mailersend", mailersend("soft_bounced"), ""),
    ("mailjet", mailjet("user unknown", hard=True), "bounce"),
    ("mailjet", mailjet("quota exceeded", hard=False), ""),
    ("mailjet", mailjet("sender blocked", hard=True, event="blocked"), ""),
    ("postmark", postmark("HardBounce"), "bounce"),
    ("postmark", postmark("SoftBounce"), ""),
    ("postmark", postmark("DMARCPolicy"), ""),
    ("postmark", postmark("Blocked"), ""),
    ("postmark", postmark("BadEmailAddress"), "bounce"),
]


@pytest.mark.parametrize(
    ("provider", "payload", "cause"),
    SAID,
    ids=[
        f"{name}-{said.get('Type') or said.get('error') or said.get('type') or said['event']}" for name, said, _ in SAID
    ],
)
def test_only_what_is_lasting_and_the_recipients_bars_an_address(
    settings, provider: str, payload: dict[str, Any], cause: str
) -> None:
    """It was any bounce: a mailbox that was full for a day got no reminder ever again."""
    settings.EMAIL_BACKEND = f"anymail.backends.{provider}.EmailBackend"
    email.told(None, event=read_by_anymail(provider, payload), esp_name=provider)
    assert list(Suppression.objects.values_list("cause", flat=True)) == ([cause] if cause else [])


@pytest.mark.parametrize(
    ("provider", "payload", "cause"),
    [
        ("amazon_ses", {"bounce": {"bounceType": "Transient", "bounceSubType": "General"}}, ""),
        ("amazon_ses", {"bounce": {"bounceType": "Permanent", "bounceSubType": "General"}}, "bounce"),
        ("resend", {"data": {"bounce": {"type": "Transient"}}}, ""),
        ("resend", {"data": {"bounce": {"type": "Permanent"}}}, "bounce"),
        ("sparkpost", {"msys": {"message_event": {"bounce_class": "22"}}}, ""),
        ("sparkpost", {"msys": {"message_event": {"bounce_class": "30"}}}, "bounce"),
        ("sendgrid", {}, "bounce"),
    ],
    ids=["ses-holiday", "ses-gone", "resend-full", "resend-gone", "sparkpost-full", "sparkpost-gone", "sendgrid-gone"],
)
def test_what_anymail_only_calls_bounced(settings, provider: str, payload: dict[str, Any], cause: str) -> None:
    settings.EMAIL_BACKEND = f"anymail.backends.{provider}.EmailBackend"
    bounced = {"event_type": EventType.BOUNCED, "reject_reason": RejectReason.BOUNCED, "recipient": TO}
    email.told(None, event=AnymailTrackingEvent(**bounced, event_id="e", esp_event=payload), esp_name=provider)
    assert list(Suppression.objects.values_list("cause", flat=True)) == ([cause] if cause else [])


@pytest.mark.parametrize(("reason", "suppress"), [("hard-bounce", "blocked"), ("unsigned", ""), ("rule", "")])
def test_mandrill_rejects_for_reasons_of_ours_too(
    using: Any, monkeypatch: pytest.MonkeyPatch, reason: str, suppress: str
) -> None:
    monkeypatch.setitem(TAKEN, "mandrill", {})
    provider = using("mandrill")
    provider.answer = says(200, [{"email": TO, "status": "rejected", "reject_reason": reason, "_id": "1"}])
    with pytest.raises(Refused) as refused:
        channel.send(MESSAGE, idempotency_key="d-1")
    assert refused.value.suppress == suppress
