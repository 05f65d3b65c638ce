"""Providers of email that are an HTTP API, through Anymail: how far a request came, and what their errors mean.

Used by `email`. Anymail builds the request and reads the answer; the request itself goes over our own client, which has
a limit in all and knows whether anything was sent. Anymail's exceptions print recipients, so none of them gets out.
"""

import json
from datetime import timedelta
from typing import Any

import requests
from anymail.exceptions import AnymailConfigurationError, AnymailError, AnymailRecipientsRefused
from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.core.mail.backends.base import BaseEmailBackend
from requests.adapters import BaseAdapter
from requests.structures import CaseInsensitiveDict

from notifications.channels import http
from notifications.channels.base import Busy, Down, Receipt, Refused, Throttled, Unknown

BACKENDS = "anymail.backends."
CALM = timedelta(seconds=30)
IDEMPOTENCY_HEADERS = {"resend": "Idempotency-Key"}  # the only one of Anymail's providers that has one

# (provider, code in its answer): an exception and, for Refused, a cause to suppress the address. "" is any provider.
CODES: dict[tuple[str, str], tuple[type[Exception], str]] = {
    ("postmark", "10"): (Down, ""),  # bad token
    ("postmark", "400"): (Down, ""),  # sender signature not found
    ("postmark", "401"): (Down, ""),  # sender signature not confirmed
    ("postmark", "405"): (Down, ""),  # out of credits
    ("postmark", "412"): (Down, ""),  # account pending approval
    ("brevo", "not_enough_credits"): (Down, ""),
    ("brevo", "account_under_validation"): (Down, ""),
    ("brevo", "permission_denied"): (Down, ""),
    ("resend", "rate_limit_exceeded"): (Throttled, ""),
    ("resend", "daily_quota_exceeded"): (Throttled, ""),
    ("resend", "monthly_quota_exceeded"): (Down, ""),
    ("resend", "concurrent_idempotent_requests"): (Busy, ""),
    ("resend", "invalid_idempotent_request"): (Unknown, ""),  # the key was used for other words: it was sent once
    ("resend", "invalid_from_address"): (Down, ""),
}
STATUSES: dict[int, type[Exception]] = {
    **dict.fromkeys((401, 402, 403, 404, 405), Down),  # our key, our account, our domain
    **dict.fromkeys((408, 409, 425), Busy),
    429: Throttled,
    503: Down,
}

client = http.Client(lambda address: True)


class _Adapter(BaseAdapter):
    """requests' way to send, over our client. NotReached and NoAnswer pass through Anymail, which knows neither."""

    def send(self, request: Any, **_: Any) -> requests.Response:  # type: ignore[override]
        body = request.body.encode() if isinstance(request.body, str) else request.body
        answer = client.request(
            request.method, request.url, request.headers, body, http.Limits(**settings.EMAIL_LIMITS)
        )
        if not answer.whole:
            raise http.NoAnswer("the answer broke off")
        response = requests.Response()
        response.status_code, response.url, response.request = answer.status, request.url, request
        response.headers = CaseInsensitiveDict(answer.headers)
        response.encoding, response._content = "utf-8", answer.body
        return response

    def close(self) -> None:
        client.forget()


def used() -> bool:
    return bool(settings.EMAIL_BACKEND.startswith(BACKENDS))


def name() -> str:
    """postmark, mailgun, ..."""
    return str(settings.EMAIL_BACKEND.removeprefix(BACKENDS).partition(".")[0])


def limit(backend: BaseEmailBackend) -> None:
    """Let an opened backend's requests go over our client. Amazon's has no session: boto has limits of its own."""
    session = getattr(backend, "session", None)
    if isinstance(session, requests.Session):
        session.mount("https://", _Adapter())
        session.mount("http://", _Adapter())


