"""Alice cancels and changes her mind while a worker holds the job of her reminder: it still comes, and once."""

from collections.abc import Callable
from datetime import UTC, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core import mail
from django.core.mail.backends.locmem import EmailBackend
from django.core.management import call_command
from django.utils import timezone

from jobs import ledger
from notifications import bookings, reconciler, rendering
from notifications.models import Booking, Delivery
from tests.conftest import InProcessWorker
from tests.factories import DAY, HOUR
from tests.notifications.reminding import due_now, first

pytestmark = pytest.mark.django_db

LENGTH = timedelta(hours=1)
Says = Callable[[], Booking]


@pytest.fixture
def says_the_file(tmp_path: Path) -> Says:
    """The file of the venue, where Alice's booking is on."""
    starts_at = (timezone.now() + DAY + HOUR).astimezone(UTC)
    file = tmp_path / "bookings.csv"
    file.write_text(
        "external_id,customer_id,customer_name,customer_email,service,starts_at,duration_minutes,time_zone,status\n"
        f"B-1,C-1,Alice,alice@example.com,Haircut,{starts_at:%Y-%m-%dT%H:%M},60,UTC,booked\n"
    )

    def read() -> Booking:
        call_command("import_bookings", file, reopen=True)
        return Booking.objects.get()

    return read


def cancelled_and_back(says_the_file: Says) -> None:
    bookings.cancel(Booking.objects.get())
    assert says_the_file().status == "booked"


def moved_and_back(says_the_file: Says) -> None:
    booking = Booking.objects.get()
    starts_at = booking.starts_at
    for there in (starts_at + DAY, starts_at):
        bookings.reschedule(booking, starts_at=there, ends_at=there + LENGTH)


def meanwhile(monkeypatch: pytest.MonkeyPatch, where: Any, name: str, act: Callable[[], object]) -> None:
    """`act` happens when the worker is there for the first time."""
    usual, acted = getattr(where, name), list[str]()

    def held(*args: Any, **options: Any) -> Any:
        if not acted:
            acted.append(name)
            act()
        return usual(*args, **options)

    monkeypatch.setattr(where, name, held)


def what_arrives(worker: InProcessWorker, delivery: Delivery) -> list[list[str]]:
    """When the worker is through, and when what was planned meanwhile has come due."""
    worker.run_due()
    for _ in range(2):
        reconciler.settle()
        for waiting in Delivery.objects.filter(rule_id=delivery.rule_id, state="planned"):
            due_now(waiting)
        worker.run_due()
    return [message.to for message in mail.outbox]


@pytest.mark.parametrize("change", [cancelled_and_back, moved_and_back], ids=lambda change: change.__name__)
def test_while_the_message_is_written(
    worker: InProcessWorker, monkeypatch: pytest.MonkeyPatch, says_the_file: Says, change: Callable[[Says], None]
) -> None:
    delivery = due_now(first(says_the_file()))
    meanwhile(monkeypatch, rendering, "render", lambda: change(says_the_file))
    assert what_arrives(worker, delivery) == [["alice@example.com"]]


def test_while_the_message_is_handed_over(
    worker: InProcessWorker, monkeypatch: pytest.MonkeyPatch, says_the_file: Says
) -> None:
    delivery = due_now(first(says_the_file()))
    meanwhile(monkeypatch, EmailBackend, "send_messages", lambda: cancelled_and_back(says_the_file))
    assert what_arrives(worker, delivery) == [["alice@example.com"]]


def test_when_the_worker_has_found_it_cancelled_and_not_yet_said_so(
    worker: InProcessWorker, monkeypatch: pytest.MonkeyPatch, says_the_file: Says
) -> None:
    delivery = due_now(first(says_the_file()))
    meanwhile(monkeypatch, rendering, "render", lambda: bookings.cancel(Booking.objects.get()))
    meanwhile(monkeypatch, ledger, "succeed", says_the_file)
    assert what_arrives(worker, delivery) == [["alice@example.com"]]
