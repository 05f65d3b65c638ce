"""What people report of sending and of payments (R8, R10, R11, R13 and R14 of docs/pains.md), told to the mailbox.

Of the issue's lines: consent, guarantee, payments. Mail and SMS go to real servers; what counts is their own log.
"""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client
from twilio.request_validator import RequestValidator

from jobs import rescuer
from jobs.models import Job
from notifications import payments, reconciler
from notifications.channels.smtp import ExactBackend
from notifications.models import Booking, ConsentEvent, Customer, Delivery, Payment, ReminderRule
from tests.factories import DAY, HOUR, MINUTE, alice, bob, make_booking, make_payment
from tests.provider import Provider
from tests.stories.conftest import Day, Post

pytestmark = pytest.mark.django_db

START = datetime(2027, 3, 25, 10, tzinfo=UTC)
PHONE = "+4915112345678"


def only(name: str, **fields: Any) -> None:
    """The one rule there is, before anything is booked."""
    ReminderRule.objects.exclude(name__startswith=name).delete()
    ReminderRule.objects.update(**fields)


def only_delivery() -> Delivery:
    return Delivery.objects.get()


def answers(client: Client, body: str) -> int:
    """Alice writes back to a text message."""
    fields = {"MessageSid": "SM9", "From": PHONE, "Body": body}
    signature = RequestValidator("token").compute_signature("http://127.0.0.1:8000/callbacks/twilio/inbound/", fields)
    return client.post("/callbacks/twilio/inbound/", fields, headers={"X-Twilio-Signature": signature}).status_code


def test_R8_stop_ends_the_text_messages_keeps_the_evidence_and_leaves_the_mails(
    day: Day, post: Post, twilio: Provider, client: Client
) -> None:
    """An opt-out that is not honoured, not recorded, or that blocks more than was asked for."""
    ReminderRule.objects.filter(name__startswith="1 hour").update(channels=["sms"])
    customer = alice(phone=PHONE)
    for n in range(3):
        make_booking(customer, starts=START + n * DAY)
    day.goes_on_until(START)
    assert (len(twilio.log), len(post.letters)) == (1, 3)  # the day before: of today's and of tomorrow's booking
    assert answers(client, "Stop.") < 300
    day.goes_on_until(START + 3 * DAY)
    assert len(twilio.log) == 1
    assert len(post.letters) == 6
    assert set(Delivery.objects.filter(channel="sms").values_list("state", "reason")) == {
        ("sent", ""),
        ("skipped", "suppressed"),
    }
    event = ConsentEvent.objects.get()
    assert (event.customer, event.channel, event.granted, event.source) == (customer, "sms", False, "reply")


def test_R10_a_mail_that_was_taken_and_not_answered_is_not_sent_again(day: Day, post: Post) -> None:
    """The provider accepted, the answer was lost, and the retry sent it again."""
    only("24 hours")
    make_booking(alice(), starts=START)
    post.answers = ["vanish"]
    day.goes_on_until(START - DAY + 3 * HOUR)
    assert post.recipients == ["alice"]
    assert (only_delivery().state, only_delivery().doubts) == ("in_doubt", 1)  # for a person, who can look
    assert Job.objects.get(pk=only_delivery().pk).state == "failed"


def test_R11_a_second_worker_that_comes_while_the_first_is_sending_sends_nothing(day: Day, post: Post) -> None:
    """The row's lock was released before the mail went out, so two workers sent it."""
    only("24 hours")
    make_booking(alice(), starts=START)
    day.jumps_to(START - DAY + timedelta(seconds=1))
    (message,) = day.dispatches()
    send, seen = ExactBackend.send_messages, list[str]()

    def slowly(backend: ExactBackend, mails: Any) -> int:
        held.undo()
        day.worker.run(message)  # the broker delivers it once more
        seen.append(only_delivery().state)
        day.jumps_to(datetime.now(UTC) + MINUTE)  # and then the first is given up for dead
        assert rescuer.rescue_lost(datetime.now(UTC)).restarted == 1
        for again in day.dispatches():
            day.worker.run(again)
        seen.append(only_delivery().state)
        return send(backend, mails)

    with pytest.MonkeyPatch.context() as held:
        held.setattr(ExactBackend, "send_messages", slowly)
        day.worker.run(message)
    day.goes_on_until(START)
    assert seen == ["sending", "in_doubt"]
    assert post.recipients == ["alice"]
    assert (only_delivery().state, only_delivery().doubts) == ("sent", 0)  # the slow one told what it knew