def hand_over(mail: EmailMultiAlternatives, backend: BaseEmailBackend) -> Receipt:
    """Raises Busy, Refused or Unknown, see `base`."""
    session, header = getattr(backend, "session", None), IDEMPOTENCY_HEADERS.get(name())
    if session is not None and header:
        session.headers[header] = mail.metadata["delivery"]  # type: ignore[attr-defined]
    try:
        sent = backend.send_messages([mail])
    except http.NotReached as exc:
        raise Down(f"the mail provider is not reached: {exc}") from None
    except http.NoAnswer as exc:
        raise Unknown(f"the mail provider did not answer: {exc}") from None
    except AnymailRecipientsRefused:
        raise _refused(mail) from None
    except AnymailConfigurationError as exc:
        raise Down(f"the mail provider is not configured: {type(exc).__name__}") from None
    except AnymailError as exc:
        raise _verdict(exc) from None
    status = mail.anymail_status  # type: ignore[attr-defined]
    if sent == 1 and set(status.status or ()) <= {"sent", "queued"} and status.status:
        return Receipt(provider_id=str(status.message_id or mail.extra_headers["Message-ID"])[:255])
    if set(status.status or ()) & {"failed", "invalid", "rejected"}:
        raise _refused(mail)
    raise Unknown("the mail provider's answer names no recipient")


# Those that also say rejected when it is our sender, our domain or our text that they do not like: every customer would
# be barred for a day's mistake of ours. Provider: the reasons that are the recipient's.
RECIPIENTS = {"mandrill": {"hard-bounce", "spam", "unsub"}, "sparkpost": set[str]()}


def _refused(mail: EmailMultiAlternatives) -> Refused:
    """`invalid` is no address; `rejected` is one that bounced, complained or is on the provider's own list."""
    status = mail.anymail_status  # type: ignore[attr-defined]
    found = set(status.status or ())
    cause = "bounce" if found == {"invalid"} else "blocked" if "rejected" in found else ""
    if cause == "blocked" and name() in RECIPIENTS and _reason(status.esp_response) not in RECIPIENTS[name()]:
        cause = ""
    return Refused(f"the mail provider answered: {', '.join(sorted(found))}", suppress=cause)


def _reason(response: Any) -> str:
    """Of the one recipient that there is, as Mandrill tells it."""
    try:
        return str(response.json()[0]["reject_reason"])
    except (AttributeError, LookupError, TypeError, ValueError):
        return ""


def _verdict(exc: AnymailError) -> Exception:
    """By the provider's code, else by the HTTP status. Its words may hold the address: they are left out."""
    response: Any = exc.response
    if isinstance(exc, ValueError) and response is None:  # an address, or a header that the provider cannot carry
        return Refused(f"no mail can be made of it: {type(exc).__name__}")
    status = getattr(response, "status_code", None)
    if status is None or status < 400:  # taken, perhaps, and the answer cannot be read
        return Unknown(f"the mail provider's answer cannot be read: {type(exc).__name__}")
    code = _code(response)
    raised, cause = CODES.get((name(), code), (STATUSES.get(status, Refused if status < 500 else Unknown), ""))
    why = f"the mail provider answered {status} {code if (name(), code) in CODES else ''}".strip()
    wait = http.retry_after(response.headers.get("Retry-After"))
    if raised is Throttled:
        return Throttled(why, wait or CALM)
    if raised is Refused:
        return Refused(why, cause)
    return Unknown(why) if raised is Unknown else Down(why, wait) if raised is Down else Busy(why, wait)


def _code(response: Any) -> str:
    """What providers call their error: ErrorCode (Postmark), code (Brevo), name (Resend)."""
    try:
        found = json.loads(response.content)
    except ValueError:
        return ""
    words = [found.get(key) for key in ("ErrorCode", "code", "name")] if isinstance(found, dict) else []
    return next((str(word) for word in words if word not in (None, "")), "")


SIGNED = {  # the setting by which a provider's callbacks are checked, beside Anymail's own WEBHOOK_SECRET
    "mailersend": "MAILERSEND_SIGNING_SECRET",
    "mailgun": "MAILGUN_WEBHOOK_SIGNING_KEY",
    "mandrill": "MANDRILL_WEBHOOK_KEY",
    "postal": "POSTAL_WEBHOOK_KEY",
    "resend": "RESEND_SIGNING_SECRET",
}


def callbacks_secured() -> bool:
    """Whether there is anything to check a callback by. Without it nobody is believed."""
    return bool(settings.ANYMAIL.get("WEBHOOK_SECRET") or settings.ANYMAIL.get(SIGNED.get(name(), "")))
