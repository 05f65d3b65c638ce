"""Webhooks against real servers on loopback: what is sent, where it may go, and what each answer means."""

import json
import socket
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook

from notifications.channels import targets, webhook
from notifications.channels.base import Busy, Down, Message, Refused, Throttled, Unknown
from notifications.channels.http import retry_after
from tests.provider import CERTIFICATE, Provider, drip, hang, raw, reply, reset, serving

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
QUICK = {"connect": 0.5, "read": 0.4, "total": 0.8, "body": 1000}


@pytest.fixture
def receiver(settings) -> Iterator[Provider]:
    settings.WEBHOOK_ALLOW_PRIVATE = True
    settings.WEBHOOK_LIMITS = QUICK
    with serving() as provider:
        provider.answer = reply(200)
        yield provider


def message(url: str, secret: str = SECRET) -> Message:
    return Message(
        to=f"{url}/hook", subject="Grüße", text="Alice, tomorrow", metadata={"booking": "b-1"}, secret=secret
    )


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
    assert retry_after("120", now) == timedelta(minutes=2)
    assert retry_after(format_datetime(now + timedelta(hours=1), usegmt=True), now) == timedelta(hours=1)
    assert retry_after(format_datetime(now - timedelta(hours=1), usegmt=True), now) == timedelta()
    assert retry_after("9" * 30, now) == timedelta(days=1)
    assert [retry_after(bad, now) for bad in (None, "", "soon", "-5", "1.5", "٣")] == [None] * 6


