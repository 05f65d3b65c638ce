"""Planning is reconciliation, and sending goes through one gate."""

from dataclasses import replace
from datetime import timedelta

import pytest
from django.core import mail
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from jobs import ledger
from jobs.models import Job
from notifications import bookings, fence, payments, reconciler, reminders, rendering
from notifications.changes import Plan
from notifications.channels import CHANNELS
from notifications.channels.base import Busy, Refused, Unknown
from notifications.models import Booking, Delivery, Payment, ReminderRule
from tests.conftest import InProcessWorker
from tests.factories import DAY, HOUR, MINUTE, alice, bob, make_booking, make_payment

pytestmark = pytest.mark.django_db


def states(anchor) -> dict[str, str]:
    rows = anchor.deliveries.filter(revision=anchor.revision).select_related("rule")
    return {row.rule.name.split(" before")[0]: row.reason or row.state for row in rows}


def plan(*anchors) -> Plan:
    with transaction.atomic():
        return reminders.plan(list(anchors))


def due_now(delivery: Delivery) -> Delivery:
    """Time passes until the delivery is due."""
    past = timezone.now() - timedelta(seconds=5)
    Delivery.objects.filter(pk=delivery.pk).update(send_at=past)
    Job.objects.filter(pk=delivery.pk).update(run_at=past)
    delivery.refresh_from_db()
    return delivery


def first(anchor) -> Delivery:
    return anchor.deliveries.filter(state="planned").order_by("send_at")[0]


# --- Planning ---


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


# --- Sending ---


def test_a_due_reminder_is_sent_once_and_says_what_and_when(worker: InProcessWorker) -> None:
    booking = make_booking(alice(), location="Königstraße 1")
    delivery = due_now(first(booking))
    worker.run_due()
    delivery.refresh_from_db()
    (message,) = mail.outbox
    assert (delivery.state, delivery.token) == ("sent", 1)
    assert delivery.provider_id == message.extra_headers["Message-ID"] == f"<{delivery.pk}@localhost>"
    assert message.to == ["alice@example.com"]
    assert f"{booking.local_start:%H:%M}" not in message.subject or "Haircut" in message.subject
    assert "Haircut" in message.body and "Königstraße 1" in message.body
    assert Job.objects.get(pk=delivery.pk).state == "succeeded"


def test_a_second_message_for_a_sent_reminder_sends_nothing(worker: InProcessWorker) -> None:
    delivery = due_now(first(make_booking(alice())))
    worker.run_due()
    ledger_job = Job.objects.get(pk=delivery.pk)
    Job.objects.filter(pk=ledger_job.pk).update(state="scheduled", finished_at=None)
    worker.run_due()
    assert len(mail.outbox) == 1


def test_a_crash_after_the_intent_becomes_a_doubt_and_is_never_sent_again(worker: InProcessWorker) -> None:
    delivery = due_now(first(make_booking(alice())))
    Delivery.objects.filter(pk=delivery.pk).update(state="sending", token=1)  # and the worker was killed
    worker.run_due()
    delivery.refresh_from_db()
    assert delivery.state == "in_doubt"
    assert mail.outbox == []


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda d: Booking.objects.filter(pk=d.booking_id).update(status="cancelled"), "cancelled"),
        (lambda d: Booking.objects.filter(pk=d.booking_id).update(revision=9), "rescheduled"),
        (lambda d: Delivery.objects.filter(pk=d.pk).update(useful_until=timezone.now()), "too_late"),
        (lambda d: ReminderRule.objects.filter(pk=d.rule_id).update(active=True), ""),
    ],
)
def test_the_fence_looks_at_the_rows_as_they_are_when_sending(worker: InProcessWorker, change, reason) -> None:
    delivery = due_now(first(make_booking(alice())))
    change(delivery)
    worker.run_due()
    delivery.refresh_from_db()
    assert (delivery.state, delivery.reason) == (("skipped", reason) if reason else ("sent", ""))
    assert len(mail.outbox) == (0 if reason else 1)


