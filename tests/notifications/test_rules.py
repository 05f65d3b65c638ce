"""Rules as their owner means them: overrides, repetitions, notices."""

from datetime import time, timedelta
from itertools import pairwise
from typing import Any

import pytest
from django.utils import timezone

from jobs.models import Job
from notifications import bookings, payments, reconciler
from notifications.imports import import_bookings
from notifications.imports.rows import BookingRow, Person
from notifications.models import Booking, Customer, Delivery, Payment, ReminderRule, RuleOverride
from tests.factories import DAY, HOUR, MINUTE, alice, bob, make_booking, make_payment
from tests.notifications.reminding import due_now
from tests.notifications.ruling import jobs_match, only_rule, plan, waiting

pytestmark = pytest.mark.django_db


# --- Overrides ---


def test_the_most_specific_override_counts() -> None:
    rule = only_rule()
    first, second = alice(), bob()
    places: list[dict[str, Any]] = [
        {"location": "Here"},
        {"service": "Surgery"},
        {"service": "Surgery", "location": "Here"},
        {"customer": second},
    ]
    for hours, whom in enumerate(places, start=1):
        RuleOverride.objects.create(rule=rule, offset=-hours * HOUR, **whom)

    def hours_before(customer: Customer, service: str, location: str) -> float:
        booking = make_booking(customer, starts=3 * DAY, service=service, location=location)
        return (booking.starts_at - booking.deliveries.get().send_at) / HOUR

    assert hours_before(first, "Haircut", "There") == 24
    assert hours_before(first, "Haircut", "Here") == 1
    assert hours_before(first, "Surgery", "There") == 2
    assert hours_before(first, "Surgery", "Here") == 3
    assert hours_before(second, "Surgery", "Here") == 4


def test_an_override_switches_a_rule_off_or_on_for_some() -> None:
    rule = only_rule()
    RuleOverride.objects.create(rule=rule, service="Phone call", active=False)
    assert not waiting(make_booking(alice(), service="Phone call"))
    ReminderRule.objects.update(active=False)
    RuleOverride.objects.create(rule=rule, service="Surgery", active=True)
    assert waiting(make_booking(alice(), service="Surgery")) == ["email"]
    assert not waiting(make_booking(alice(), service="Haircut"))


def test_what_an_override_switched_on_goes_out_although_the_rule_is_off(worker: Any, mailoutbox: Any) -> None:
    RuleOverride.objects.create(rule=only_rule(active=False), service="Surgery", active=True)
    due_now(make_booking(alice(), service="Surgery").deliveries.get())
    worker.run_due()
    assert len(mailoutbox) == 1


def test_an_override_has_words_of_its_own(worker: Any, mailoutbox: Any) -> None:
    RuleOverride.objects.create(rule=only_rule(), service="Surgery", message="booking_moved")
    due_now(make_booking(alice(), service="Surgery").deliveries.get())
    worker.run_due()
    assert mailoutbox[0].subject.startswith("Moved:")


def test_an_override_for_a_service_counts_for_the_payments_of_such_bookings() -> None:
    rule = only_rule(anchor="payment_due", offset=timedelta(), at_time=time(9), message="payment_upcoming")
    RuleOverride.objects.create(rule=rule, service="Surgery", active=False)
    customer = alice()
    assert not waiting(make_payment(customer, booking=make_booking(customer, service="Surgery")))
    assert waiting(make_payment(customer)) == ["email"]


# --- Repetitions ---


def series(**fields: Any) -> ReminderRule:
    usual = {"anchor": "payment_due", "offset": DAY, "at_time": time(9), "message": "payment_overdue"}
    return only_rule(**usual | {"repeat_every": 2 * DAY, "repeat_times": 3} | fields)


def test_a_series_is_planned_as_a_whole_each_until_the_next_one_is_due() -> None:
    series(repeat_every=12 * HOUR)
    payment = make_payment(alice())
    rows = list(payment.deliveries.order_by("occurrence"))
    assert [row.occurrence for row in rows] == [0, 1, 2, 3]
    for row, following in pairwise(rows):
        assert row.useful_until == following.send_at == row.send_at + 12 * HOUR
    assert rows[3].useful_until == rows[3].send_at + DAY
    assert jobs_match(payment)


@pytest.mark.parametrize(
    ("status", "reason"),
    [("paid", "paid"), ("written_off", "written_off"), ("disputed", "disputed"), ("cancelled", "cancelled")],
)
def test_what_ends_a_series_and_that_a_settled_dispute_brings_back_what_is_still_to_come(status, reason) -> None:
    series()
    payment = make_payment(alice(), due=3 * DAY)
    first = payment.deliveries.get(occurrence=0)
    Delivery.objects.filter(pk=first.pk).update(state="sent")
    Job.objects.filter(pk=first.pk).update(state="succeeded", finished_at=timezone.now())
    Payment.objects.update(status=status)
    assert {delivery.reason for delivery in plan(payment).withdrawn} == {reason}
    assert len(waiting(payment)) == 0 and jobs_match(payment)
    Payment.objects.update(status="open")
    assert len(plan(payment).added) == 3
    assert jobs_match(payment)
    assert plan(payment).changes == 0


