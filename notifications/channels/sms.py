"""SMS, over Twilio, or over the development outbox where no account is configured.

Called by `reminders.deliver`. Twilio knows no idempotency key: what is doubtful is held until its status callback,
whose address carries the delivery's id, tells what became of it.
"""

import json
import re
from base64 import b64encode
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from twilio.base.exceptions import TwilioException
from twilio.http import HttpClient
from twilio.http.response import Response
from twilio.rest import Client

from notifications.channels import http, loopback, segments
from notifications.channels.base import Busy, Down, Message, Receipt, Refused, Throttled, Unknown
from notifications.channels.twilio_errors import RAISES, SUPPRESS, kind

E164 = re.compile(r"\+[1-9][0-9]{6,14}")
LONGEST = 1600  # characters that Twilio takes
CALM = timedelta(seconds=30)
client = http.Client(lambda address: True, lambda: settings.TWILIO_CA_FILE or None)


def configured() -> bool:
    return bool(settings.TWILIO_ACCOUNT_SID)


def provider(message: Message) -> str:
    return "twilio" if configured() else ""


def send(message: Message, *, idempotency_key: str) -> Receipt:
    """Send one SMS. Raises Busy, Refused or Unknown, see `base`."""
    if not E164.fullmatch(message.to):
        raise Refused("the number is not in E.164 form: +, country code, number")
    if not message.text or len(message.text) > LONGEST:
        raise Refused(f"an SMS has between 1 and {LONGEST} characters, not {len(message.text)}")
    parts = segments.count(message.text)
    if not configured():
        loopback.keep("sms", message, idempotency_key)
        return _receipt(f"outbox:{idempotency_key}", parts, None, "")
    fields: dict[str, Any] = {"to": message.to, "body": message.text}
    if settings.TWILIO_MESSAGING_SERVICE_SID:
        fields["messaging_service_sid"] = settings.TWILIO_MESSAGING_SERVICE_SID
    else:
        fields["from_"] = settings.TWILIO_FROM
    if settings.HTTPS:  # Twilio calls nobody back over an unprotected address
        fields["status_callback"] = f"{settings.PUBLIC_URL}/callbacks/twilio/status/{idempotency_key}/"
    try:
        sent = _api().messages.create(**fields)
    except (TwilioException, ValueError, TypeError, KeyError, AttributeError) as exc:  # 2xx, and no message in it
        raise Unknown(f"Twilio's answer cannot be read: {type(exc).__name__}") from None
    if not isinstance(sent.sid, str) or not sent.sid:
        raise Unknown("Twilio's answer names no message")
    counted = str(sent.num_segments or "")
    return _receipt(
        sent.sid, int(counted) if counted.isdigit() and int(counted) else parts, sent.price, sent.price_unit
    )


def _receipt(sid: str, parts: int, price: Any, unit: Any) -> Receipt:
    """Twilio bills later and then says a negative price; until then SMS_PRICE is what a part costs."""
    try:
        told = abs(Decimal(str(price))) if price else None
    except InvalidOperation:
        told = None
    if told is not None and isinstance(unit, str):
        return Receipt(sid, parts, told, unit[:3].upper())
    if settings.SMS_PRICE is None:
        return Receipt(sid, parts)
    return Receipt(sid, parts, settings.SMS_PRICE * parts, settings.SMS_PRICE_CURRENCY)


def _api() -> Client:
    key = settings.TWILIO_API_KEY, settings.TWILIO_API_SECRET
    user, password = key if all(key) else (settings.TWILIO_ACCOUNT_SID, settings.TWILIO_AUTH_TOKEN)
    return Client(user, password, settings.TWILIO_ACCOUNT_SID, http_client=_Transport())


class _Transport(HttpClient):  # type: ignore[misc]  # the SDK has no types
    """The SDK's requests over our own client: its own has one timeout, no limit in all, and logs what it sends."""

    def __init__(self) -> None:
        super().__init__(logger=None, is_async=False)

    def request(
        self,
        method: str,
        url: str,
        params: Any = None,
        data: Any = None,
        headers: Any = None,
        auth: Any = None,
        timeout: float | None = None,
        allow_redirects: bool = False,
    ) -> Response:
        url = url.replace("https://api.twilio.com", settings.TWILIO_API_BASE, 1)
        signed = {"authorization": f"Basic {b64encode(':'.join(auth).encode()).decode()}"} if auth else {}
        body = urlencode(data, doseq=True).encode() if data else None
        try:
            answer = client.request(
                method, url, {**(headers or {}), **signed}, body, http.Limits(**settings.TWILIO_LIMITS)
            )
        except http.NotReached as exc:
            raise Down(f"Twilio is not reached: {exc}") from None
        except http.NoAnswer as exc:
            raise Unknown(f"Twilio did not answer: {exc}") from None
        if not 200 <= answer.status < 300:
            raise _verdict(answer)
        if not answer.whole:
            raise Unknown("Twilio's answer broke off")
        return Response(answer.status, answer.body.decode("utf-8", "replace"), answer.headers)


def _verdict(answer: http.Answer) -> Exception:
    """By the table. Twilio's words name the number: only its code is repeated."""
    try:
        code = int(json.loads(answer.body)["code"])
    except (ValueError, TypeError, KeyError):
        code = 0
    found = kind(code, answer.status)
    why = f"Twilio {answer.status} {code or ''}: {found.value}"
    wait = http.retry_after(answer.headers.get("Retry-After"))
    raised = RAISES[found]
    if raised is Throttled:
        return Throttled(why, wait or CALM)
    if raised in (Busy, Down):
        return Down(why, wait) if raised is Down else Busy(why, wait)
    return Refused(why, SUPPRESS.get(found, "")) if raised is Refused else Unknown(why)
