"""Lines of the log: whole JSON objects that say which job they are about, and that name nobody."""

import io
import json
import logging
import socket
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from celery import shared_task

from config import lines
from config.lines import Json, Text
from config.logs import LOGGING
from jobs import subject
from jobs.durable import Durable
from jobs.models import Attempt, Job
from jobs.testing import Worker
from notifications.models import ReminderRule
from tests.factories import MINUTE, alice, make_booking, make_job
from tests.notifications.reminding import due_now, first

pytestmark = pytest.mark.django_db
EMAIL, PHONE, NAME = "alice.aehre@example.com", "+49 151 1234 5678", "Alice Ähre"
Read = Callable[[], list[dict[str, Any]]]
application = logging.getLogger("shop.invoices")


@shared_task(base=Durable, name="lines.speaks")
def speaks() -> None:
    application.warning("no invoice for %s", EMAIL, extra={"customer": NAME})


@shared_task(base=Durable, name="lines.fails")
def fails() -> None:
    try:
        raise KeyError(NAME)
    except KeyError as exc:
        application.exception("of no use")
        raise ValueError(f"{NAME} <{EMAIL}> {PHONE} does not answer") from exc


@shared_task(base=Durable, name="lines.shared", batch_size=10)
def shared(number: int) -> None:
    application.warning("number %s", number)


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    """What a handler of each kind writes, with the levels of the settings."""
    stream = io.StringIO()
    root, handlers = logging.getLogger(), [logging.StreamHandler(stream) for _ in (Json, Text)]
    levels = {name: logging.getLogger(name).level for name in ("", *LOGGING["loggers"])}
    for handler, kind in zip(handlers, (Json, Text), strict=True):
        handler.setFormatter(kind())
        root.addHandler(handler)
    root.setLevel("INFO")
    yield stream
    for handler in handlers:
        root.removeHandler(handler)
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


@pytest.fixture
def read(written: io.StringIO) -> Read:
    return lambda: [json.loads(line) for line in written.getvalue().splitlines() if line.startswith("{")]


def nobody_in(written: io.StringIO) -> bool:
    text = written.getvalue()
    hidden = [word for word in (EMAIL, NAME, "alice", "Alice", "Ähre", "1234 5678", "example.com") if word in text]
    return bool(text) and not hidden


def test_every_line_in_a_job_says_which(worker: Worker, read: Read, written: io.StringIO) -> None:
    speaks.apply_async(correlation_id="booking:17", tenant="acme")
    worker.run_due()
    job = Job.objects.get()
    own, end = (next(line for line in read() if line["logger"] == name) for name in ("shop.invoices", "jobs.executor"))
    said = {"job": str(job.pk), "task": "lines.speaks", "queue": "default", "attempt": 1}
    for line in (own, end):
        assert line | said | {"correlation_id": "booking:17", "worker": job.worker} == line
    assert own["message"] == "no invoice for [address]" and own["time"].endswith("Z") and own["level"] == "WARNING"
    assert "acme" not in written.getvalue() and nobody_in(written)
    application.warning("after it")
    assert "job" not in read()[-1]


def test_jobs_that_share_a_message_are_told_apart(worker: Worker, read: Read) -> None:
    handles = [shared.delay(number) for number in range(3)]
    worker.run_due()
    mine = {line["job"]: line["message"] for line in read() if line["logger"] == "shop.invoices"}
    assert mine == {handle.id: f"number {number}" for number, handle in enumerate(handles)}


def test_what_a_task_raised_is_told_by_class_and_place(worker: Worker, read: Read, written: io.StringIO) -> None:
    fails.delay()
    worker.run_due()
    (line,) = [line for line in read() if line["logger"] == "celery.app.trace"]
    assert line["error"] == "ValueError" and line["message"].endswith("raised unexpected: ValueError")
    assert "in fails" in line["traceback"] and "builtins.KeyError" in line["traceback"]
    assert any(line["message"] == "of no use" for line in read()) and nobody_in(written)
    assert EMAIL in Attempt.objects.get().error  # for those who may see it


