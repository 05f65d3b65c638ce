"""Webhooks against real servers on loopback: what is sent, and what each answer means."""

import json
import socket
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook

from notifications.channels import http, webhook
from notifications.channels.base import Busy, Down, Refused, Throttled, Unknown
from tests.notifications.hooking import QUICK, SECRET, message
from tests.provider import (
    CERTIFICATE,
    DRIPPING,
    GIVES_UP,
    HANGING,
    PATIENT,
    Provider,
    drip,
    hang,
    raw,
    reply,
    reset,
    serving,
)


@pytest.fixture
def receiver(settings) -> Iterator[Provider]:
    settings.WEBHOOK_ALLOW_PRIVATE = True
    settings.WEBHOOK_LIMITS = PATIENT
    with serving() as provider:
        provider.answer = reply(200)
        yield provider


def test_a_message_is_signed_so_that_an_independent_receiver_believes_it(receiver: Provider) -> None:
    receipt = webhook.send(message(receiver.url), idempotency_key="d-1")
    (request,) = receiver.log
    assert request.line == "POST /hook HTTP/1.1"
    assert request.headers["webhook-id"] == "d-1" == receipt.provider_id
    content: Any = Webhook(SECRET).verify(request.body, request.headers)
    assert content["type"] == "reminder"
    assert content["data"] == {"booking": "b-1", "subject": "Grüße", "text": "Alice, tomorrow"}


def test_while_a_secret_changes_both_sign(receiver: Provider) -> None:
    new = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
    webhook.send(message(receiver.url, f"{new} {SECRET}"), idempotency_key="d-1")
    for secret in (new, SECRET):
        Webhook(secret).verify(receiver.log[0].body, receiver.log[0].headers)


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_not base64!"])
def test_nothing_is_sent_unsigned(receiver: Provider, secret: str) -> None:
    with pytest.raises(Refused, match="secret"):
        webhook.send(message(receiver.url, secret), idempotency_key="d-1")
    assert receiver.connections == 0


@pytest.mark.parametrize(
    ("status", "error"),
    [
        *((status, None) for status in (200, 201, 202, 204)),
        *((status, Refused) for status in (301, 302, 307, 410)),
        *((status, Busy) for status in (400, 401, 404, 408, 409, 422)),
        *((status, Down) for status in (500, 501, 503)),
        *((status, Unknown) for status in (502, 504)),
        (429, Throttled),
    ],
)
def test_each_status_means_what_it_says(receiver: Provider, status: int, error: type[Exception] | None) -> None:
    receiver.answer = reply(status, location="http://127.0.0.1:1/elsewhere")
    if error is None:
        webhook.send(message(receiver.url), idempotency_key="d-1")
    else:
        with pytest.raises(error) as caught:
            webhook.send(message(receiver.url), idempotency_key="d-1")
        assert type(caught.value) is error
        assert "127.0.0.1" not in str(caught.value)
        assert getattr(caught.value, "suppress", "") == ("bounce" if status == 410 else "")
    assert len(receiver.log) == 1  # no redirect followed, nothing tried again


def test_a_receiver_says_how_long_to_wait(receiver: Provider) -> None:
    for status, said in ((429, "7"), (503, "7")):
        receiver.answer = reply(status, retry_after=said)
        with pytest.raises(Busy) as caught:
            webhook.send(message(receiver.url), idempotency_key="d-1")
        assert caught.value.retry_after == timedelta(seconds=7)


def test_retry_after_is_seconds_or_a_date() -> None:
    now = datetime(2026, 7, 1, 12, tzinfo=UTC)
    assert http.retry_after("120", now) == timedelta(minutes=2)
    assert http.retry_after(format_datetime(now + timedelta(hours=1), usegmt=True), now) == timedelta(hours=1)
    assert http.retry_after(format_datetime(now - timedelta(hours=1), usegmt=True), now) == timedelta()
    assert http.retry_after("9" * 30, now) == timedelta(days=1)
    assert [http.retry_after(bad, now) for bad in (None, "", "soon", "-5", "1.5", "٣")] == [None] * 6