# --- Servers that do not behave ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(hang, id="hangs"),
        pytest.param(reset, id="resets after the request"),
        pytest.param(raw(b""), id="closes without a word"),
        pytest.param(raw(b"SSH-2.0-OpenSSH_9.6\r\n"), id="is no web server"),
        pytest.param(raw(b"\x00\xff" * 5000), id="garbage"),
        pytest.param(raw(b"HTTP/1.1 2"), id="breaks off in the status"),
        pytest.param(drip(b"HT", b""), id="begins to answer"),
        pytest.param(drip(b"", b"HTTP/1.1 100 Continue\r\n\r\n"), id="continues for ever"),
    ],
)
def test_a_request_without_a_whole_answer_is_unknown_and_ends_in_time(receiver: Provider, answer: Any) -> None:
    receiver.answer = answer
    began = time.monotonic()
    with pytest.raises(Unknown):
        webhook.send(message(receiver.url), idempotency_key="d-1")
    assert time.monotonic() - began < QUICK["total"] + 0.5
    assert len(receiver.log) == 1


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(drip(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n", b"x"), id="drips a body"),
        pytest.param(reply(200, b"x" * 5_000_000), id="says far too much"),
        pytest.param(drip(b"HTTP/1.1 200 OK\r\n", b"x-more: 1\r\n"), id="drips headers for ever"),
        pytest.param(raw(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nx"), id="breaks off in the body"),
    ],
)
def test_a_yes_is_a_yes_whatever_follows_it(receiver: Provider, answer: Any) -> None:
    receiver.answer = answer
    began = time.monotonic()
    webhook.send(message(receiver.url), idempotency_key="d-1")
    assert time.monotonic() - began < QUICK["total"] + 0.5
    receiver.answer = reply(200)
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
    settings.WEBHOOK_LIMITS, settings.WEBHOOK_ALLOW_PRIVATE = QUICK, True
    with serving(tls=True) as provider:
        with pytest.raises(Down):
            webhook.send(message(provider.url), idempotency_key="d-1")
        assert provider.log == []


def test_one_connection_carries_many_messages_over_tls(settings) -> None:
    settings.WEBHOOK_LIMITS, settings.WEBHOOK_ALLOW_PRIVATE = QUICK, True
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

PRIVATE = [
    "127.0.0.1",
    "127.8.8.8",
    "0.0.0.0",
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "100.64.0.1",
    "100.100.100.200",
    "169.254.169.254",
    "192.0.0.1",
    "192.0.0.192",
    "192.0.2.1",
    "198.18.0.1",
    "198.51.100.7",
    "203.0.113.9",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "168.63.129.16",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:0:127.0.0.1",
    "64:ff9b::127.0.0.1",
    "64:ff9b::a9fe:a9fe",
    "2002:7f00:1::",
    "2002:a9fe:a9fe::",
    "2001:0:7f00:1::",
    "2001:0:4136:e378:8000:63bf:80ff:fffe",
    "fe80::1",
    "fe80::1%eth0",
    "fc00::1",
    "fd00::1",
    "fd00:ec2::254",
    "ff02::1",
    "2001:db8::1",
    "100::1",
    "fec0::1",
]
PUBLIC = ["93.184.216.34", "8.8.8.8", "2606:2800:220:1:248:1893:25c8:1946", "::ffff:8.8.8.8", "64:ff9b::808:808"]


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_that_is_not_public_is_never_reached(address: str) -> None:
    assert not targets.is_public(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_may_be_reached(address: str) -> None:
    assert targets.is_public(address)


HOSTS = [
    "127.0.0.1",
    "localhost",
    "LOCALHOST",
    "localhost.",
    "127.1",
    "0",
    "0.0.0.0",
    "2130706433",
    "0x7f000001",
    "0x7f.1",
    "017700000001",
    "0177.0.0.1",
    "[::1]",
    "[::]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[0:0:0:0:0:ffff:127.0.0.1]",
    "127.0.0.1.",
    "127.000.000.001",
]


@pytest.mark.parametrize("host", HOSTS)
def test_no_spelling_of_loopback_gets_a_connection(settings, host: str) -> None:
    settings.WEBHOOK_LIMITS = QUICK
    with serving(tls=True) as provider:
        with pytest.raises((Refused, Down)):
            webhook.send(message(f"https://{host}:{provider.port}"), idempotency_key="d-1")
        assert provider.connections == 0


@pytest.mark.parametrize(
    "url",
    [
        "http://receiver.example/",
        "file:///etc/passwd",
        "gopher://127.0.0.1:6379/_FLUSHALL",
        "ftp://receiver.example/",
        "//receiver.example/",
        "https:///hook",
        "https://user:password@receiver.example/",
        "https://receiver.example@127.0.0.1/",
        "https://receiver.example\\@127.0.0.1/",
        "https://receiver.example:22/",
        "https://receiver.example:99999/",
        "https://127。0。0。1/",
        "https://ⓔxample.com/",
        "https://receiver.example/\r\nHost: other",
        "https://[::1/",
    ],
)
def test_an_address_of_another_kind_is_refused_before_any_name_is_resolved(url: str, monkeypatch) -> None:
    def never(*_: Any, **__: Any) -> Any:
        raise AssertionError("resolved")

    monkeypatch.setattr(socket, "getaddrinfo", never)
    with pytest.raises(Refused):
        webhook.send(Message(to=url, subject="", text="", secret=SECRET), idempotency_key="d-1")


def test_a_resolver_that_changes_its_mind_leads_nowhere(settings, monkeypatch) -> None:
    """DNS rebinding: public when it is judged, loopback when somebody connects. Nobody asks twice here."""
    settings.WEBHOOK_LIMITS, settings.WEBHOOK_CA_FILE = QUICK, str(CERTIFICATE)
    asked: list[str] = []
    with serving(tls=True) as provider:
        provider.answer = reply(200)

        def resolve(host: str, port: int, *_: Any, **__: Any) -> Any:
            asked.append(host)
            address = "198.41.0.4" if len(asked) == 1 else "127.0.0.1"
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

        reached: list[Any] = []

        def connect(self: socket.socket, target: Any) -> None:
            reached.append(target)
            raise TimeoutError

        monkeypatch.setattr(socket, "getaddrinfo", resolve)
        monkeypatch.setattr(socket.socket, "connect", connect)
        with pytest.raises(Down):
            webhook.send(message(f"https://receiver.example:{provider.port}"), idempotency_key="d-1")
        monkeypatch.undo()
        assert asked == ["receiver.example"]
        assert reached == [("198.41.0.4", provider.port)]
        assert provider.connections == 0


def test_one_private_address_among_public_ones_is_enough_to_refuse(settings, monkeypatch) -> None:
    settings.WEBHOOK_LIMITS = QUICK
    with serving(tls=True) as provider:
        answers = [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, provider.port))
            for address in ("198.41.0.4", "127.0.0.1")
        ]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answers)
        with pytest.raises(Refused, match="not public"):
            webhook.send(message(f"https://receiver.example:{provider.port}"), idempotency_key="d-1")
        assert provider.connections == 0


def test_the_name_is_still_what_the_certificate_is_checked_against(settings, monkeypatch) -> None:
    settings.WEBHOOK_LIMITS, settings.WEBHOOK_CA_FILE = QUICK, str(CERTIFICATE)
    settings.WEBHOOK_ALLOW_PRIVATE = True
    with serving(tls=True) as provider:
        provider.answer = reply(200)
        here = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", provider.port))]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: here)
        webhook.send(message(f"https://receiver.example:{provider.port}"), idempotency_key="d-1")
        assert provider.log[0].headers["host"] == f"receiver.example:{provider.port}"
        with pytest.raises(Down):
            webhook.send(message(f"https://other.example:{provider.port}"), idempotency_key="d-2")
        assert len(provider.log) == 1


def test_neither_error_nor_message_tells_what_is_personal(receiver: Provider) -> None:
    receiver.answer = reply(400, b"Alice, tomorrow")
    with pytest.raises(Busy) as caught:
        webhook.send(message(receiver.url), idempotency_key="d-1")
    assert caught.value.__cause__ is None
    for word in ("Alice", "Grüße", "127.0.0.1", SECRET):
        assert word not in f"{caught.value!r} {message(receiver.url)!r}"
    assert json.loads(receiver.log[0].body)["data"]["text"] == "Alice, tomorrow"