def test_a_paid_payment_is_not_reminded_even_if_it_was_paid_past_the_application(worker: InProcessWorker) -> None:
    delivery = due_now(first(make_payment(bob())))
    Payment.objects.update(status="paid")
    worker.run_due()
    delivery.refresh_from_db()
    assert (delivery.reason, mail.outbox) == ("paid", [])


def test_a_reminder_is_never_early(worker: InProcessWorker) -> None:
    delivery = first(make_booking(alice()))
    Job.objects.filter(pk=delivery.pk).update(run_at=timezone.now() - MINUTE)  # whoever made it due
    worker.run_due()
    job = Job.objects.get(pk=delivery.pk)
    assert mail.outbox == []
    assert (job.state, job.run_at, job.failures) == ("scheduled", delivery.send_at, 0)


def test_a_worker_that_lost_its_job_does_not_send(worker: InProcessWorker, monkeypatch) -> None:
    """Between claim and fence the lease ran out and another worker has the job."""
    delivery = due_now(first(make_booking(alice())))
    render = rendering.render

    def slowly(row, **facts):
        Job.objects.filter(pk=delivery.pk).update(token=7)
        return render(row, **facts)

    monkeypatch.setattr(rendering, "render", slowly)
    worker.run_due()
    delivery.refresh_from_db()
    assert (delivery.state, mail.outbox) == ("planned", [])


def test_a_worker_that_was_stopped_between_intent_and_request_does_not_send(worker, monkeypatch) -> None:
    delivery = due_now(first(make_booking(alice())))
    monkeypatch.setattr(fence, "QUARANTINE", timedelta(seconds=-1))
    worker.run_due()
    delivery.refresh_from_db()
    assert (delivery.state, mail.outbox) == ("planned", [])
    assert Job.objects.get(pk=delivery.pk).failures == 1


def provider(monkeypatch, answer: Exception) -> None:
    def send(message, *, idempotency_key):
        raise answer

    monkeypatch.setitem(CHANNELS, "email", replace(CHANNELS["email"], send=send))


def test_a_busy_provider_is_tried_again_later(worker: InProcessWorker, monkeypatch) -> None:
    delivery, send = due_now(first(make_booking(alice()))), CHANNELS["email"]
    provider(monkeypatch, Busy("451 greylisted"))
    worker.run_due()
    delivery.refresh_from_db()
    job = Job.objects.get(pk=delivery.pk)
    assert (delivery.state, job.failures) == ("planned", 1)
    assert job.state in ("scheduled", "queued")  # the jitter may be nothing
    monkeypatch.setitem(CHANNELS, "email", send)
    due_now(delivery)
    worker.run_due()
    delivery.refresh_from_db()
    assert delivery.state == "sent"


def test_a_provider_that_stays_busy_is_tried_for_as_long_as_the_reminder_is_useful(worker, monkeypatch) -> None:
    delivery = due_now(first(make_booking(alice())))
    Job.objects.filter(pk=delivery.pk).update(failures=200)
    provider(monkeypatch, Busy("451 greylisted", retry_after=10 * MINUTE))
    worker.run_due()
    delivery.refresh_from_db()
    job = Job.objects.get(pk=delivery.pk)
    assert (delivery.state, job.state) == ("planned", "scheduled")
    assert 9 * MINUTE < job.run_at - timezone.now() <= 10 * MINUTE  # when the provider wants it
    Delivery.objects.filter(pk=delivery.pk).update(useful_until=timezone.now())
    due_now(delivery)
    worker.run_due()
    delivery.refresh_from_db()
    assert (delivery.reason, delivery.detail) == ("too_late", "451 greylisted")


def test_a_refusal_is_final(worker: InProcessWorker, monkeypatch) -> None:
    delivery = due_now(first(make_booking(alice())))
    provider(monkeypatch, Refused("550 no such mailbox"))
    worker.run_due()
    delivery.refresh_from_db()
    assert (delivery.state, delivery.detail) == ("refused", "550 no such mailbox")
    assert Job.objects.get(pk=delivery.pk).state == "failed"