def test_R13_the_reminders_of_a_payment_follow_the_money(day: Day, post: Post) -> None:
    """Reminded though paid; a part that was paid is ignored; only one reminder ever; a cron run twice doubles it."""
    due = date(2027, 3, 29)
    owes, pays = make_payment(alice(), due=due), make_payment(bob(), due=due)

    def days_pass_until(day_of_month: int) -> None:
        while datetime.now(UTC) < (until := datetime(2027, 3, 1, 22, tzinfo=UTC) + timedelta(days=day_of_month - 1)):
            for _ in range(2):  # more often than anybody needs
                list(reconciler.reconcile())
            day.goes_on_until(min(until, datetime.now(UTC) + DAY), step=HOUR)

    days_pass_until(26)
    assert sorted(post.recipients) == ["alice", "bob"]
    payments.mark_paid(owes, 4000)
    receipt = payments.mark_paid(pays)
    assert (len(receipt.already_sent), len(receipt.cancelled)) == (1, 4)
    days_pass_until(26 + 31)
    assert sorted(post.recipients) == ["alice"] * 5 + ["bob"]
    hers = [letter for letter in post.letters if letter.to.startswith("alice")]
    assert ["45.50" in letter.text for letter in hers] == [True] + [False] * 4
    assert ["5.50" in letter.text for letter in hers[1:]] == [True] * 4


def test_R13_without_anything_owed_or_after_it_was_called_off_nobody_is_reminded(day: Day, post: Post) -> None:
    """Reminded of a bill that was called off, written off or is disputed, because only "paid" was looked at."""
    customer = alice()
    ends: list[Callable[[Payment], Any]] = [payments.cancel, payments.write_off, payments.dispute, payments.mark_paid]
    for n, end in enumerate(ends):
        end(make_payment(customer, due=date(2027, 3, 29), subject=f"Bill {n}"))
    day.goes_on_until(datetime(2027, 4, 20, tzinfo=UTC), step=12 * HOUR)
    assert post.letters == []


def test_R14_what_is_imported_or_copied_with_its_past_fires_nothing_of_it(day: Day, post: Post, tmp_path: Path) -> None:
    """Cloned or imported data fires old reminders: years of bookings, long paid or long overdue payments."""
    ReminderRule.objects.update(active=True)  # "you have booked" as well
    bookings_file, payments_file = tmp_path / "bookings.csv", tmp_path / "payments.csv"
    who = "C-1,Alice,alice@example.com"
    rows = [f"B-{n},{who},Haircut,2027-03-{n:02},11:00,60,Europe/Berlin" for n in (1, 22, 24)]
    bookings_file.write_text(
        "external_id,customer_id,customer_name,customer_email,service,starts_at,duration_minutes,time_zone\n"
        + "".join(row.replace(",11:00", "T11:00") + "\n" for row in rows)
    )
    payments_file.write_text(
        "external_id,customer_id,customer_name,customer_email,subject,amount,currency,due_on\n"
        f"P-1,{who},Tyres,45.50,EUR,2026-12-01\nP-2,{who},Oil,20.00,EUR,2027-03-20\n"
    )
    call_command("import_bookings", bookings_file, verbosity=0)
    call_command("import_payments", payments_file, verbosity=0)
    day.goes_on_until(datetime.now(UTC) + 50 * MINUTE, step=MINUTE)
    assert post.letters == []
    assert (Booking.objects.count(), Payment.objects.count(), Customer.objects.count()) == (3, 2, 1)
    assert set(Delivery.objects.exclude(state="planned").values_list("reason", flat=True)) == {"lead_time_past"}
    day.goes_on_until(datetime(2027, 4, 20, tzinfo=UTC), step=15 * MINUTE)
    # What is still to come does come: twice before today's booking, and the oil a week late and two.
    assert [letter.subject.count("Oil") for letter in post.letters] == [0, 0, 1, 1]
