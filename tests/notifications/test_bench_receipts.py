"""The judge of `bench.races` finds a receipt that was not true: else ten thousand true ones would mean nothing."""

from pathlib import Path
from typing import Any

import pytest

from bench.aims import Race
from bench.receipts import judge
from notifications import bookings
from notifications.models import Delivery, ReminderRule
from tests.conftest import InProcessWorker
from tests.factories import alice, make_booking
from tests.notifications.reminding import due_now

pytestmark = pytest.mark.django_db

TOLD_AT = 100.0


def raced(what: str, receipt: Any) -> list[Race]:
    return [Race(what, "sending", Delivery.objects.get().pk, receipt, TOLD_AT, 0.01)]


def wrong(tmp_path: Path, races: list[Race], *mails: float) -> list[str]:
    """`mails`: when the mail server took one of this delivery."""
    log = tmp_path / "mails"
    log.write_text("".join(f"{races[0].delivery} {moment}\n" for moment in mails))
    return judge(races, log, 1.0)


@pytest.fixture
def delivery() -> Delivery:
    ReminderRule.objects.exclude(name__startswith="24 hours").delete()
    return due_now(make_booking(alice()).deliveries.get())


def cancelled(delivery: Delivery) -> list[Race]:
    assert delivery.booking
    return raced("cancel", bookings.cancel(delivery.booking))


def test_a_mail_of_what_was_withdrawn_is_found_whenever_it_came(delivery: Delivery, tmp_path: Path) -> None:
    races = cancelled(delivery)
    assert wrong(tmp_path, races) == []
    for moment in (TOLD_AT - 1, TOLD_AT + 1):
        assert "sent after a receipt of a cancel: 1" in wrong(tmp_path, races, moment)


def test_already_sent_has_to_be_in_the_log_by_then_and_once(
    delivery: Delivery, worker: InProcessWorker, tmp_path: Path
) -> None:
    worker.run_due()
    races = cancelled(delivery)
    assert wrong(tmp_path, races, TOLD_AT - 1) == []
    for mails in ((), (TOLD_AT + 1,), (TOLD_AT - 2, TOLD_AT - 1)):
        assert "called sent, and not in the log by then: 1" in wrong(tmp_path, races, *mails)


@pytest.mark.parametrize(
    ("state", "mails", "fine"), [("sent", 1, True), ("skipped", 0, True), ("sent", 0, False), ("planned", 0, False)]
)
def test_what_was_in_flight_has_to_end_as_the_log_says(
    delivery: Delivery, tmp_path: Path, state: str, mails: int, fine: bool
) -> None:
    Delivery.objects.update(state="sending", token=1)
    races = cancelled(delivery)
    Delivery.objects.update(state=state, reason="cancelled" if state == "skipped" else "")
    found = wrong(tmp_path, races, *[TOLD_AT] * mails)
    assert ("in flight, and its end is not what the log says: 1" in found) == (not fine)


def test_a_receipt_that_leaves_the_reminder_out_is_found(delivery: Delivery, tmp_path: Path) -> None:
    found = wrong(tmp_path, raced("move", bookings.Receipt()))
    assert found == ["a receipt that does not say what became of the reminder: 1"]
