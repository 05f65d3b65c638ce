"""Planning: rows match rules, and planning again changes nothing."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from jobs.models import Job
from notifications import bookings, payments, reconciler
from notifications.models import Booking, Delivery, Payment, ReminderRule
from tests.factories import DAY, HOUR, MINUTE, alice, make_booking, make_payment
from tests.notifications.reminding import plan

pytestmark = pytest.mark.django_db


def states(anchor) -> dict[str, str]:
    rows = anchor.deliveries.filter(revision=anchor.revision).select_related("rule")
    return {row.rule.name.split(" before")[0]: row.reason or row.state for row in rows}


def test_a_booking_gets_its_three_reminders_each_with_a_job_of_the_same_id() -> None:
    booking = make_booking(alice())
    assert states(booking) == {"24 hours": "planned", "1 hour": "planned", "15 minutes": "planned"}
    for delivery in booking.deliveries.all():
        job = Job.objects.get(pk=delivery.pk)
        assert (job.task, job.run_at, job.args) == ("notifications.deliver", delivery.send_at, [str(delivery.pk)])


def test_a_lead_time_already_past_is_recorded_as_skipped() -> None:
    booking = make_booking(alice(), starts=30 * MINUTE)
    assert states(booking) == {"24 hours": "lead_time_past", "1 hour": "lead_time_past", "15 minutes": "planned"}
    assert Job.objects.count() == 1


def test_planning_twice_changes_nothing() -> None:
    booking = make_booking(alice(), starts=30 * MINUTE)
    before = list(Delivery.objects.order_by("pk").values()) + list(Job.objects.order_by("pk").values())
    assert plan(booking).changes == 0
    assert list(Delivery.objects.order_by("pk").values()) + list(Job.objects.order_by("pk").values()) == before


def test_a_payment_gets_its_series_until_it_is_paid() -> None:
    payment = make_payment(alice())
    assert payment.deliveries.filter(state="planned").count() == 5
    receipt = payments.mark_paid(payment)
    assert len(receipt.cancelled) == 5
    assert set(payment.deliveries.values_list("state", "reason")) == {("skipped", "paid")}
    assert set(Job.objects.values_list("state", flat=True)) == {"cancelled"}


def test_a_part_payment_leaves_the_series_and_the_last_part_ends_it() -> None:
    payment = make_payment(alice(), amount=4550)
    assert payments.mark_paid(payment, 4000).cancelled == []
    assert len(payments.mark_paid(payment, 550).cancelled) == 5
    assert payment.status == Payment.Status.PAID


def test_a_customer_without_an_address_is_recorded_and_planned_once_there_is_one() -> None:
    customer = alice(email="")
    booking = make_booking(customer)
    assert set(states(booking).values()) == {"no_address"}
    customer.email = "alice@example.com"
    customer.save()
    booking.refresh_from_db()
    assert len(plan(booking).added) == 3
    assert Job.objects.filter(state="scheduled").count() == 3


def test_a_rule_switched_off_withdraws_and_switched_on_restores() -> None:
    booking = make_booking(alice())
    ReminderRule.objects.filter(name__startswith="1 hour").update(active=False)
    assert [delivery.reason for delivery in plan(booking).withdrawn] == ["rule_off"]
    assert states(booking)["1 hour"] == "rule_off"
    ReminderRule.objects.filter(name__startswith="1 hour").update(active=True)
    assert len(plan(booking).added) == 1
    assert states(booking)["1 hour"] == "planned"
    delivery = booking.deliveries.get(rule__name__startswith="1 hour")
    job = Job.objects.get(pk=delivery.pk)
    assert (job.state, job.run_at, job.cancel_requested) == ("scheduled", delivery.send_at, False)


def test_a_changed_rule_moves_what_is_planned() -> None:
    booking = make_booking(alice())
    ReminderRule.objects.filter(name__startswith="1 hour").update(offset=-2 * HOUR)
    (moved,) = plan(booking).moved
    assert moved.send_at == booking.starts_at - 2 * HOUR == Job.objects.get(pk=moved.pk).run_at


def test_a_rule_changed_to_a_lead_time_that_is_past_sends_no_burst() -> None:
    booking = make_booking(alice(), starts=5 * HOUR)
    ReminderRule.objects.filter(name__startswith="1 hour").update(offset=-10 * HOUR)
    plan(booking)
    assert states(booking)["1 hour"] == "lead_time_past"


def test_the_number_of_queries_does_not_depend_on_the_number_of_bookings() -> None:
    customer = alice()
    counts = []
    for many in (2, 8):
        Delivery.objects.all().delete()
        Booking.objects.all().delete()
        Booking.objects.bulk_create(
            Booking(
                customer=customer,
                service="x",
                **bookings.schedule(timezone.now() + n * DAY, timezone.now() + n * DAY + HOUR, "UTC"),
            )
            for n in range(2, many + 2)
        )
        rows = list(Booking.objects.select_related("customer"))
        with CaptureQueriesContext(connection) as queries:
            plan(*rows)
        counts.append(len(queries))
    assert counts[0] == counts[1] <= 11


def test_reconcile_plans_what_was_made_past_the_application() -> None:
    customer = alice()
    when = bookings.schedule(timezone.now() + 2 * DAY, timezone.now() + 2 * DAY + HOUR, "UTC")
    Booking.objects.create(customer=customer, service="raw", **when)
    assert sum(len(done.added) for done in reconciler.reconcile()) == 3
    assert sum(done.changes for done in reconciler.reconcile()) == 0
