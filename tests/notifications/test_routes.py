"""By which channel a rule reaches a customer: preferences, consent, suppression, and what changes meanwhile."""

from datetime import time, timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from jobs.models import Job
from notifications import fallbacks, planning, reminders
from notifications.changes import Changes, Plan
from notifications.models import Booking, Consent, Customer, Delivery, Payment, RuleOverride, Suppression
from tests.factories import DAY, HOUR, alice, make_booking, make_payment
from tests.notifications.reminding import due_now
from tests.notifications.ruling import jobs_match, only_rule, plan, waiting

pytestmark = pytest.mark.django_db


def reasons(anchor: Booking | Payment) -> list[tuple[str, str]]:
    return sorted(anchor.deliveries.values_list("channel", "reason"))


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

    def slowly(*args: Any, **others: Any) -> list[Delivery]:
        left = decide(*args, **others)
        Delivery.objects.update(state="sending", token=1)  # a worker's intent, between our look and our change
        return left

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
