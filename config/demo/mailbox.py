"""A mail server for one run: takes every mail on a free port of 127.0.0.1 and shows it to nobody but us.

Used by demo.py; the stack is pointed at it by EMAIL_URL. Promise: a mail that the sender was told is accepted
is in `mails`, with the moment at which it arrived.
"""

import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from email import message_from_bytes, policy
from types import TracebackType
from typing import Any, Self

from aiosmtpd.controller import Controller

from config.stack import ports

HOST = "127.0.0.1"


class MailboxError(Exception):
    """The mail server cannot start. The message says why."""


@dataclass(frozen=True)
class Mail:
    """One accepted mail."""

    message_id: str  # as in its header, with the angle brackets
    recipients: tuple[str, ...]  # of the envelope: where it really went
    subject: str
    arrived_at: datetime

    @property
    def delivery_id(self) -> str:
        """The Message-ID without what only mail needs: the id of the delivery."""
        return self.message_id.strip("<> ").partition("@")[0]


class Mailbox:
    """Listens from `__enter__` to `__exit__`, in a thread of its own."""

    def __init__(self) -> None:
        self._mails: list[Mail] = []
        self._lock = threading.Lock()
        self._controller: Controller | None = None
        self.port = ports.free()[0]

    @property
    def url(self) -> str:
        """What EMAIL_URL has to say."""
        return f"smtp://{HOST}:{self.port}"

    @property
    def mails(self) -> list[Mail]:
        """All that arrived so far, in order."""
        with self._lock:
            return list(self._mails)

    def __enter__(self) -> Self:
        self._controller = Controller(self, hostname=HOST, port=self.port)
        try:
            self._controller.start()
        except (OSError, RuntimeError) as error:  # TimeoutError is an OSError
            self._close()
            raise MailboxError(f"The demo's mail server cannot listen on {self.url}: {error}") from error
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self._close()

    def _close(self) -> None:
        if self._controller:
            self._controller.stop(no_assert=True)
            self._controller.loop.close()  # its own thread does so only after a start that went well

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        parsed = message_from_bytes(envelope.content, policy=policy.default)
        mail = Mail(
            message_id=str(parsed.get("Message-ID", "")),
            recipients=tuple(envelope.rcpt_tos),
            subject=str(parsed.get("Subject", "")),
            arrived_at=datetime.now(UTC),
        )
        with self._lock:
            self._mails.append(mail)
        return "250 OK"