class Refusing:
    """A mail server that says whom it does not know, as they do."""

    async def handle_RCPT(self, _server: Any, _session: Any, _envelope: Any, address: str, _options: Any) -> str:
        return f"550 5.1.1 <{address}> (Alice Aehre) unknown"


class Bound(Controller):
    """Its port is taken once and for all: one that was free a moment ago may be another's by now."""

    def __init__(self, handler: Any) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        super().__init__(handler, *self.listener.getsockname(), ready_timeout=60)

    def _create_server(self) -> Any:
        return self.loop.create_server(self._factory_invoker, sock=self.listener)


@pytest.fixture
def refusing(settings: Any) -> Iterator[None]:
    controller = Bound(Refusing())
    settings.EMAIL_BACKEND = "notifications.channels.smtp.ExactBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = controller.hostname, controller.port
    controller.start()
    yield
    controller.stop()


def test_a_mail_that_is_refused_tells_no_address(worker: Worker, written: io.StringIO, refusing: None) -> None:
    ReminderRule.objects.update(quiet_from=None, quiet_until=None)  # it goes out at any hour
    delivery = due_now(first(make_booking(alice(email=EMAIL, name=NAME))))
    worker.run_due()
    delivery.refresh_from_db()
    assert delivery.state == "refused"
    assert str(delivery.pk) in written.getvalue() and nobody_in(written)


def test_an_error_outside_of_a_job_keeps_its_first_line(read: Read, written: io.StringIO) -> None:
    try:
        raise RuntimeError(f"duplicate key of {EMAIL}\nDETAIL: {NAME}")
    except RuntimeError:
        application.exception("not stored")
    assert read()[-1]["traceback"].endswith("builtins.RuntimeError: duplicate key of [address]") and nobody_in(written)


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("to a.b+c@mail.example.co.uk.", "to [address]."),
        ("Jürgen@müller.de", "[address]"),
        ("+4915112345678 and +49 (151) 123-4567", "[number] and [number]"),
        (
            "connected to amqp://user:**@rabbit.example.com:5672//",
            "connected to amqp://user:**@rabbit.example.com:5672//",
        ),
        ("worker@box ready at 2027-03-24T11:00:00+00:00", "worker@box ready at 2027-03-24T11:00:00+00:00"),
        ("pool resized by +3 to 5 processes", "pool resized by +3 to 5 processes"),
    ],
    ids=["an address", "with umlauts", "numbers", "a broker", "a worker", "a change"],
)
def test_what_is_masked_and_what_is_not(text: str, masked: str) -> None:
    assert lines.masked(text) == masked


def test_a_line_is_one_line_whatever_is_in_it() -> None:
    job = make_job("running", due=MINUTE, correlation_id=EMAIL)
    record = logging.LogRecord("x", logging.INFO, __file__, 1, "two\nlines \udcff %s", ("\u2028",), None)
    with subject.of(job, "host:1"):
        line = Json().format(record)
    told = json.loads(line)
    assert "\n" not in line and told["message"].startswith("two\nlines") and told["correlation_id"] == "[address]"
    line.encode()


class Unread:
    """A job of which nobody may ask anything."""

    def __getattribute__(self, name: str) -> Any:
        raise AssertionError(f"read: {name}")


def test_a_log_for_people_asks_nothing_of_a_job() -> None:
    try:
        raise ValueError(EMAIL)
    except ValueError:
        record = logging.LogRecord("shop.invoices", logging.ERROR, __file__, 1, "of no use", (), sys.exc_info())
    job: Any = Unread()
    with subject.of(job, "host:1"):
        assert EMAIL not in Text().format(record)  # the words of what a task raised: it does know that there is a job
        with pytest.raises(AssertionError, match="read: pk"):
            Json().format(record)
    assert not subject.known()


def test_a_traceback_that_another_handler_wrote_is_not_taken_over() -> None:
    try:
        raise ValueError(EMAIL)
    except ValueError:
        record = logging.LogRecord("celery.app.trace", logging.ERROR, __file__, 1, "x", (), sys.exc_info())
    logging.Formatter().format(record)
    assert record.exc_text and EMAIL in record.exc_text
    assert EMAIL not in Json().format(record) and EMAIL not in Text().format(record)
