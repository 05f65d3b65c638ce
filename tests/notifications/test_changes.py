"""Changes after which the wrong person, or the wrong date, is reminded, and receipts that leave something out."""

from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core import mail
from django.db import IntegrityError, transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from jobs import ledger
from jobs.models import Job
from notifications import amounts, bookings, payments, reconciler, reminders, rendering
from notifications.changes import Plan
from notifications.models import Booking, Delivery, Payment, ReminderRule
from tests.factories import DAY, HOUR, MINUTE, alice, bob, make_booking, make_payment
from tests.notifications.reminding import due_now, first

pytestmark = pytest.mark.django_db


@pytest.fixture
def olga(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("olga", password="x"))
    return client


def on_the_hour(customer: Any) -> Booking:
    return make_booking(customer, starts=(timezone.now() + 2 * DAY).replace(minute=0, second=0, microsecond=0))


def save(client: Client, row: Booking | Payment, **changes: Any) -> int:
    """What a browser posts after somebody changed some fields of the page."""
    data: dict[str, Any] = {"customer": row.customer_id, "time_zone": row.time_zone, "external_id": ""}
    if isinstance(row, Booking):
        start = row.local_start
        data |= {"service": row.service, "location": row.location, "minutes": 60}
        data |= {"wall_0": f"{start:%Y-%m-%d}", "wall_1": f"{start:%H:%M:%S}"}
    else:
        data |= {
            "subject": row.subject,
            "owed": amounts.major(row.amount, row.currency),
            "currency": row.currency,
            "due_on": row.due_on,
        }
    data |= {"deliveries-TOTAL_FORMS": 0, "deliveries-INITIAL_FORMS": 0} | changes
    client.raise_request_exception = False
    answer = client.post(reverse(f"admin:notifications_{row._meta.model_name}_change", args=[row.pk]), data)
    row.refresh_from_db()
    return answer.status_code


def test_a_booking_handed_to_another_customer_reminds_that_one(olga: Client, worker) -> None:
    booking = on_the_hour(alice())
    save(olga, booking, customer=bob().pk)
    due_now(first(booking))
    worker.run_due()
    assert [message.to for message in mail.outbox] == [["bob@example.com"]]


def test_a_payment_postponed_in_the_admin_is_reminded_of_again(olga: Client, worker) -> None:
    payment = make_payment(alice(), due=3 * DAY)
    due_now(first(payment))
    worker.run_due()
    save(olga, payment, due_on=payment.due_on + 30 * DAY)
    assert payment.revision == 2
    assert payment.deliveries.filter(state="planned").count() == 5


def test_saving_a_page_without_a_change_changes_nothing(olga: Client) -> None:
    second = make_booking(alice(), starts=datetime(2027, 10, 31, 1, 30, tzinfo=UTC))  # the second 02:30 of Berlin
    fine = make_booking(bob(), starts=timezone.now() + 2 * DAY)  # has microseconds
    for booking in (second, fine):
        before = booking.starts_at
        save(olga, booking)
        assert (booking.starts_at, booking.revision) == (before, 1)


def test_a_page_of_a_booking_that_was_cancelled_meanwhile_says_so(olga: Client) -> None:
    booking = on_the_hour(alice())
    bookings.cancel(booking)
    assert save(olga, booking, service="Shave") < 500


@pytest.mark.parametrize("day", ["0001-01-01", "9999-12-31"])
def test_a_date_at_the_end_of_time_is_an_error_of_the_form(olga: Client, day: str) -> None:
    assert save(olga, on_the_hour(alice()), wall_0=day) == 200
    assert save(olga, make_payment(bob()), due_on=day) == 200


def test_a_rule_with_an_absurd_offset_is_refused_before_it_ends_all_planning(olga: Client) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        ReminderRule.objects.create(
            name="absurd", anchor="booking_start", offset=3_000_000 * DAY, message="booking_upcoming"
        )
    make_booking(alice())


def test_an_amount_lowered_below_what_was_paid_ends_the_reminders(worker) -> None:
    payment = make_payment(alice(), amount=5000)
    payments.mark_paid(payment, 3000)
    payments.change(payment, amount=2000, currency="EUR", due_on=payment.due_on)
    assert payment.status == "paid"  # is open, and the customer is asked for -10.00


