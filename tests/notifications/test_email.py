"""The email channel against a real mail server: what it says about each answer, and that it keeps its connection."""

import smtplib
import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from email import message_from_bytes
from email.policy import default
from typing import Any

import pytest

from notifications.channels import email
from notifications.channels.base import Attachment, Busy, Down, Message, Refused, Unknown
from tests.mail_server import MailServer
from tests.provider import GIVES_UP, Request, drip, serving

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
    controller = MailServer(handler)
    controller.start()
    settings.EMAIL_BACKEND = "notifications.channels.smtp.ExactBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", controller.port
    yield handler
    email.close()
    controller.stop()


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
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound and not listening: refuses, and nobody else gets the port
        settings.EMAIL_HOST, settings.EMAIL_PORT = closed.getsockname()
        with pytest.raises(Busy, match="no connection"):
            email.send(MESSAGE, idempotency_key="k1")


def test_a_refused_password_is_ours_to_mend(handler: Handler, monkeypatch) -> None:
    def login(*_: object) -> None:
        raise smtplib.SMTPAuthenticationError(535, b"no")

    monkeypatch.setattr(smtplib.SMTP, "sendmail", login)
    with pytest.raises(Busy, match="535"):
        email.send(MESSAGE, idempotency_key="k1")


def test_attachments_and_headers_travel_with_the_mail(handler: Handler) -> None:
    invitation = Attachment(
        "visit.ics", "text/calendar; method=REQUEST", "BEGIN:VCALENDAR\r\nSUMMARY:Ähre\r\n".encode()
    )
    one_click = {"List-Unsubscribe": "<https://x.example/u>", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"}
    email.send(replace(MESSAGE, attachments=(invitation,), headers=one_click), idempotency_key="k1")
    mail = message_from_bytes(handler.mails[0].content, policy=default)
    assert {name: mail[name] for name in one_click} == one_click
    (part,) = mail.iter_attachments()
    assert part.get_content_type() == "text/calendar"
    assert part.get_param("method") == "REQUEST"
    assert part.get_filename() == "visit.ics"
    assert "SUMMARY:Ähre" in part.get_content()


@pytest.mark.parametrize("header", ["List-Unsubscribe", "Subject"])
def test_a_header_cannot_smuggle_another(handler: Handler, header: str) -> None:
    evil = "x\r\nBcc: eve@example.com"
    with pytest.raises(Refused):
        email.send(replace(MESSAGE, headers={header: evil}), idempotency_key="k1")
    assert handler.mails == []


@pytest.mark.parametrize(
    ("reply", "cause"),
    [
        ("550 5.1.1 no such user", "bounce"),
        ("550 5.1.10 null MX", "bounce"),
        ("550 5.2.1 disabled", "bounce"),
        ("550 5.7.1 we do not like you", ""),  # a policy: the mailbox may well be there
        ("552 5.2.2 full", ""),
        ("550 no", ""),
        ("550 5.1.15 something newer", ""),
    ],
)
def test_a_mailbox_that_does_not_exist_is_left_alone_from_then_on(handler: Handler, reply: str, cause: str) -> None:
    handler.rcpt = reply
    with pytest.raises(Refused) as caught:
        email.send(MESSAGE, idempotency_key="k1")
    assert caught.value.suppress == cause


@pytest.mark.parametrize("when", ["before the mail", "after the mail"])
def test_a_server_that_drips_has_its_time(settings, when: str) -> None:
    settings.EMAIL_BACKEND = "notifications.channels.smtp.ExactBackend"
    # After the mail: once it was handed over, which on a busy machine takes its time.
    settings.EMAIL_TOTAL_TIMEOUT = 0.2 if when == "before the mail" else 2

    def speak(sock: socket.socket) -> bool:
        sock.sendall(b"220 here\r\n")
        sock.recv(1000)
        if when == "after the mail":
            for answer in (b"250 hello\r\n", b"250 ok\r\n", b"250 ok\r\n", b"354 go on\r\n"):
                sock.sendall(answer)
                sock.recv(100_000)
        drip(b"", b"250-and\r\n")(sock, Request("", {}, b""))
        return True

    with serving() as server:
        server.on_connect = speak
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", server.port
        began = time.monotonic()
        with pytest.raises(Down if when == "before the mail" else Unknown):
            email.send(MESSAGE, idempotency_key="k1")
        assert time.monotonic() - began < GIVES_UP


def test_a_backend_that_cannot_tell_how_far_it_came_leaves_a_doubt(monkeypatch, settings) -> None:
    """Only our SMTP backend tells; when an API's connection breaks, the mail may be sent."""

    def broken(*_: object) -> None:
        raise ConnectionResetError

    monkeypatch.setattr("django.core.mail.backends.locmem.EmailBackend.send_messages", broken)
    with pytest.raises(Unknown, match="ConnectionResetError"):
        email.send(MESSAGE, idempotency_key="k1")