@pytest.mark.parametrize("answer", [Unknown("timeout"), RuntimeError("nobody thought of this")])
def test_an_unknown_outcome_is_a_doubt_and_is_not_retried(worker: InProcessWorker, monkeypatch, answer) -> None:
    delivery = due_now(first(make_booking(alice())))
    provider(monkeypatch, answer)
    worker.run_due()
    delivery.refresh_from_db()
    assert delivery.state == "in_doubt"
    assert Job.objects.get(pk=delivery.pk).state == "failed"


def test_a_broken_template_is_skipped_with_the_reason_and_sends_nothing(worker: InProcessWorker) -> None:
    ReminderRule.objects.update(message="no_such_message")
    delivery = due_now(first(make_booking(alice())))
    worker.run_due()
    delivery.refresh_from_db()
    assert (delivery.state, delivery.reason) == ("skipped", "broken_template")
    assert "no_such_message" in delivery.detail


def test_a_job_that_an_operator_cancelled_shows_on_the_delivery(worker: InProcessWorker) -> None:
    delivery = first(make_booking(alice()))
    ledger.cancel([delivery.pk], "olga said so")
    assert reconciler.settle() == 1
    delivery.refresh_from_db()
    assert (delivery.state, delivery.reason) == ("skipped", "job_cancelled")


def test_a_job_that_ended_while_sending_leaves_a_doubt(worker: InProcessWorker) -> None:
    delivery = first(make_booking(alice()))
    Delivery.objects.filter(pk=delivery.pk).update(state="sending", token=1)
    Job.objects.filter(pk=delivery.pk).update(state="failed", finished_at=timezone.now())
    assert reconciler.settle() == 1
    delivery.refresh_from_db()
    assert delivery.state == "in_doubt"


def test_what_a_person_withdrew_is_not_planned_again() -> None:
    booking = make_booking(alice())
    assert reconciler.withdraw([first(booking).pk], "olga") == 1
    assert plan(booking).changes == 0


@pytest.mark.parametrize(("state", "again"), [("refused", 1), ("skipped", 1), ("sent", 0), ("in_doubt", 0)])
def test_only_what_was_refused_or_withdrawn_is_sent_again(worker: InProcessWorker, state: str, again: int) -> None:
    delivery = due_now(first(make_booking(alice())))
    Delivery.objects.filter(pk=delivery.pk).update(state=state)
    Job.objects.filter(pk=delivery.pk).update(state="succeeded", finished_at=timezone.now())
    assert reconciler.resend([delivery.pk], "olga") == again
    worker.run_due()
    assert len(mail.outbox) == again


def test_what_was_skipped_at_once_and_never_had_a_job_can_be_sent(worker: InProcessWorker) -> None:
    booking = make_booking(alice(), starts=30 * MINUTE)
    skipped = booking.deliveries.get(reason="lead_time_past", rule__name__startswith="1 hour")
    assert reconciler.resend([skipped.pk], "olga") == 1
    worker.run_due()
    skipped.refresh_from_db()
    assert (skipped.state, len(mail.outbox)) == ("sent", 1)


def test_a_job_cancelled_while_it_runs_does_not_send_and_ends_as_cancelled(worker, monkeypatch) -> None:
    delivery = due_now(first(make_booking(alice())))
    render = rendering.render

    def meanwhile(row, **facts):
        assert ledger.cancel([delivery.pk], "olga said so") == {delivery.pk: "in flight"}
        return render(row, **facts)

    monkeypatch.setattr(rendering, "render", meanwhile)
    worker.run_due()
    assert Job.objects.get(pk=delivery.pk).state == "cancelled"
    reconciler.settle()
    delivery.refresh_from_db()
    assert (delivery.state, delivery.reason, mail.outbox) == ("skipped", "job_cancelled", [])


def test_a_name_cannot_add_a_header(worker: InProcessWorker) -> None:
    booking = make_booking(alice(), service="Cut\r\nBcc: victim@example.com")
    due_now(first(booking))
    worker.run_due()
    (message,) = mail.outbox
    assert "\n" not in message.subject
    assert message.recipients() == ["alice@example.com"]
    assert "Bcc" not in message.message()
