"""What people report of Celery and beat (P1 to P22 of docs/pains.md), told with a reminder to the mailbox.

Those with real processes that are killed are in tests/faults, those of Flower in tests/stack.
"""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from django.db import transaction

from jobs import pauses, rescuer
from jobs.models import Job
from notifications import bookings, reconciler, reminders
from notifications.models import Booking, Delivery, ReminderRule
from notifications.why import find, why
from tests.factories import DAY, HOUR, MINUTE, alice, bob, make_booking
from tests.stories.conftest import Day, Post

pytestmark = pytest.mark.django_db

START = datetime(2027, 3, 25, 10, tzinfo=UTC)
DUE = START - DAY + timedelta(seconds=1)  # the first reminder is


@pytest.fixture(autouse=True)
def _one_rule(db: None) -> None:
    ReminderRule.objects.exclude(name__startswith="24 hours").delete()


def only_job() -> Job:
    return Job.objects.get(task="notifications.deliver")


def test_P1_a_reminder_of_tomorrow_waits_at_no_broker_and_a_message_that_comes_ten_times_sends_once(
    day: Day, post: Post
) -> None:
    """An ETA beyond the visibility timeout is redelivered again and again, and runs each time."""
    make_booking(alice(), starts=START)
    assert day.dispatches() == []  # there is nothing that could be redelivered, today
    day.jumps_to(DUE)
    (message,) = day.dispatches()
    for _ in range(10):
        day.worker.run(message)
    assert post.recipients == ["alice"]


@pytest.mark.parametrize("accident", ["all workers are restarted", "the broker is emptied", "nothing"])
def test_P2_a_cancel_is_no_message_that_could_get_lost(day: Day, post: Post, accident: str) -> None:
    """A revoke lives in the memory of workers: cancelled in the morning, a deploy at noon, reminded in the evening."""
    booking = make_booking(alice(), starts=START)
    day.jumps_to(DUE)
    messages = day.dispatches()
    receipt = bookings.cancel(booking)  # there is no worker, and nobody is told but the database
    assert [delivery.pk for delivery in receipt.cancelled] == [only_job().pk]
    if accident == "nothing":
        for message in messages:
            day.worker.run(message)
    elif accident == "all workers are restarted":
        messages.clear()  # they died with what they had fetched
    else:
        day.jumps_to(DUE + 5 * HOUR)
        rescuer.rescue_lost(datetime.now(UTC))  # a lost message would come again here
    day.goes_on_until(START)
    assert post.letters == []
    assert only_job().state == "cancelled"


def test_P4_what_a_worker_or_broker_took_with_it_comes_again_and_once(day: Day, post: Post) -> None:
    """Scheduled tasks are lost when their worker restarts, or with what was in Redis."""
    make_booking(alice(), starts=START)
    day.jumps_to(DUE)
    assert len(day.dispatches()) == 1  # and it is gone
    day.jumps_to(DUE + MINUTE)
    assert rescuer.rescue_lost(datetime.now(UTC)).released == 1
    day.goes_on_until(START)
    assert post.recipients == ["alice"]


def test_P4b_a_scheduled_reminder_can_be_seen_from_the_moment_of_its_booking(day: Day, post: Post) -> None:
    """Scheduled but in no table; PENDING means waiting or unknown."""
    booking = make_booking(alice(), starts=START)
    handle = reminders.deliver.AsyncResult(str(only_job().pk))
    assert (handle.state, reminders.deliver.AsyncResult(str(uuid4())).state) == ("PENDING", "UNKNOWN")
    assert [answer.text for answer in why(find(str(booking.pk))) if answer.state == "planned"] == [
        "waits for 2027-03-24 10:00:00 UTC"
    ]
    day.goes_on_until(START)
    assert handle.state == "SUCCESS"


def test_P7b_a_rule_that_is_switched_on_again_sends_nothing_of_what_it_missed(day: Day, post: Post) -> None:
    """Saving a schedule fires it at once: a few thousand mails went out inadvertently."""
    customers = [alice(), bob()]
    for n, customer in enumerate(customers):
        make_booking(customer, starts=START + n * 2 * DAY)
    ReminderRule.objects.update(active=False)
    list(reconciler.reconcile())
    day.goes_on_until(DUE + HOUR)
    ReminderRule.objects.update(active=True)
    list(reconciler.reconcile())
    day.goes_on_until(DUE + 12 * HOUR)
    assert post.letters == []
    day.goes_on_until(START + 3 * DAY)
    assert post.recipients == ["bob"]  # whose time was still to come


def test_P12_a_message_that_comes_again_after_the_mail_went_out_sends_nothing(day: Day, post: Post) -> None:
    """Acknowledged late, a task that succeeded runs again after a warm shutdown."""
    make_booking(alice(), starts=START)
    day.jumps_to(DUE)
    (message,) = day.dispatches()
    day.worker.run(message)
    day.jumps_to(DUE + 2 * HOUR)
    rescuer.rescue_lost(datetime.now(UTC))
    day.worker.run(message)
    day.goes_on_until(START)
    assert post.recipients == ["alice"]
    assert (only_job().state, only_job().token) == ("succeeded", 1)


def test_P16_a_booking_that_is_rolled_back_was_never_there_for_any_worker(day: Day, post: Post) -> None:
    """The task starts before the commit and finds no row; or it is lost after the commit."""
    customer = alice()
    with transaction.atomic():
        make_booking(customer, starts=START)
        transaction.set_rollback(True)
    assert (Booking.objects.count(), Delivery.objects.count(), Job.objects.count()) == (0, 0, 0)
    make_booking(customer, starts=START + HOUR)
    day.goes_on_until(START + 2 * HOUR)
    assert post.recipients == ["alice"]
    assert "12:00" in post.letters[0].subject


def test_P21_who_cancels_and_books_again_is_reminded_again(day: Day, post: Post) -> None:
    """A lock that is left after a revoke blocks the same task for good."""
    customer = alice()
    for _ in range(3):
        bookings.cancel(make_booking(customer, starts=START))
    make_booking(customer, starts=START)
    day.goes_on_until(START)
    assert post.recipients == ["alice"]


def test_P22_a_pause_holds_reminders_back_and_neither_plans_nor_cancels(day: Day, post: Post) -> None:
    """There is no pause: one stops the workers, and with them everything else."""
    pauses.pause("queue", ["messages"], by="olga", reason="the provider is down", until=DUE + 3 * HOUR)
    first = make_booking(alice(), starts=START)
    make_booking(bob(), starts=START + MINUTE)  # planned during the pause
    day.goes_on_until(DUE + HOUR)
    assert post.letters == []
    assert len(bookings.cancel(first).cancelled) == 1
    day.goes_on_until(DUE + 2 * HOUR + 50 * MINUTE)
    assert post.letters == []
    day.goes_on_until(DUE + 4 * HOUR)  # it ends by itself
    assert post.recipients == ["bob"]
