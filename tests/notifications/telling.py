"""Providers that tell what became of a message, each in its own format."""

import json
from datetime import UTC, datetime
from typing import Any

from django.test import Client
from standardwebhooks.webhooks import Webhook
from twilio.request_validator import RequestValidator

from jobs.library.people import Person
from notifications import direct
from notifications.models import (
    Delivery,
    DirectMessage,
)
from tests.factories import alice, make_booking

PHONE, TOKEN, SECRET = "+4915112345678", "token", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
State = Delivery.State


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


def a_message(state: str = "sent", **fields: Any) -> DirectMessage:
    message = direct.write(
        direct.Wanted(channel="sms", address=PHONE, text="It rains"),  # type: ignore[arg-type]
        Person("olga", lambda permission: True),
    )
    usual = {"state": state, "intent_at": datetime.now(UTC), "provider_id": "SM1"}
    DirectMessage.objects.filter(pk=message.pk).update(**usual | fields)
    message.refresh_from_db()
    return message


def generic(client: Client, kind: str, event_id: str = "e-1", secret: str = SECRET, **data: str) -> int:
    body = json.dumps({"type": kind, "data": data})
    now = datetime.now(UTC)
    headers = {
        "webhook-id": event_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(secret).sign(event_id, now, body),
    }
    return client.post("/callbacks/generic/", body, content_type="application/json", headers=headers).status_code
