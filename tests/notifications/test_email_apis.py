"""Providers of email by their APIs: Anymail's own backends against a provider on loopback."""

import json
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from notifications.channels import email, http
from notifications.channels.base import Attachment, Busy, Down, Message, Refused, Throttled, Unknown
from tests.provider import (
    DRIPPING,
    GIVES_UP,
    HANGING,
    PATIENT,
    Behaviour,
    Provider,
    drip,
    hang,
    raw,
    reply,
    reset,
    serving,
)

MESSAGE = Message(
    to="alice@example.com",
    subject="Grüße",
    text="Alice, tomorrow",
    html="<p>Alice</p>",
    attachments=(Attachment("visit.ics", "text/calendar; method=REQUEST", b"BEGIN:VCALENDAR\r\n"),),
    headers={"List-Unsubscribe": "<https://punctual.example/u/1>"},
)
TAKEN = {"postmark": {"To": "alice@example.com", "MessageID": "pm-1", "ErrorCode": 0, "Message": "OK"}}
TAKEN |= {"resend": {"id": "re-1"}, "brevo": {"messageId": "<b-1@x>"}}
TAKEN |= {"mailgun": {"id": "<mg-1@x>", "message": "Queued"}}
INACTIVE = "Found inactive addresses: alice@example.com.\nInactive recipients are ones that have bounced."
INVALID = "Invalid 'To' address: 'alice@example.com'."
IDS = {"postmark": "pm-1", "resend": "re-1", "brevo": "<b-1@x>", "mailgun": "<mg-1@x>"}


def says(status: int, content: object, **headers: str) -> Behaviour:
    return reply(status, json.dumps(content).encode(), content_type="application/json", **headers)


@pytest.fixture
def using(settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Provider]]:
    monkeypatch.setattr(http, "FRESH", 600.0)  # a busy machine pauses for longer
    settings.EMAIL_LIMITS = PATIENT
    with serving() as provider:

        def choose(name: str) -> Provider:
            settings.EMAIL_BACKEND = f"anymail.backends.{name}.EmailBackend"
            upper = name.upper()
            settings.ANYMAIL = {
                f"{upper}_API_URL": f"{provider.url}/",
                f"{upper}_API_KEY": "key",
                "POSTMARK_SERVER_TOKEN": "key",
                "MAILGUN_SENDER_DOMAIN": "example.com",
                "IGNORE_UNSUPPORTED_FEATURES": True,
            }
            provider.answer = says(200, TAKEN[name])
            return provider

        yield choose


@pytest.mark.parametrize("name", sorted(TAKEN))
def test_a_mail_is_taken_under_the_providers_id(using: Any, name: str) -> None:
    provider = using(name)
    for n in range(3):
        assert email.send(MESSAGE, idempotency_key=f"d-{n}").provider_id == IDS[name]
    assert (len(provider.log), provider.connections) == (3, 1)
    body = provider.log[0].body.decode()
    for part in ("alice@example.com", "d-0", "visit.ics", "https://punctual.example/u/1"):
        assert part in body


def test_where_a_provider_knows_keys_it_gets_ours(using: Any) -> None:
    provider = using("resend")
    for key in ("d-1", "d-2"):
        email.send(MESSAGE, idempotency_key=key)
    assert [request.headers["idempotency-key"] for request in provider.log] == ["d-1", "d-2"]


@pytest.mark.parametrize(
    ("name", "status", "content", "error", "suppress"),
    [
        ("postmark", 422, {"ErrorCode": 406, "Message": INACTIVE}, Refused, "blocked"),
        ("postmark", 422, {"ErrorCode": 406, "Message": "in other words"}, Unknown, ""),
        ("postmark", 422, {"ErrorCode": 300, "Message": INVALID}, Refused, "bounce"),
        ("postmark", 422, {"ErrorCode": 300, "Message": "Invalid 'From' address: 'x'."}, Refused, ""),
        ("postmark", 401, {"ErrorCode": 10, "Message": "Bad token"}, Down, ""),
        ("postmark", 422, {"ErrorCode": 405, "Message": "No credits"}, Down, ""),
        ("postmark", 429, {"ErrorCode": 429}, Throttled, ""),
        ("postmark", 500, {"ErrorCode": 500}, Unknown, ""),
        ("postmark", 503, {}, Down, ""),
        ("postmark", 502, "<html>", Unknown, ""),
        ("brevo", 400, {"code": "not_enough_credits"}, Down, ""),
        ("brevo", 400, {"code": "invalid_parameter", "message": "alice@example.com"}, Refused, ""),
        ("resend", 429, {"name": "daily_quota_exceeded"}, Throttled, ""),
        ("resend", 409, {"name": "concurrent_idempotent_requests"}, Busy, ""),
        ("resend", 409, {"name": "invalid_idempotent_request"}, Unknown, ""),
        ("resend", 403, {"name": "invalid_from_address"}, Down, ""),
        ("mailgun", 401, "Forbidden", Down, ""),
        ("mailgun", 400, {"message": "to parameter is not a valid address"}, Refused, ""),
    ],
)
def test_each_error_means_what_it_says(
    using: Any, name: str, status: int, content: object, error: type[Exception], suppress: str
) -> None:
    provider = using(name)
    provider.answer = says(status, content, retry_after="9")
    with pytest.raises(error) as caught:
        email.send(MESSAGE, idempotency_key="d-1")
    assert type(caught.value) is error
    assert getattr(caught.value, "suppress", "") == suppress
    assert getattr(caught.value, "retry_after", None) in (None, timedelta(seconds=9))
    assert caught.value.__cause__ is None
    for personal in ("alice", "Alice", "key"):
        assert personal not in repr(caught.value)
    assert len(provider.log) == 1
    provider.answer = says(200, TAKEN[name])
    email.send(MESSAGE, idempotency_key="d-2")  # usable afterwards


@pytest.mark.parametrize(
    ("limits", "answer"),
    [
        pytest.param(HANGING, hang, id="hangs"),
        pytest.param(PATIENT, reset, id="resets after the request"),
        pytest.param(PATIENT, raw(b"garbage\r\n"), id="garbage"),
        pytest.param(PATIENT, reply(200, b"<html>"), id="no JSON"),
        pytest.param(DRIPPING, drip(b"HTTP/1.1 200 OK\r\ncontent-length: 99999\r\n\r\n", b" "), id="drips"),
    ],
)
def test_a_request_without_a_whole_answer_is_unknown_and_ends_in_time(
    using: Any, settings: Any, limits: dict[str, float], answer: Behaviour
) -> None:
    provider = using("postmark")
    settings.EMAIL_LIMITS = limits
    provider.answer = answer
    began = time.monotonic()
    with pytest.raises(Unknown):
        email.send(MESSAGE, idempotency_key="d-1")
    assert time.monotonic() - began < GIVES_UP
    assert provider.asked() == 1


def test_before_the_request_nothing_was_sent(using: Any, settings) -> None:
    using("postmark")
    settings.ANYMAIL = settings.ANYMAIL | {"POSTMARK_API_URL": "http://127.0.0.1:1/"}
    with pytest.raises(Down):
        email.send(MESSAGE, idempotency_key="d-1")


def test_a_provider_without_its_settings_is_ours_to_mend(settings) -> None:
    settings.EMAIL_BACKEND, settings.ANYMAIL = "anymail.backends.postmark.EmailBackend", {}
    with pytest.raises(Down, match="not configured"):
        email.send(MESSAGE, idempotency_key="d-1")
