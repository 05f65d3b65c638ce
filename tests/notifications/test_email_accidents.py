"""What the email channel says although the mail server said something else, and whose address it tells."""

import smtplib
import socketserver
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery.exceptions import SoftTimeLimitExceeded
from django.db import OperationalError
from django_celery_results.models import TaskResult

from jobs.models import Attempt, Job
from notifications import fence
from notifications.models import Delivery
from tests.factories import alice, bob, make_booking
from tests.notifications.reminding import due_now, first

pytestmark = pytest.mark.django_db


class Server(socketserver.ThreadingTCPServer):
    """A mail server that answers as the test says; "." is the answer after the message."""

    allow_reuse_address = daemon_threads = True

    def __init__(self) -> None:
        self.answers: dict[str, str] = {}
        self.accepted = 0
        super().__init__(("127.0.0.1", 0), Session)


class Session(socketserver.StreamRequestHandler):
    server: Server

    def say(self, line: str) -> None:
        self.wfile.write(line.encode() + b"\r\n")

    def handle(self) -> None:
        self.say("220 ready")
        in_message = open_mail = False
        while line := self.rfile.readline():
            if in_message:
                if line == b".\r\n":
                    in_message = open_mail = False
                    self.server.accepted += 1
                    self.say(self.server.answers.get(".", "250 queued"))
                continue
            verb = line.split()[0].decode().lower()
            if verb == "mail" and open_mail:
                self.say("503 nested MAIL command")
                continue
            open_mail = (open_mail or verb == "mail") and verb != "rset"
            answer = self.server.answers.get(verb, {"data": "354 go on", "quit": "221 bye"}.get(verb, "250 ok"))
            in_message = verb == "data" and answer.startswith("354")
            self.say(answer)
            if verb == "quit":
                return


@pytest.fixture
def server(settings) -> Iterator[Server]:
    server = Server()
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    settings.EMAIL_BACKEND = "notifications.channels.smtp.ExactBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = server.server_address[:2]
    settings.EMAIL_TIMEOUT = 60
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def deliver(worker) -> Callable[..., Delivery]:
    def run(customer: Any = None) -> Delivery:
        delivery = due_now(first(make_booking(customer or alice())))
        worker.run_due()
        delivery.refresh_from_db()
        return delivery

    return run


@pytest.mark.parametrize("answer", ["OK queued", "251 ok", "354 what"])
def test_an_answer_that_is_no_refusal_is_not_sent_again(server: Server, deliver, answer: str) -> None:
    server.answers["."] = answer
    assert deliver().state in ("in_doubt", "sent")  # is planned: the next attempt sends a second mail


@pytest.mark.parametrize("answer", ["530 5.7.0 Authentication required", "550 5.7.1 daily sending limit exceeded"])
def test_a_refusal_of_our_own_sender_is_not_held_against_the_customer(server: Server, deliver, answer: str) -> None:
    server.answers["mail"] = answer
    assert deliver().state == "planned"


def test_a_mail_that_was_interrupted_does_not_spoil_the_next_one(server: Server, deliver, monkeypatch) -> None:
    real, calls = smtplib.SMTP.rcpt, []

    def rcpt(self: smtplib.SMTP, *args: Any, **kwargs: Any) -> Any:
        calls.append(args)
        if len(calls) == 1:
            raise SoftTimeLimitExceeded
        return real(self, *args, **kwargs)

    monkeypatch.setattr(smtplib.SMTP, "rcpt", rcpt)
    deliver()
    assert deliver(bob()).state == "sent"  # is refused: "503 nested MAIL command"


@pytest.mark.parametrize("shown", ["alice@example.com", "ALICE@EXAMPLE.COM"])
def test_a_refusal_tells_no_table_the_address(server: Server, deliver, shown: str) -> None:
    server.answers["rcpt"] = f"550 5.1.1 <{shown}>: unknown user"
    delivery = deliver()
    rows = [delivery, Job.objects.get(pk=delivery.pk), *Attempt.objects.all(), *TaskResult.objects.all()]
    told = [f"{type(row).__name__}.{name}" for row in rows for name, kept in vars(row).items() if shown in str(kept)]
    assert told == []


def test_an_address_that_cannot_be_used_is_refused_and_not_in_doubt(server: Server, deliver) -> None:
    delivery = deliver(alice(email="alice@one@example.com"))
    assert (server.accepted, delivery.state) == (0, "refused")
    assert "alice@" not in Job.objects.get(pk=delivery.pk).reason


def test_a_database_that_is_away_for_a_moment_loses_no_reminder(worker, monkeypatch) -> None:
    delivery = due_now(first(make_booking(alice())))

    def locked(*_: object) -> None:
        raise OperationalError("database is locked")

    monkeypatch.setattr(fence, "_still_wanted", locked)
    worker.run_due()
    assert Job.objects.get(pk=delivery.pk).state in ("scheduled", "queued")  # the jitter may be nothing


def test_what_the_server_took_is_sent_although_the_database_hiccups(worker, monkeypatch) -> None:
    delivery = due_now(first(make_booking(alice())))
    broken: list[bool] = []

    class Hiccup(type(Delivery.objects.all())):  # type: ignore[misc]
        def update(self, **changes: Any) -> int:
            if "provider_id" in changes and not broken:
                broken.append(True)
                raise OperationalError("database is locked")
            done: int = super().update(**changes)
            return done

    monkeypatch.setattr(Delivery.objects, "_queryset_class", Hiccup)
    worker.run_due()
    delivery.refresh_from_db()
    assert (delivery.state, broken) == ("sent", [True])
