"""The outbox of development in the admin, breakers in the admin, and checks of what would silently go nowhere."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.checks import run_checks
from django.test import Client
from django.urls import reverse

from notifications.channels import CHANNELS
from notifications.channels.base import Message
from notifications.models import Breaker, InboxItem, OutboxMessage, ProviderEvent, ReminderRule
from tests.factories import alice

pytestmark = pytest.mark.django_db


@pytest.fixture
def olga(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("olga", password="x"))
    return client


def test_in_development_every_channel_leaves_something_to_look_at(olga: Client, settings, tmp_path) -> None:
    settings.WEBHOOK_OUTBOX = True
    settings.EMAIL_BACKEND = "django.core.mail.backends.filebased.EmailBackend"
    settings.EMAIL_FILE_PATH = str(tmp_path)
    customer = alice()
    to = {"email": "alice@example.com", "sms": "+4915112345678", "inbox": str(customer.pk)}
    to["webhook"] = "http://127.0.0.1:1/hook"
    for name, address in to.items():
        for _ in range(2):
            receipt = CHANNELS[name](Message(address, "Your visit", f"<b>{name}</b>"), idempotency_key=f"d-{name}")
        assert receipt.provider_id
    CHANNELS["email"](Message("bob@example.com", "His visit", ""), idempotency_key="d-2")  # on a kept connection
    kept = sorted(OutboxMessage.objects.values_list("channel", flat=True))
    assert kept == ["email", "email", "sms", "webhook"]
    page = olga.get(reverse("admin:notifications_outboxmessage_changelist")).content.decode()
    for name in ("email", "sms", "webhook"):
        assert to[name] in page
        assert f"&lt;b&gt;{name}" in page  # shown, not run
    assert "Your visit" in olga.get(reverse("admin:notifications_inboxitem_changelist")).content.decode()
    assert "bob@example.com" in "".join(file.read_text() for file in tmp_path.iterdir())


@pytest.mark.parametrize("model", ["outboxmessage", "inboxitem", "providerevent", "breaker"])
def test_nobody_edits_what_happened(olga: Client, model: str) -> None:
    OutboxMessage.objects.create(channel="sms", key="k", to="x")
    InboxItem.objects.create(customer=alice(), key="k", title="x", body="x")
    ProviderEvent.objects.create(provider="twilio", event_id="1", kind="sent")
    Breaker.objects.create(provider="twilio")
    assert olga.get(reverse(f"admin:notifications_{model}_changelist")).status_code == 200
    assert olga.get(reverse(f"admin:notifications_{model}_add")).status_code == 403
    tables: dict[str, Any] = {
        str(row._meta.model_name): row for row in (OutboxMessage, InboxItem, ProviderEvent, Breaker)
    }
    pk = tables[model].objects.get().pk
    page = reverse(f"admin:notifications_{model}_change", args=[pk])
    assert olga.get(page).status_code == 200
    assert olga.post(page, {}).status_code == 403
    assert olga.post(reverse(f"admin:notifications_{model}_delete", args=[pk])).status_code == 403


def test_a_breaker_can_be_closed_by_hand(olga: Client) -> None:
    Breaker.objects.create(provider="twilio", state="open", failures=9)
    act = {"action": "close", "_selected_action": ["twilio"]}
    olga.post(reverse("admin:notifications_breaker_changelist"), act)
    assert Breaker.objects.values_list("state", "failures").get() == ("closed", 0)


def warned() -> set[str]:
    return {str(found.id) for found in run_checks(include_deployment_checks=True, databases=["default"])}


def test_a_channel_in_use_without_a_provider_is_warned_of(settings) -> None:
    settings.EMAIL_BACKEND, settings.WEBHOOK_OUTBOX = "notifications.channels.smtp.ExactBackend", True
    ReminderRule.objects.update(channels=["email"])
    assert "punctual.W006" not in warned()
    for channel in ("sms", "webhook"):
        ReminderRule.objects.update(channels=["email", channel])
        assert "punctual.W006" in warned()
    ReminderRule.objects.update(active=False)
    assert "punctual.W006" not in warned()


@pytest.mark.parametrize(
    ("wrong", "id_"),
    [
        ({"EMAIL_BACKEND": "anymail.backends.postmark.EmailBackend", "ANYMAIL": {}}, "punctual.W007"),
        ({"TWILIO_ACCOUNT_SID": "AC1", "TWILIO_AUTH_TOKEN": "x"}, "punctual.W008"),
        ({"TWILIO_ACCOUNT_SID": "AC1", "TWILIO_FROM": "+15005550006"}, "punctual.W008"),
        ({"WEBHOOK_ALLOW_PRIVATE": True}, "punctual.W009"),
    ],
)
def test_a_provider_that_is_half_configured_is_warned_of(settings, wrong: dict[str, Any], id_: str) -> None:
    assert id_ not in warned()
    for name, value in wrong.items():
        setattr(settings, name, value)
    assert id_ in warned()
