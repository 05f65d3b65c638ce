"""Sending goes through one gate: the rows as they are, once, and an end with a reason."""

from dataclasses import replace
from datetime import timedelta

import pytest
from django.core import mail
from django.utils import timezone

from jobs import ledger
from jobs.models import Job
from notifications import fence, reconciler, rendering
from notifications.channels import CHANNELS
from notifications.channels.base import Busy, Refused, Unknown
from notifications.models import Booking, Delivery, Payment, ReminderRule
from tests.conftest import InProcessWorker
from tests.factories import MINUTE, alice, bob, make_booking, make_payment
from tests.notifications.reminding import due_now, first, plan

pytestmark = pytest.mark.django_db


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
    withdrawn = first(booking)
    assert reconciler.withdraw([withdrawn.pk], "olga") == {withdrawn.pk: "withdrawn"}
    assert Job.objects.get(pk=withdrawn.pk).state == "cancelled"
    assert plan(booking).changes == 0


def test_what_is_not_yet_due_is_not_sent_again_before_its_time() -> None:
    booking = make_booking(alice())
    withdrawn = first(booking)
    reconciler.withdraw([withdrawn.pk], "olga")
    assert reconciler.resend([withdrawn.pk], "vera") == 0


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
