"""Messages to a customer's own system: a signed POST, as Standard Webhooks describes it.

Called by `reminders.deliver`. The receiver knows a message by its `webhook-id`, which is the delivery's id in every
attempt: that is what makes the policy `keyed`. Only public addresses are reached, see `targets`, and only over https,
unless WEBHOOK_ALLOW_PRIVATE says otherwise.
"""

import json
from base64 import b64decode
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from urllib.parse import urlsplit

from django.conf import settings
from django.core.serializers.json import DjangoJSONEncoder
from standardwebhooks.webhooks import EmptyWebhookSecretError, Webhook

from notifications.channels import http, loopback, targets
from notifications.channels.base import Busy, Down, Message, Receipt, Refused, Throttled, Unknown

NOBODY_KNOWS = {502, 504}  # a gateway answers for a server that may have taken it
CALM = timedelta(minutes=1)  # for a receiver who says "too many" and not how long


def _allowed(address: str) -> bool:
    return settings.WEBHOOK_ALLOW_PRIVATE or targets.is_public(address)


client = http.Client(_allowed, lambda: settings.WEBHOOK_CA_FILE or None)


def send(message: Message, *, idempotency_key: str) -> Receipt:
    """POST one message. Raises Busy, Refused or Unknown, see `base`."""
    if settings.WEBHOOK_OUTBOX:
        return loopback.keep("webhook", message, idempotency_key)
    if wrong := targets.problem(message.to, https_only=not settings.WEBHOOK_ALLOW_PRIVATE):
        raise Refused(wrong)
    now = datetime.now(UTC)
    data = {**message.metadata, "subject": message.subject, "text": message.text}
    content = {"type": "reminder", "timestamp": now.isoformat(), "data": data}
    body = json.dumps(content, cls=DjangoJSONEncoder, ensure_ascii=False)
    headers = {
        "content-type": "application/json",
        "webhook-id": idempotency_key,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": _signatures(message.secret, idempotency_key, now, body),
    }
    try:
        answer = client.request("POST", message.to, headers, body.encode(), http.Limits(**settings.WEBHOOK_LIMITS))
    except http.Forbidden as exc:
        raise Refused(str(exc)) from None
    except http.NotReached as exc:
        raise Down(f"the receiver is not reached: {exc}") from None
    except http.NoAnswer as exc:
        raise Unknown(f"the receiver did not answer: {exc}") from None
    return _verdict(answer, idempotency_key)


def provider(message: Message) -> str:
    """A receiver is its host: one that is down must not hold up the others. At most 40 characters."""
    if settings.WEBHOOK_OUTBOX:
        return ""
    host = urlsplit(message.to).netloc.rpartition("@")[2].lower()
    name = f"webhook {host}"
    return name if len(name) <= 40 else f"webhook {sha256(host.encode()).hexdigest()[:32]}"


def _verdict(answer: http.Answer, key: str) -> Receipt:
    """The body is neither read nor repeated: it may hold anything."""
    said, wait = f"the receiver answered {answer.status}", http.retry_after(answer.headers.get("Retry-After"))
    if 200 <= answer.status < 300:
        return Receipt(provider_id=key)
    if answer.status == 410:
        raise Refused(said, suppress="bounce")
    if 300 <= answer.status < 400:
        raise Refused(f"{said}: redirects are not followed")
    if answer.status == 429:
        raise Throttled(said, wait or CALM)
    if answer.status in NOBODY_KNOWS:
        raise Unknown(said)
    raise (Down if answer.status >= 500 else Busy)(said, wait)


def _signatures(secrets: str, key: str, at: datetime, body: str) -> str:
    """One per secret: while a receiver changes its secret, both stand there, separated by a space."""
    try:
        keys = [b64decode(secret.removeprefix("whsec_"), validate=True) for secret in secrets.split()]
        signed = [Webhook(secret).sign(key, at, body) for secret in keys]
    except (ValueError, EmptyWebhookSecretError):
        raise Refused("the secret for signatures is none") from None
    if not signed:
        raise Refused("there is no secret to sign with")
    return " ".join(signed)
