"""Rules as their owner means them: overrides, channels in order of preference, repetitions, notices."""

from datetime import time, timedelta
from itertools import pairwise
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from jobs.models import Job
from notifications import bookings, fallbacks, payments, planning, reconciler, reminders
from notifications.changes import Changes, Plan
from notifications.imports import import_bookings
from notifications.imports.rows import BookingRow, Person
from notifications.models import (
    Booking,
    Consent,
    Customer,
    Delivery,
    Payment,
    ReminderRule,
    RuleOverride,
    Suppression,
)
from tests.factories import DAY, HOUR, MINUTE, alice, bob, make_booking, make_payment
from tests.notifications.test_reminders import due_now

pytestmark = pytest.mark.django_db


def plan(*anchors: Any) -> Plan:
    for anchor in anchors:
        anchor.refresh_from_db()
    with transaction.atomic():
        return reminders.plan(list(anchors))


def only_rule(**fields: Any) -> ReminderRule:
    """The one rule there is, before anything is booked."""
    ReminderRule.objects.all().delete()
    usual = {"name": "the rule", "anchor": "booking_start", "offset": -DAY, "message": "booking_upcoming"}
    return ReminderRule.objects.create(**usual | fields)


def waiting(anchor: Booking | Payment) -> list[str]:
    return list(anchor.deliveries.filter(state="planned").order_by("send_at").values_list("channel", flat=True))


def reasons(anchor: Booking | Payment) -> list[tuple[str, str]]:
    return sorted(anchor.deliveries.values_list("channel", "reason"))


def jobs_match(anchor: Booking | Payment) -> bool:
    """Each planned delivery has a job that waits for its time, each other one has none."""
    planned = dict(anchor.deliveries.filter(state="planned").values_list("pk", "send_at"))
    return dict(Job.objects.filter(state="scheduled").values_list("pk", "run_at")) == planned


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


# --- Channels ---


def test_a_customers_preference_comes_before_the_rules_order_within_the_rules_channels() -> None:
    only_rule(channels=["email", "sms", "inbox"])
    likes = {"phone": "+4915112345678"}
    assert waiting(make_booking(alice(**likes))) == ["email"]
    assert waiting(make_booking(alice(**likes, channels=["webhook", "sms"]))) == ["sms"]
    assert waiting(make_booking(alice(**likes, channels=["inbox"]))) == ["inbox"]


@pytest.mark.parametrize(
    ("customer", "refused", "suppressed", "expected"),
    [
        ({"email": "", "phone": ""}, "", "", [("email", "no_address")]),
        ({"phone": ""}, "email", "", [("email", "opted_out")]),
        ({"phone": ""}, "", "Alice@Example.com", [("email", "suppressed")]),
        ({"email": ""}, "", "", [("sms", "")]),
        ({}, "email", "", [("sms", "")]),
        ({}, "sms", "Alice@Example.com", [("sms", "opted_out")]),
        ({}, "", "Alice@Example.com", [("sms", "")]),
    ],
)
def test_the_first_channel_that_reaches_or_the_most_telling_reason(customer, refused, suppressed, expected) -> None:
    only_rule(channels=["email", "sms"])
    whom = alice(**{"phone": "+4915112345678"} | customer)
    if refused:
        Consent.objects.create(customer=whom, channel=refused, granted=False)
    if suppressed:
        Suppression.objects.create(channel="email", address=suppressed.lower(), cause="bounce")
    assert reasons(make_booking(whom)) == expected


def test_a_rule_without_any_channel_does_not_end_all_planning() -> None:
    only_rule(channels=[])
    assert reasons(make_booking(alice())) == [("email", "no_address")]


def test_a_suppression_of_another_channel_is_none() -> None:
    only_rule()
    Suppression.objects.create(channel="webhook", address="alice@example.com", cause="person")
    assert waiting(make_booking(alice())) == ["email"]


def test_a_channel_that_needs_a_yes_is_used_once_there_is_one(settings: Any) -> None:
    settings.OPT_IN_CHANNELS = ["sms"]
    only_rule(channels=["sms"])
    customer = alice(phone="+4915112345678")
    booking = make_booking(customer)
    assert reasons(booking) == [("sms", "opted_out")]
    Consent.objects.create(customer=customer, channel="sms", granted=True)
    plan(booking)
    assert waiting(booking) == ["sms"]
    assert jobs_match(booking)


