"""Where a webhook may go: public addresses only, the one that was judged, whatever its name says."""

import socket
from typing import Any

import pytest

from notifications.channels import targets, webhook
from notifications.channels.base import Down, Message, Refused
from tests.notifications.hooking import QUICK, SECRET, message
from tests.provider import CERTIFICATE, PATIENT, reply, serving

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
    settings.WEBHOOK_LIMITS, settings.WEBHOOK_CA_FILE = PATIENT, str(CERTIFICATE)
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
