"""System checks of the channels: what would silently go nowhere. Registered by the app's configuration.

Warnings of `manage.py check --deploy`; the one that reads the rules needs `--database default` too, as Django asks of
checks that query.
"""

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage, Warning as Alert
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError
from standardwebhooks.webhooks import EmptyWebhookSecretError, Webhook

from jobs.library import clean_up, cleaners
from notifications import guarantees
from notifications.channels import CHANNELS, email_apis, sms
from notifications.channels.email import FILES
from notifications.models import ReminderRule

Apps = Sequence[AppConfig] | None
NOWHERE = ("console.EmailBackend", "dummy.EmailBackend", "locmem.EmailBackend")


def register_all() -> None:
    """Called once, by the app registry."""
    for wrong in (check_policies, check_retention, check_opt_in, check_mail_provider, check_callback_secret):
        checks.register(wrong, "punctual")
    checks.register(check_used_channels, checks.Tags.database, deploy=True)
    for check in (check_mail_callbacks, check_sms_sender, check_webhook_targets):
        checks.register(check, checks.Tags.security, deploy=True)


def check_policies(app_configs: Apps = None, **_: Any) -> list[CheckMessage]:
    """A promise that a channel cannot keep is refused at the start, not when a message is in doubt."""
    found: list[CheckMessage] = []
    for channel in {*CHANNELS, *settings.CHANNEL_POLICIES}:
        try:
            guarantees.of(channel)
        except (ImproperlyConfigured, KeyError, ValueError) as exc:
            found.append(checks.Error(f"CHANNEL_POLICIES, {channel}: {exc}", id="punctual.E050"))
    return found


def check_retention(app_configs: Apps = None, **_: Any) -> list[CheckMessage]:
    """What nobody meant is refused at the start: nothing that was deleted, or forgotten, comes back."""
    found: list[CheckMessage] = []
    for variable, what in (("KEEP_DELIVERIES_DAYS", "old_deliveries"), ("KEEP_PERSONAL_DATA_DAYS", "personal_data")):
        days, least, most = getattr(settings, variable), cleaners.named(what).least.days, clean_up.CENTURY.days
        if days and not least <= days <= most:
            hint = f"Set {variable} to 0, which keeps everything, or to {least} to {most} days."
            found.append(checks.Error(f"{variable} is {days}.", hint=hint, id="punctual.E051"))
    return found


def check_opt_in(app_configs: Apps = None, **_: Any) -> list[CheckMessage]:
    """A channel that is misspelt here would be used without the customer's yes."""
    unknown = sorted(set(settings.OPT_IN_CHANNELS) - set(CHANNELS))
    if not unknown:
        return []
    hint = f"Set OPT_IN_CHANNELS to some of {', '.join(CHANNELS)}, separated by commas."
    return [checks.Error(f"OPT_IN_CHANNELS names no channel: {', '.join(unknown)}.", hint=hint, id="punctual.E052")]


def check_mail_provider(app_configs: Apps = None, **_: Any) -> list[CheckMessage]:
    """A provider that Anymail does not have would fail at each message, and at none of the checks."""
    if not email_apis.used() or find_spec(settings.EMAIL_BACKEND.rpartition(".")[0]):
        return []
    hint = "Set EMAIL_URL to anymail:// and a provider that django-anymail knows, such as anymail://postmark."
    return [checks.Error(f"There is no {settings.EMAIL_BACKEND}.", hint=hint, id="punctual.E053")]


def check_callback_secret(app_configs: Apps = None, **_: Any) -> list[CheckMessage]:
    """One that is not base64 would answer each callback with an error of ours."""
    try:
        if settings.CALLBACK_SECRET:
            Webhook(settings.CALLBACK_SECRET)
    except (ValueError, EmptyWebhookSecretError):  # base64 raises the first
        hint = "Set CALLBACK_SECRET to whsec_ and 32 random bytes in base64."
        return [checks.Error("CALLBACK_SECRET is not base64.", hint=hint, id="punctual.E054")]
    return []


def unconfigured() -> dict[str, str]:
    """Channels that keep their messages here, and what to set."""
    found = {}
    if settings.EMAIL_BACKEND == FILES or settings.EMAIL_BACKEND.endswith(NOWHERE):
        found["email"] = "Set EMAIL_URL to a mail server or a provider."
    if not sms.configured():
        found["sms"] = "Set TWILIO_ACCOUNT_SID, TWILIO_AUTH_TOKEN and TWILIO_FROM."
    if settings.WEBHOOK_OUTBOX:
        found["webhook"] = "Set WEBHOOK_OUTBOX=false."
    return found


def check_used_channels(app_configs: Apps, databases: Sequence[str] | None = None, **_: Any) -> list[CheckMessage]:
    if not databases:
        return []
    try:
        rules = list(ReminderRule.objects.filter(active=True, bulk__isnull=True).values_list("channels", flat=True))
    except DatabaseError:  # not migrated, or not there: others say so
        return []
    used = {channel for channels in rules for channel in channels}
    return [
        Alert(
            f"An active rule uses {channel}, but its messages stay in the outbox of the admin.",
            hint=hint,
            id="punctual.W006",
        )
        for channel, hint in unconfigured().items()
        if channel in used
    ]


def check_mail_callbacks(app_configs: Apps, **_: Any) -> list[CheckMessage]:
    if not email_apis.used() or email_apis.callbacks_secured():
        return []
    hint = "Set ANYMAIL_WEBHOOK_SECRET=user:password, or the provider's signing key; see .env.example."
    problem = "Callbacks of the mail provider are refused: there is no secret to check them by."
    return [Alert(f"{problem} Bounces and complaints stay unknown.", hint=hint, id="punctual.W007")]


def check_sms_sender(app_configs: Apps, **_: Any) -> list[CheckMessage]:
    if not sms.configured():
        return []
    missing = []
    if not (settings.TWILIO_FROM or settings.TWILIO_MESSAGING_SERVICE_SID):
        missing.append("a sender (TWILIO_FROM or TWILIO_MESSAGING_SERVICE_SID)")
    if not settings.TWILIO_AUTH_TOKEN:
        missing.append("TWILIO_AUTH_TOKEN, without which status and STOP are refused")
    if not missing:
        return []
    return [Alert(f"SMS lack {' and '.join(missing)}.", hint="See .env.example.", id="punctual.W008")]


def check_webhook_targets(app_configs: Apps, **_: Any) -> list[CheckMessage]:
    if not settings.WEBHOOK_ALLOW_PRIVATE:
        return []
    hint = "Remove WEBHOOK_ALLOW_PRIVATE from the environment."
    return [Alert("Webhooks may reach private addresses of this network.", hint=hint, id="punctual.W009")]