def test_a_series_made_shorter_or_longer() -> None:
    series()
    payment = make_payment(alice())
    ReminderRule.objects.update(repeat_times=1)
    assert sorted(delivery.occurrence for delivery in plan(payment).withdrawn) == [2, 3]
    ReminderRule.objects.update(repeat_times=4)
    assert sorted(delivery.occurrence for delivery in plan(payment).added) == [2, 3, 4]
    assert jobs_match(payment)


def test_reminders_of_a_booking_are_not_repeated_beyond_its_start() -> None:
    only_rule(offset=-3 * HOUR, repeat_every=HOUR, repeat_times=9)
    booking = make_booking(alice())
    assert len(waiting(booking)) == 3
    assert booking.deliveries.count() == 3


def test_a_confirmed_booking_is_not_reminded_of_where_the_rule_says_so() -> None:
    only_rule(unless_confirmed=True)
    booking = make_booking(alice())
    Booking.objects.update(confirmed_at=timezone.now())
    assert [delivery.reason for delivery in plan(booking).withdrawn] == ["confirmed"]
    Booking.objects.update(confirmed_at=None)
    assert len(plan(booking).added) == 1


def test_reminders_that_may_be_late_are_spread_and_stay_where_they_are() -> None:
    only_rule(tolerance=10 * MINUTE)
    start = timezone.now().replace(microsecond=0) + 2 * DAY
    made = [make_booking(alice(email=f"a{n}@example.com"), starts=start) for n in range(30)]
    late = [booking.deliveries.get().send_at - (start - DAY) for booking in made]
    assert len(set(late)) > 20
    assert timedelta() <= min(late) <= max(late) < 10 * MINUTE
    assert plan(*made).changes == 0


# --- Notices ---


@pytest.fixture
def notices() -> None:
    ReminderRule.objects.exclude(anchor__in=["booking_made", "booking_moved", "booking_cancelled"]).delete()
    ReminderRule.objects.update(active=True)


def told(booking: Booking) -> list[str]:
    rows = booking.deliveries.order_by("pk").values_list("rule__anchor", "reason", "state")
    return [f"{anchor.removeprefix('booking_')}: {reason or state}" for anchor, reason, state in rows]


@pytest.mark.usefixtures("notices")
def test_a_booking_made_moved_and_cancelled_is_told_each_time(worker: Any, mailoutbox: Any) -> None:
    booking = make_booking(alice())
    later = booking.starts_at + DAY
    worker.run_due()
    bookings.reschedule(booking, starts_at=later, ends_at=later + HOUR)
    worker.run_due()
    bookings.change(booking, starts_at=later, ends_at=later + HOUR, time_zone="Europe/Berlin", location="Upstairs")
    bookings.cancel(booking)
    worker.run_due()
    assert [message.subject.split(":")[0] for message in mailoutbox] == ["Booked", "Moved", "Cancelled"]
    assert told(booking) == ["made: sent", "moved: sent", "cancelled: sent"]
    assert plan(booking).changes == 0


@pytest.mark.usefixtures("notices")
def test_a_cancelled_booking_withdraws_what_waits_and_tells_only_that(worker: Any, mailoutbox: Any) -> None:
    ReminderRule.objects.update(offset=MINUTE)
    booking = make_booking(alice())
    bookings.cancel(booking)
    assert told(booking) == ["made: cancelled", "cancelled: planned"]


@pytest.mark.usefixtures("notices")
def test_what_happened_long_ago_is_no_news() -> None:
    ReminderRule.objects.update(active=False)
    booking = make_booking(alice())
    Booking.objects.update(made_at=timezone.now() - HOUR)
    ReminderRule.objects.update(active=True)
    list(reconciler.reconcile())
    assert told(booking) == ["made: lead_time_past"]


@pytest.mark.usefixtures("notices")
def test_a_booking_that_an_import_brings_is_no_news() -> None:
    start = timezone.now() + 2 * DAY
    person = Person("C-1", "Alice", "alice@example.com")
    row = BookingRow(1, "B-1", person, "Haircut", None, start, start + HOUR, None, "booked")
    list(import_bookings([row]))
    list(reconciler.reconcile())
    assert told(Booking.objects.get()) == []


def test_the_notices_are_installed_switched_off() -> None:
    assert list(ReminderRule.objects.filter(active=False).order_by("anchor").values_list("anchor", flat=True)) == [
        "booking_cancelled",
        "booking_made",
        "booking_moved",
    ]


def test_a_payment_postponed_gets_a_series_of_the_new_date() -> None:
    series()
    payment = make_payment(alice())
    receipt = payments.postpone(payment, payment.due_on + 7 * DAY)
    assert (len(receipt.cancelled), len(receipt.planned)) == (4, 4)
