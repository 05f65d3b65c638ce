"""The email channel against a real mail server: what it says about each answer, and that it keeps its connection."""

import smtplib
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from aiosmtpd.controller import Controller

from notifications.channels import email
from notifications.channels.base import Busy, Message, Refused, Unknown

MESSAGE = Message(to="alice@example.com", subject="Grüße", text=".leading dot\nÄhre", html="<p>Ähre</p>")


class Handler:
    def __init__(self) -> None:
        self.rcpt = self.data = ""
        self.mails: list[Any] = []
        self.peers: set[Any] = set()

    async def handle_RCPT(self, server, session, envelope, address, options):
        if self.rcpt:
            return self.rcpt
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        self.peers.add(session.peer)
        if self.data == "vanish":
            self.mails.append(envelope)
            server.transport.abort()
            return "250 never heard"
        if self.data:
            return self.data
        self.mails.append(envelope)
        return "250 OK"


@pytest.fixture
def handler(settings) -> Iterator[Handler]:
    handler = Handler()
    controller = Controller(handler, hostname="127.0.0.1", port=free_port())
    controller.start()
    settings.EMAIL_BACKEND = "notifications.channels.smtp.ExactBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", controller.port
    yield handler
    email.close()
    controller.stop()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_mail_arrives_whole_under_the_given_id(handler: Handler) -> None:
    receipt = email.send(MESSAGE, idempotency_key="k1")
    (envelope,) = handler.mails
    assert receipt.provider_id == "<k1@localhost>"
    assert b"Message-ID: <k1@localhost>" in envelope.content
    assert envelope.rcpt_tos == ["alice@example.com"]
    assert b"\n.leading dot" in envelope.content.replace(b"\r\n", b"\n")


def test_one_connection_carries_many_mails(handler: Handler) -> None:
    for n in range(5):
        email.send(MESSAGE, idempotency_key=f"k{n}")
    assert len(handler.mails) == 5
    assert len(handler.peers) == 1


def test_a_connection_that_the_server_closed_is_opened_again(handler: Handler) -> None:
    email.send(MESSAGE, idempotency_key="k1")
    email._local.backend.connection.sock.shutdown(socket.SHUT_RDWR)
    email.send(MESSAGE, idempotency_key="k2")
    assert len(handler.mails) == 2


@pytest.mark.parametrize(
    ("rcpt", "data", "error"),
    [
        ("550 5.1.1 <alice@example.com> unknown", "", Refused),
        ("450 4.2.0 greylisted", "", Busy),
        ("", "554 5.7.1 spam", Refused),
        ("", "451 4.3.0 try later", Busy),
        ("", "452 4.3.1 full", Busy),
        ("", "vanish", Unknown),
    ],
)
def test_each_answer_means_what_it_says(handler: Handler, rcpt: str, data: str, error: type[Exception]) -> None:
    handler.rcpt, handler.data = rcpt, data
    with pytest.raises(error) as caught:
        email.send(MESSAGE, idempotency_key="k1")
    assert type(caught.value) is error
    assert "alice" not in str(caught.value)
    handler.rcpt = handler.data = ""
    email.send(MESSAGE, idempotency_key="k2")  # the connection is usable, or opened again


def test_no_server_is_busy(settings) -> None:
    settings.EMAIL_BACKEND = "notifications.channels.smtp.ExactBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", free_port()
    with pytest.raises(Busy, match="no connection"):
        email.send(MESSAGE, idempotency_key="k1")


def test_a_refused_password_is_ours_to_mend(handler: Handler, monkeypatch) -> None:
    def login(*_: object) -> None:
        raise smtplib.SMTPAuthenticationError(535, b"no")

    monkeypatch.setattr(smtplib.SMTP, "sendmail", login)
    with pytest.raises(Busy, match="535"):
        email.send(MESSAGE, idempotency_key="k1")
