"""What people report of reminder products (R1 to R7 of docs/pains.md), told from the booking to the mailbox.

Of the issue's lines: time, bookings. Mails go to a real mail server; what counts is its own log.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from notifications import bookings, reconciler
from notifications.models import Booking, Delivery
from notifications.why import find, why
from tests.factories import DAY, HOUR, MINUTE, alice, bob, make_booking
from tests.stories.conftest import Day, Post

pytestmark = pytest.mark.django_db

START = datetime(2027, 3, 25, 10, tzinfo=UTC)  # tomorrow at eleven, in Berlin


def reasons(booking: Booking) -> dict[str, str]:
    rows = booking.deliveries.filter(revision=booking.revision).select_related("rule")
    return {row.rule.name.split(" before")[0]: row.reason or row.state for row in rows}


def test_R1_no_reminder_of_a_cancelled_booking_though_its_message_waits_at_the_broker(day: Day, post: Post) -> None:
    """A reminder for a cancelled booking."""
    booking = make_booking(alice(), starts=START)
    day.jumps_to(START - DAY + timedelta(seconds=1))
    messages = day.dispatches()
    assert len(messages) == 1
    receipt = bookings.cancel(booking)
    assert (len(receipt.cancelled), receipt.in_flight, receipt.already_sent) == (3, [], [])
    for message in messages:  # the worker comes back and finds it
        day.worker.run(message)
    day.goes_on_until(START + HOUR)
    assert post.letters == []


def test_R1_one_of_two_who_cancels_does_not_cost_the_other_the_reminder(day: Day, post: Post) -> None:
    """A reminder for a cancelled booking: with seats, one's cancel left mails of theirs or took everybody's."""
    hers, his = make_booking(alice(), starts=START), make_booking(bob(), starts=START)
    bookings.cancel(hers)
    day.goes_on_until(START + HOUR)
    assert post.recipients == ["bob"] * 3
    assert {row.state for row in his.deliveries.all()} == {"sent"}


def test_R2_after_a_move_the_old_time_is_never_told_and_the_new_one_is(day: Day, post: Post) -> None:
    """Rescheduled: the old time is sent, although its message was at the broker when the booking moved."""
    booking = make_booking(alice(), starts=START)
    day.jumps_to(START - DAY + timedelta(seconds=1))
    (old,) = day.dispatches()
    later = START + 2 * DAY + 3 * HOUR
    receipt = bookings.reschedule(booking, starts_at=later, ends_at=later + HOUR)
    assert (len(receipt.cancelled), len(receipt.planned)) == (3, 3)
    day.worker.run(old)
    day.goes_on_until(later + HOUR)
    assert [f"{letter.subject}{letter.text}".count("27") > 0 for letter in post.letters] == [True] * 3
    assert not [letter for letter in post.letters if "25" in letter.subject]


def test_R2_after_an_edit_the_reminders_still_come_with_what_is_true_by_then(day: Day, post: Post) -> None:
    """Edited: nothing is sent any more, or the text of before; the host was replaced, the mail named the old one."""
    booking = make_booking(alice(), starts=START, service="Haircut with Ines", location="Old Road 1")
    texts: dict[str, Any] = {"service": "Haircut with Jo", "location": "New Road 2"}
    bookings.change(booking, starts_at=START, ends_at=START + HOUR, time_zone="Europe/Berlin", **texts)
    day.goes_on_until(START + HOUR)
    assert len(post.letters) == 3
    assert all("with Jo" in letter.text and "New Road 2" in letter.text for letter in post.letters)
    assert not [letter for letter in post.letters if "Ines" in letter.subject + letter.text]


def test_R3_a_booking_made_half_an_hour_ahead_gets_the_one_reminder_whose_time_is_to_come(day: Day, post: Post) -> None:
    """All reminders at once right after booking; or none for what is less than an hour ahead."""
    starts = datetime.now(UTC) + 30 * MINUTE
    booking = make_booking(alice(), starts=starts)
    day.goes_on_until(datetime.now(UTC) + 10 * MINUTE, step=MINUTE)
    assert post.letters == []
    assert reasons(booking) == {"24 hours": "lead_time_past", "1 hour": "lead_time_past", "15 minutes": "planned"}
    day.goes_on_until(starts + HOUR, step=MINUTE)
    assert len(post.letters) == 1


def test_R4_nothing_goes_out_after_the_appointment_started(day: Day, post: Post) -> None:
    """Sent after the appointment started: a reminder of half an hour before, three hours after."""
    booking = make_booking(alice(), starts=START)
    day.goes_on_until(START - 2 * HOUR)
    assert len(post.letters) == 1
    day.jumps_to(START + timedelta(seconds=1))  # nobody at work until a second after the start
    day.goes_on_until(START + 4 * HOUR)
    assert len(post.letters) == 1
    assert reasons(booking) == {"24 hours": "sent", "1 hour": "too_late", "15 minutes": "too_late"}


def test_R4_a_tick_that_was_missed_loses_no_reminder(day: Day, post: Post) -> None:
    """Lost for ever after one missed tick: whoever looks for "due within this minute" never finds it again."""
    booking = make_booking(alice(), starts=START)
    day.jumps_to(START - DAY + 7 * MINUTE)
    day.goes_on_until(START - DAY + 8 * MINUTE)
    assert post.recipients == ["alice"]
    assert reasons(booking)["24 hours"] == "sent"


def test_R5_planning_again_and_again_sends_each_reminder_once(day: Day, post: Post, tmp_path: Path) -> None:
    """Duplicates from cron runs that overlap or are repeated: every hour, from a file imported twice, by hand."""
    file = tmp_path / "bookings.csv"
    file.write_text(
        "external_id,customer_id,customer_name,customer_email,service,starts_at,duration_minutes,time_zone\n"
        f"B-1,C-1,Alice,alice@example.com,Haircut,{START:%Y-%m-%dT%H:%M},60,UTC\n"
    )
    while datetime.now(UTC) < START:
        for _ in range(2):
            call_command("import_bookings", file, verbosity=0)
            list(reconciler.reconcile())
        call_command("schedule_reminders", verbosity=0)
        day.goes_on_until(datetime.now(UTC) + 6 * HOUR, step=15 * MINUTE)
    assert len(post.letters) == len({letter.key for letter in post.letters}) == 3
    assert Delivery.objects.count() == 3


def test_R6_each_customer_reads_the_venues_time_and_their_own_beside_it(day: Day, post: Post) -> None:
    """The wrong zone in the text: the first attendee's, the server's; a customer came hours early."""
    for customer in (alice(), bob()):
        make_booking(customer, starts=START, time_zone="Europe/London")
    day.goes_on_until(START + HOUR)
    hers = next(letter for letter in post.letters if letter.to.startswith("alice"))
    his = next(letter for letter in post.letters if letter.to.startswith("bob"))
    for letter, own in ((hers, "11:00"), (his, "6:00")):
        said = letter.text.replace("\u202f", " ")
        assert "10:00" in letter.subject and "10:00" in said
        assert own in said and "for you" in said


def test_R7_one_hour_before_is_one_hour_before_in_the_night_the_clocks_change(day: Day, post: Post) -> None:
    """Daylight saving: a reminder relative to the start comes an hour off, or every minute without end."""
    starts = datetime.fromisoformat("2027-03-28T03:30+02:00")  # half an hour after the missing hour
    booking = make_booking(alice(), starts=starts)
    day.goes_on_until(starts + HOUR)
    sent = {row.rule.name.split(" before")[0]: row.sent_at for row in booking.deliveries.select_related("rule")}
    before = {"24 hours": 24 * HOUR, "1 hour": HOUR, "15 minutes": 15 * MINUTE}
    for name, lead in before.items():
        sent_at = sent[name]
        assert sent_at is not None and timedelta() <= sent_at - (starts - lead) <= 5 * MINUTE
    assert len(post.letters) == 3


def test_R12_for_every_reminder_there_is_an_answer_to_why(day: Day, post: Post) -> None:
    """Late or missing with no trace: is there somewhere I can monitor outgoing emails?"""
    booking = make_booking(alice(), starts=START)
    day.goes_on_until(START - DAY + 10 * MINUTE)
    post.answers = ["550 5.1.1 no such mailbox"]
    day.goes_on_until(START - 50 * MINUTE)
    list(reconciler.reconcile())  # as beat does every hour
    texts = {(answer.rule.split(" before")[0], answer.channel): answer.text for answer in why(find(str(booking.pk)))}
    assert texts["24 hours", "email"].startswith("sent 2027-03-24 10:0")
    assert texts["1 hour", "email"].startswith("refused by the provider for good (550")
    assert "bounced" in texts["15 minutes", "email"]
    assert texts["When a booking is made", "email"] == "not planned: the rule is switched off"
    assert len(texts) == 6
