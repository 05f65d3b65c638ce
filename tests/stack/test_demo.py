"""The demo: that its verdict finds every kind of broken promise, and that a whole run keeps them all."""

import os
import re
import smtplib
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from io import StringIO
from signal import SIGINT

import pytest
from django.utils import timezone
from rich.console import Console

from config.demo.demo import SAMPLES, quickened, without_zeros
from config.demo.mailbox import Mail, Mailbox, MailboxError
from config.demo.screen import Scene, Screen
from config.demo.story import Story
from config.demo.verdict import Outcome, Withdrawal, verdict
from config.stack import BASE_DIR
from notifications.imports.rows import BOOKING_COLUMNS
from notifications.models import Booking, Delivery, Payment
from tests.factories import MINUTE, alice, bob, make_booking, make_payment
from tests.stack.conftest import processes, until

NOON = datetime(2027, 3, 27, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
LENGTH = timedelta(seconds=30)


def outcome(key: str = "one", state: str = "sent", reason: str = "", due: timedelta = timedelta()) -> Outcome:
    return Outcome(key, f"reminder {key}", "alice@example.com", state, reason, NOON + due)


def mail(key: str = "one", to: str = "alice@example.com", after: timedelta = SECOND) -> Mail:
    return Mail(f"<{key}@localhost>", (to,), "Reminder", NOON + after)


def judged(outcomes, mails, withdrawals=()):
    return verdict(outcomes, mails, withdrawals, due_by=NOON + MINUTE)


# --- The verdict ---------------------------------------------------------------------------------------


def test_what_went_out_once_was_skipped_or_is_not_due_yet_is_as_promised():
    outcomes = [
        outcome(),
        outcome("two", "skipped", "paid"),
        outcome("three", "skipped", "paid"),
        outcome("later", "planned", due=2 * MINUTE),
    ]
    result = judged(outcomes, [mail(after=3 * SECOND)])
    assert result.kept
    assert result.slowest == 3 * SECOND
    assert str(result) == "planned 4, sent 1, skipped 2 (paid 2), still planned 1, lost 0, duplicated 0"


def test_a_missing_mail_is_lost():
    result = judged([outcome()], [])
    assert [len(result.lost), result.kept] == [1, False]
    assert "lost 1, duplicated 0" in str(result)


@pytest.mark.parametrize("state", ["planned", "sending"])
def test_what_was_due_and_has_not_ended_is_lost(state):
    result = judged([outcome(state=state, due=MINUTE)], [])
    assert len(result.lost) == 1
    assert f"is still {state}" in result.lost[0]


def test_a_second_mail_of_the_same_delivery_is_a_duplicate():
    result = judged([outcome()], [mail(), mail(after=2 * SECOND), mail(after=2 * SECOND)])
    assert [len(result.lost), len(result.duplicated), result.kept] == [0, 2, False]


def test_a_foreign_mail_is_wrong():
    result = judged([outcome()], [mail(), mail("unknown"), replace(mail(), message_id="")])
    assert [len(result.wrong), result.kept] == [2, False]
    assert "wrong 2" in str(result)


@pytest.mark.parametrize("state", ["skipped", "refused", "planned"])
def test_a_mail_of_what_was_not_sent_is_wrong(state):
    assert len(judged([outcome(state=state, due=-SECOND)], [mail()]).wrong) == 1


def test_a_mail_to_somebody_else_is_wrong_and_the_recipients_own_is_lost():
    result = judged([outcome()], [mail(to="bob@example.com")])
    assert [len(result.lost), len(result.wrong)] == [1, 1]


def test_a_mail_before_its_time_is_wrong():
    assert len(judged([outcome()], [mail(after=-SECOND)]).wrong) == 1


def test_a_mail_after_the_receipt_of_a_cancel_is_wrong_even_if_the_database_says_sent():
    cancelled = Withdrawal("Haircut was cancelled", NOON + SECOND, frozenset({"one"}))
    after = judged([outcome()], [mail(after=2 * SECOND)], [cancelled])
    assert len(after.wrong) == 1
    assert "Haircut was cancelled" in after.problems[0]
    assert judged([outcome()], [mail(after=SECOND)], [cancelled]).kept


def test_in_doubt_may_have_its_mail_or_not():
    assert judged([outcome(state="in_doubt")], []).kept
    result = judged([outcome(state="in_doubt")], [mail()])
    assert result.kept
    assert "in doubt 1" in str(result)


# --- Its parts -----------------------------------------------------------------------------------------


def test_the_mail_server_keeps_what_it_accepted():
    message = EmailMessage()
    message["Message-ID"], message["Subject"] = "<one@localhost>", "Prüfung"
    with Mailbox() as mailbox:
        host, port = mailbox.url.removeprefix("smtp://").split(":")
        with smtplib.SMTP(host, int(port)) as client:
            client.send_message(message, "us@example.com", ["alice@example.com"])
        [received] = mailbox.mails
    assert (received.delivery_id, received.subject) == ("one", "Prüfung")
    assert received.recipients == ("alice@example.com",)


def test_a_mail_server_that_cannot_listen_says_so(monkeypatch):
    with Mailbox() as first:
        monkeypatch.setenv("AIOSMTPD_CONTROLLER_TIMEOUT", "0.5")  # it waits that long even after an error
        second = Mailbox()
        second.port = first.port
        with pytest.raises(MailboxError, match="cannot listen"), second:
            pass


def test_the_sample_bookings_come_closer_together():
    sample = (SAMPLES / "bookings.csv").read_text("utf-8")
    assert quickened("x,2027-03-27T17:01,,x,2027-03-28T13:34:00", 3) == "x,2027-03-27T17:00:03,,x,2027-03-28T13:34:00"
    assert quickened("x,2027-03-27T04:50-04:00,", 3) == "x,2027-03-27T04:45:15-04:00,"
    assert re.sub(r"(T\d\d:\d\d):00", r"\1", quickened(sample, 60)) == sample
    assert quickened(sample, 3).splitlines()[0].split(",") == list(BOOKING_COLUMNS.known)


def test_a_summary_is_shown_without_what_there_was_none_of():
    lines = [
        "bookings.csv:",
        "  created  24",
        "  bad       0",
        "Customers:",
        "  created   0",
        "Reminders:",
        "  planned 5",
    ]
    assert without_zeros(lines) == ["bookings.csv:", "  created  24", "Reminders:", "  planned 5"]


@pytest.mark.django_db
def test_the_story_cancels_moves_and_pays_what_is_due_next():
    for number, customer in enumerate((alice(), bob(email="b@example.com"))):
        make_booking(customer, starts=15 * MINUTE + (10 + number) * SECOND)
        make_payment(customer)
    began_at = timezone.now()
    killed: list[str] = []
    story = Story(began_at, LENGTH, kill=killed.append)
    story.go_on(began_at)
    assert not story.told

    story.go_on(began_at + LENGTH)
    assert (story.over, story.missing, killed) == (True, [], ["worker"])
    first, second = Booking.objects.order_by("pk")
    assert (first.status, second.revision) == ("cancelled", 2)
    assert Payment.objects.filter(status="paid").count() == 1
    [cancelled, moved, paid] = story.withdrawals
    assert cancelled.ids == {str(each.pk) for each in first.deliveries.all()}
    assert moved.ids == {str(each.pk) for each in second.deliveries.filter(revision=1)}
    assert second.deliveries.get(revision=2, state="planned").send_at < story.ends_at
    assert len(paid.ids) == 5


@pytest.mark.django_db
def test_a_story_without_anything_due_says_what_is_missing():
    story = Story(timezone.now(), LENGTH)
    story.go_on(story.ends_at)
    assert [text.split(":")[0] for text in story.missing] == [
        "no booking was cancelled",
        "no booking was moved",
        "no payment was marked paid",
    ]


@pytest.mark.django_db
@pytest.mark.parametrize("terminal", [True, False])
def test_the_screen_shows_what_is_due_and_never_a_customers_commands(terminal):
    make_booking(alice(name="Eve\x1b[2J"), starts=15 * MINUTE + 10 * SECOND)
    began_at = timezone.now()
    Delivery.objects.filter(state="planned").update(state="skipped", reason="cancelled")
    told = [(began_at, "Haircut (Eve\x1b[2J) was cancelled")]
    scene = Scene(began_at, began_at, began_at + LENGTH, list(Delivery.objects.all()), [mail()], told)
    output = StringIO()
    with Screen(Console(file=output, force_terminal=terminal, width=120, height=40)) as screen:
        screen.show(scene)
        screen.show(scene)
    shown = output.getvalue()
    assert "Eve?[2J, Haircut" in shown
    assert "skipped, cancelled" in shown
    assert "\x1b[2J" not in shown
    assert terminal or shown.count("skipped") == 1


# --- The whole -----------------------------------------------------------------------------------------


@pytest.fixture
def command(tmp_path, monkeypatch, mark):
    """The demo as a user starts it: without a configuration, in a temporary directory that we can look into."""
    for name in ("SECRET_KEY", "DJANGO_SETTINGS_MODULE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("DATABASE_URL", "postgres://nobody@127.0.0.1:1/the-users-own")
    return [sys.executable, str(BASE_DIR / "manage.py"), "demo", "--seconds=15"]


@pytest.mark.stack
def test_a_run_loses_nothing_and_doubles_nothing(command, tmp_path, mark):
    done = subprocess.run(command, capture_output=True, text=True, env=dict(os.environ), timeout=900, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    [summary] = [line for line in done.stdout.splitlines() if line.startswith("planned ")]
    assert summary.endswith("lost 0, duplicated 0")
    sent = done.stdout.count(": sent after")
    assert sent > 20
    assert f", sent {sent}, " in summary
    for word in ("was cancelled", "was moved", "was paid", "Admin", "Flower"):
        assert word in done.stdout
    assert not done.stderr
    assert not list(tmp_path.iterdir())
    until(lambda: not processes(mark))


@pytest.mark.stack
def test_interrupted_it_leaves_nothing_behind(command, tmp_path, mark):
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout
        next(line for line in process.stdout if "was cancelled" in line)
        process.send_signal(SIGINT)
        assert "Interrupted" in process.stdout.read()
    assert process.returncode == 130
    until(lambda: not processes(mark))
    assert not list(tmp_path.iterdir())


def test_a_length_that_shows_nothing_is_refused(command):
    done = subprocess.run([*command, "--seconds=3"], capture_output=True, text=True, timeout=300, check=False)
    assert (done.returncode, done.stderr) == (1, "Error: --seconds 3 is not between 10 and 3600.\n")