def test_a_changed_mind_moves_what_waits_to_another_channel_and_back() -> None:
    only_rule(channels=["email", "sms"])
    customer = alice(phone="+4915112345678")
    booking = make_booking(customer)
    no = Consent.objects.create(customer=customer, channel="email", granted=False)
    done = plan(booking)
    assert ([d.channel for d in done.added], [d.reason for d in done.withdrawn]) == (["sms"], ["opted_out"])
    assert waiting(booking) == ["sms"] and jobs_match(booking)
    assert plan(booking).changes == 0
    no.delete()
    plan(booking)
    assert waiting(booking) == ["email"] and jobs_match(booking)
    assert reasons(booking) == [("email", ""), ("sms", "other_channel")]
    Customer.objects.update(channels=["sms"])
    plan(booking)
    assert waiting(booking) == ["sms"] and jobs_match(booking)
    assert plan(booking).changes == 0


def test_a_reminder_that_is_due_goes_by_the_other_channel_at_once() -> None:
    only_rule(channels=["email", "sms"])
    customer = alice(phone="+4915112345678")
    booking = make_booking(customer)
    due_now(booking.deliveries.get())
    start = timezone.now() + 23 * HOUR
    Booking.objects.update(starts_at=start, ends_at=start + HOUR)  # as if an hour had passed since it was due
    Delivery.objects.update(created_at=timezone.now() - DAY)
    Consent.objects.create(customer=customer, channel="email", granted=False)
    plan(booking)
    assert waiting(booking) == ["sms"]


def test_a_message_that_is_being_sent_is_not_sent_by_another_channel_as_well(monkeypatch: Any) -> None:
    only_rule(channels=["email", "sms"])
    customer = alice(phone="+4915112345678")
    booking = make_booking(customer)
    Consent.objects.create(customer=customer, channel="email", granted=False)
    decide = planning.decide

    def slowly(*args: Any, **others: Any) -> None:
        decide(*args, **others)
        Delivery.objects.update(state="sending", token=1)  # a worker's intent, between our look and our change

    monkeypatch.setattr(planning, "decide", slowly)
    done = plan(booking)
    assert (len(done.in_flight), done.added, booking.deliveries.count()) == (1, [], 1)


@pytest.mark.parametrize(
    "fate", [{"state": "sent"}, {"state": "in_doubt"}, {"reason": "job_cancelled", "state": "skipped"}]
)
def test_what_went_out_or_was_withdrawn_by_a_person_does_not_come_by_another_channel(fate: dict[str, str]) -> None:
    only_rule(channels=["email", "sms"])
    customer = alice(phone="+4915112345678")
    booking = make_booking(customer)
    Delivery.objects.update(**fate)
    Consent.objects.create(customer=customer, channel="email", granted=False)
    assert plan(booking).changes == 0


def test_planning_again_leaves_a_fallback_alone_whose_first_channel_would_be_good_again() -> None:
    only_rule(channels=["email", "sms"])
    booking = make_booking(alice(phone="+4915112345678"))
    broken = booking.deliveries.get()
    Delivery.objects.create(
        rule=broken.rule,
        booking=booking,
        customer=booking.customer,
        channel="sms",
        revision=1,
        fallback_of=broken,
        send_at=timezone.now(),
        useful_until=broken.useful_until,
    )
    Delivery.objects.filter(pk=broken.pk).update(state="skipped", reason="other_channel")  # its provider is down
    assert plan(booking).changes == 0
    assert waiting(booking) == ["sms"]


def test_the_next_channel_is_the_customers_and_the_overrides_too(worker: Any, mailoutbox: Any) -> None:
    rule = only_rule(channels=["email"])
    customer = alice(phone="+4915112345678", channels=["sms"])
    RuleOverride.objects.create(rule=rule, customer=customer, channels=["inbox", "email", "sms"])
    booking = make_booking(customer)
    assert waiting(booking) == ["sms"]
    assert fallbacks.others(booking.deliveries.get()) == ["inbox", "email"]


def test_the_number_of_queries_depends_neither_on_anchors_nor_on_overrides_and_consents() -> None:
    counts = []
    for many in (3, 60):
        Delivery.objects.all().delete()
        Payment.objects.all().delete()
        Customer.objects.all().delete()
        rule = only_rule(anchor="payment_due", offset=timedelta(), at_time=time(9), channels=["email", "sms"])
        rows = []
        for n in range(many):
            customer = alice(email=f"a{n}@example.com", phone="+4915112345678")
            RuleOverride.objects.create(rule=rule, customer=customer, offset=-n * DAY)
            Consent.objects.create(customer=customer, channel="email", granted=n % 2 == 0)
            rows.append(make_payment(customer, due=200 * DAY))
        Delivery.objects.all().delete()
        Job.objects.all().delete()
        rows = list(Payment.objects.all())
        with CaptureQueriesContext(connection) as queries, transaction.atomic():
            planning.decide(rows, Changes(reminders.job_for), Plan(), timezone.now())
        counts.append(len(queries))
    assert counts[0] == counts[1] <= 10


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
