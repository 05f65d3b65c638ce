"""A story's clock and its post office: days pass in milliseconds, the worker works, a real mail server takes mails."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.policy import default
from typing import Any

import pytest
from django.db.models import Min

from jobs import dispatcher, testing
from jobs.models import Job
from notifications.channels import email
from tests.conftest import InProcessWorker
from tests.factories import MINUTE
from tests.mail_server import MailServer
from tests.provider import Provider, reply, serving
from tests.virtual import virtual_time


class Day:
    """Time that the test moves, for Python and for the database's clock alike."""

    def __init__(self, clock: testing.Clock, worker: InProcessWorker) -> None:
        self.clock, self.worker = clock, worker

    def goes_on_until(self, moment: datetime, step: timedelta = 5 * MINUTE) -> None:
        """Let time pass in steps, with the clock ticking and the worker working; steps with nothing due are skipped."""
        now = datetime.now(UTC)
        while now < moment:
            due = Job.objects.filter(state="scheduled").aggregate(first=Min("run_at"))["first"] or moment
            now = min(now + max(1, -((now - due) // step)) * step, moment)
            self.clock.move_to(now)
            self.worker.run_due(now)

    def jumps_to(self, moment: datetime) -> None:
        """Let time pass with nobody at work: no beat, no worker, no broker."""
        self.clock.move_to(moment)

    def dispatches(self) -> list[Any]:
        """The clock ticks and no worker is there: what is due now waits at the broker. Returns copies of it."""
        dispatcher.dispatch_due(datetime.now(UTC))
        return self.worker.messages()


@pytest.fixture
def day(worker: InProcessWorker) -> Iterator[Day]:
    with virtual_time(datetime(2027, 3, 24, 8, tzinfo=UTC)) as clock:
        yield Day(clock, worker)


@dataclass
class Letter:
    to: str
    subject: str
    text: str
    key: str  # the first half of its Message-ID: the delivery's id


@dataclass
class Post:
    """A mail server over a real socket, with its own log. `answers` are given first: a reply, or "vanish"."""

    letters: list[Letter] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        answer = self.answers.pop(0) if self.answers else "250 OK"
        if answer[0] in "2v":
            mail = message_from_bytes(envelope.content, policy=default)
            key = mail["Message-ID"].strip("<>").partition("@")[0]
            body = mail.get_body(("plain",))
            assert body is not None
            self.letters.append(Letter(envelope.rcpt_tos[0], mail["Subject"], body.get_content(), key))
        if answer == "vanish":  # it took the mail, and nobody will ever hear so
            server.transport.abort()
        return answer

    @property
    def recipients(self) -> list[str]:
        return [letter.to.partition("@")[0] for letter in self.letters]


@pytest.fixture
def post(settings: Any) -> Iterator[Post]:
    box = Post()
    controller = MailServer(box)
    controller.start()
    settings.EMAIL_BACKEND = "notifications.channels.smtp.ExactBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", controller.port
    yield box
    email.close()
    controller.stop()


@pytest.fixture
def twilio(settings: Any) -> Iterator[Provider]:
    """Where text messages go: a server over a real socket, with its own log."""
    with serving() as provider:
        settings.TWILIO_ACCOUNT_SID, settings.TWILIO_AUTH_TOKEN = "AC1", "token"
        settings.TWILIO_FROM, settings.TWILIO_API_BASE = "+15005550006", provider.url
        taken = {"sid": "SM1", "num_segments": "1", "price": None, "price_unit": "USD"}
        provider.answer = reply(201, json.dumps(taken).encode())
        yield provider