def test_a_rule_that_was_switched_off_sends_nothing_any_more(worker) -> None:
    due_now(first(make_booking(alice())))
    ReminderRule.objects.update(active=False)  # as the admin does: the plan follows later
    worker.run_due()
    assert mail.outbox == []


def test_a_rule_made_for_payments_leaves_no_deliveries_of_bookings(worker) -> None:
    booking, rule = make_booking(alice()), ReminderRule.objects.get(name__startswith="24 hours")
    ReminderRule.objects.filter(pk=rule.pk).update(anchor="payment_due", message="payment_upcoming")
    list(reconciler.reconcile())
    assert booking.deliveries.get(rule=rule).state == "skipped"


def test_a_reminder_of_the_same_morning_is_not_sent_after_the_start() -> None:
    rule = ReminderRule.objects.create(
        name="at eight", anchor="booking_start", offset=timedelta(), at_time=time(8), message="booking_upcoming"
    )
    day = (timezone.now() + 3 * DAY).replace(hour=4, minute=0, second=0, microsecond=0)
    booking = make_booking(alice(), starts=day)
    assert not booking.deliveries.filter(rule=rule, state="planned").exists()


def test_a_customer_whose_address_was_removed_is_skipped_for_that_reason(worker) -> None:
    booking = make_booking(alice())
    delivery = due_now(first(booking))
    type(booking.customer).objects.update(email="")
    worker.run_due()
    delivery.refresh_from_db()
    assert (delivery.state, delivery.reason) == ("skipped", "no_address")


def test_a_reminder_that_is_sent_while_the_booking_is_cancelled_is_on_the_receipt(monkeypatch) -> None:
    booking = make_booking(alice())
    delivery = first(booking)
    real = reminders.plan

    def plan(*args: Any, **kwargs: Any) -> Plan:
        sent = {"state": "sent", "token": 1, "sent_at": timezone.now()}
        Delivery.objects.filter(pk=delivery.pk).update(**sent)  # by a worker, which has committed it
        return real(*args, **kwargs)

    monkeypatch.setattr(reminders, "plan", plan)
    receipt = bookings.cancel(booking)
    assert delivery in receipt.already_sent + receipt.in_flight


def test_a_doubt_is_on_the_receipt() -> None:
    booking = make_booking(alice())
    delivery = first(booking)
    Delivery.objects.filter(pk=delivery.pk).update(state="in_doubt")
    receipt = bookings.cancel(booking)
    assert delivery in receipt.in_doubt


def test_a_worker_whose_clock_is_slow_still_ends_what_is_too_late(worker, monkeypatch) -> None:
    now = timezone.now()
    delivery = due_now(first(make_booking(alice())))
    Delivery.objects.filter(pk=delivery.pk).update(send_at=now - HOUR, useful_until=now - MINUTE)
    monkeypatch.setattr("notifications.reminders.timezone.now", lambda: now - 5 * MINUTE)
    worker.run_due()
    delivery.refresh_from_db()
    assert (delivery.reason, Job.objects.get(pk=delivery.pk).state) == ("too_late", "succeeded")  # is left running


def test_a_reminder_that_is_moved_while_its_worker_goes_back_to_sleep_is_woken_at_the_new_time(
    worker, monkeypatch
) -> None:
    """The worker has read "in six hours"; before it says so, the reminder is moved to "in two"."""
    booking = make_booking(alice(), starts=DAY + HOUR)
    delivery = due_now(first(booking))

    def moved(to_before: timedelta, then: Any) -> Any:
        def act(*args: Any, **facts: Any) -> Any:
            ReminderRule.objects.filter(pk=delivery.rule_id).update(offset=-to_before)
            list(reconciler.reconcile())
            return then(*args, **facts)

        return act

    monkeypatch.setattr(rendering, "render", moved(19 * HOUR, rendering.render))
    monkeypatch.setattr(ledger, "snooze", moved(23 * HOUR, ledger.snooze))
    worker.run_due()
    delivery.refresh_from_db()
    assert delivery.state == "planned"
    assert Job.objects.get(pk=delivery.pk).run_at == delivery.send_at == booking.starts_at - 23 * HOUR