# --- Servers that do not behave ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limits", "answer"),
    [
        pytest.param(HANGING, hang, id="hangs"),
        pytest.param(PATIENT, reset, id="resets after the request"),
        pytest.param(PATIENT, raw(b""), id="closes without a word"),
        pytest.param(PATIENT, raw(b"SSH-2.0-OpenSSH_9.6\r\n"), id="is no web server"),
        pytest.param(PATIENT, raw(b"\x00\xff" * 5000), id="garbage"),
        pytest.param(PATIENT, raw(b"HTTP/1.1 2"), id="breaks off in the status"),
        pytest.param(HANGING, drip(b"HT", b""), id="begins to answer"),
        pytest.param(DRIPPING, drip(b"", b"HTTP/1.1 100 Continue\r\n\r\n"), id="continues for ever"),
    ],
)
def test_a_request_without_a_whole_answer_is_unknown_and_ends_in_time(
    receiver: Provider, settings: Any, limits: dict[str, float], answer: Any
) -> None:
    settings.WEBHOOK_LIMITS, receiver.answer = limits, answer
    began = time.monotonic()
    with pytest.raises(Unknown):
        webhook.send(message(receiver.url), idempotency_key="d-1")
    assert time.monotonic() - began < GIVES_UP
    assert receiver.asked() == 1


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(drip(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n", b"x"), id="drips a body"),
        pytest.param(reply(200, b"x" * 5_000_000), id="says far too much"),
        pytest.param(drip(b"HTTP/1.1 200 OK\r\n", b"x-more: 1\r\n"), id="drips headers for ever"),
        pytest.param(raw(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nx"), id="breaks off in the body"),
    ],
)
def test_a_yes_is_a_yes_whatever_follows_it(receiver: Provider, settings: Any, answer: Any) -> None:
    settings.WEBHOOK_LIMITS, receiver.answer = DRIPPING | {"body": 1000}, answer
    began = time.monotonic()
    webhook.send(message(receiver.url), idempotency_key="d-1")
    assert time.monotonic() - began < GIVES_UP
    settings.WEBHOOK_LIMITS, receiver.answer = PATIENT, reply(200)
    webhook.send(message(receiver.url), idempotency_key="d-2")  # not on the spoilt connection
    assert [request.headers["webhook-id"] for request in receiver.log] == ["d-1", "d-2"]


def test_before_the_request_nothing_was_sent(receiver: Provider, settings) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound and not listening: refuses
        with pytest.raises(Down):
            webhook.send(message(f"http://127.0.0.1:{closed.getsockname()[1]}"), idempotency_key="d-1")
    with pytest.raises(Down):
        webhook.send(message("http://no-such-host.invalid"), idempotency_key="d-1")


@pytest.mark.parametrize("how", ["resets", "hangs", "speaks something else"])
def test_a_handshake_that_fails_was_no_request(settings, how: str) -> None:
    settings.WEBHOOK_LIMITS, settings.WEBHOOK_ALLOW_PRIVATE = QUICK, True
    settings.WEBHOOK_CA_FILE = str(CERTIFICATE)

    def on_connect(sock: socket.socket) -> bool:
        if how == "resets":
            sock.recv(1)
            reset(sock)
        elif how == "hangs":
            sock.settimeout(5)
            while sock.recv(65536):
                continue
        else:
            sock.sendall(b"220 mail.example ESMTP\r\n")
        return True

    with serving(tls=True) as provider:
        provider.on_connect = on_connect
        with pytest.raises(Down):
            webhook.send(message(provider.url), idempotency_key="d-1")


def test_a_certificate_that_nobody_vouches_for_gets_no_message(settings) -> None:
    settings.WEBHOOK_LIMITS, settings.WEBHOOK_ALLOW_PRIVATE = PATIENT, True
    with serving(tls=True) as provider:
        with pytest.raises(Down):
            webhook.send(message(provider.url), idempotency_key="d-1")
        assert provider.log == []


def test_one_connection_carries_many_messages_over_tls(settings, monkeypatch) -> None:
    monkeypatch.setattr(http, "FRESH", 600.0)  # a busy machine pauses for longer
    settings.WEBHOOK_LIMITS, settings.WEBHOOK_ALLOW_PRIVATE = PATIENT, True
    settings.WEBHOOK_CA_FILE = str(CERTIFICATE)
    with serving(tls=True) as provider:
        provider.answer = reply(200)
        for n in range(5):
            webhook.send(message(provider.url), idempotency_key=f"d-{n}")
        assert (len(provider.log), provider.connections) == (5, 1)


def test_no_proxy_of_the_environment_sees_a_message(receiver: Provider, monkeypatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    webhook.send(message(receiver.url), idempotency_key="d-1")
    assert len(receiver.log) == 1


# --- Where a message may go ----------------------------------------------------------------------------


def test_neither_error_nor_message_tells_what_is_personal(receiver: Provider) -> None:
    receiver.answer = reply(400, b"Alice, tomorrow")
    with pytest.raises(Busy) as caught:
        webhook.send(message(receiver.url), idempotency_key="d-1")
    assert caught.value.__cause__ is None
    for word in ("Alice", "Grüße", "127.0.0.1", SECRET):
        assert word not in f"{caught.value!r} {message(receiver.url)!r}"
    assert json.loads(receiver.log[0].body)["data"]["text"] == "Alice, tomorrow"
