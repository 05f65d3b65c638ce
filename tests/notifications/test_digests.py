"""A digest: one message that takes along what is due on the same day, all of it or none."""

from datetime import UTC, datetime

import pytest
from django.db import transaction
from django.utils import timezone

from jobs import dispatcher
from jobs.models import Job
from notifications import digests, outcomes, payments, reminders, rendering
from notifications.changes import in_order
from notifications.channels.base import Busy, Refused, Unknown
from notifications.models import Delivery, Payment, ReminderRule
from tests.factories import DAY, HOUR, MINUTE, alice, bob
from tests.notifications.providers import Provider, Providers, payment_of, providers as providers, put, reload
from tests.notifications.reminding import due_now
from tests.notifications.test_crowding import due_payments
from tests.races import HeldRendering, elsewhere, needs_postgresql, race, until_it_waits
from tests.virtual import virtual_time

pytestmark = pytest.mark.django_db


@pytest.fixture
def dunning(providers: Providers) -> ReminderRule:
    """One rule about payments that are due, one message a day at most."""
    ReminderRule.objects.exclude(name="On the day a payment is due").delete()
    rule = ReminderRule.objects.get()
    rule.per_day = 1
    rule.save()
    return rule


@pytest.fixture
def digest(dunning: ReminderRule) -> ReminderRule:
    dunning.per_day, dunning.digest = None, True
    dunning.save()
    return dunning


def test_the_payments_of_one_day_go_as_one_message_that_lists_them(worker, digest, providers: Providers) -> None:
    customer = alice()
    rows, other = due_payments(customer, 3), due_payments(bob(), 1)
    worker.run_due()
    lead = next(row for row in rows if reload(row) == [("sent", "")])
    assert sorted(reload(*rows)) == [("sent", ""), ("skipped", "in_digest"), ("skipped", "in_digest")]
    assert {row.digest_id for row in rows if row is not lead} == {lead.pk}
    (text,) = [text for key, text in providers["email"].taken if key == str(lead.pk)]
    assert all(f"Bill {n}" in text for n in range(3))
    assert reload(*other) == [("sent", "")]
    assert set(Job.objects.values_list("state", flat=True)) == {"succeeded"}


def test_what_is_due_later_that_day_goes_along_and_tomorrow_does_not(worker, digest, providers) -> None:
    with virtual_time(datetime(2027, 3, 24, 8, tzinfo=UTC)):
        now, evening, tomorrow = due_payments(alice(time_zone="UTC"), 3)
        Delivery.objects.filter(pk=evening.pk).update(send_at=datetime(2027, 3, 24, 18, tzinfo=UTC))
        Delivery.objects.filter(pk=tomorrow.pk).update(send_at=datetime(2027, 3, 25, 0, tzinfo=UTC))
        assert [one.pk for one in gathered(now)] == [evening.pk]


def gathered(lead: Delivery) -> list[Delivery]:
    return digests.gathered(lead, datetime.now(UTC))


def test_a_busy_provider_gives_them_all_back_and_all_go_out_later(worker, digest, providers: Providers) -> None:
    providers["email"].answers = [Busy("451", retry_after=MINUTE)]
    rows = due_payments(alice(), 3)
    dispatcher.dispatch_due()
    worker.run(worker.messages()[0])
    assert reload(*rows) == [("planned", "")] * 3
    assert {row.digest_id for row in rows} == {None}
    Job.objects.filter(state="queued").update(state="scheduled", lease_until=None)
    for row in rows:
        due_now(row)
    worker.run_due()
    assert sorted(reload(*rows)) == [("sent", ""), ("skipped", "in_digest"), ("skipped", "in_digest")]


def test_a_part_waits_while_its_digest_is_being_sent(worker, digest, providers: Providers) -> None:
    """Its own job must not end: the digest may yet be given back."""
    rows = due_payments(alice(), 2)
    lead, part = rows
    Delivery.objects.filter(pk=lead.pk).update(state="sending", token=9)
    Delivery.objects.filter(pk=part.pk).update(state="skipped", reason="in_digest", digest=lead)
    Job.objects.filter(pk=lead.pk).update(state="running", token=9, lease_until=timezone.now() + HOUR)
    worker.run_due()
    assert Job.objects.get(pk=part.pk).state == "scheduled"
    assert reload(part) == [("skipped", "in_digest")]


def test_after_a_doubt_the_same_message_goes_again_and_nothing_new_with_it(worker, digest, providers, settings) -> None:
    settings.CHANNEL_POLICIES = {"email": "resend"}
    providers["email"].answers = [Unknown("timeout")]
    customer = alice()
    rows = due_payments(customer, 2)
    worker.run_due()
    late = due_payments(customer, 1)
    lead = next(row for row in rows if reload(row) == [("planned", "")])
    for row in rows:
        due_now(row)
    Job.objects.filter(pk=late[0].pk).update(run_at=timezone.now() + DAY)
    worker.run_due()
    assert sorted(reload(*rows)) == [("sent", ""), ("skipped", "in_digest")]
    (text,) = [text for key, text in providers["email"].taken if key == str(lead.pk)]
    assert text.count("Bill") == 2
    assert reload(*late) == [("planned", "")]


def test_after_a_doubt_a_busy_provider_gives_nothing_back(digest, providers: Providers) -> None:
    """Its parts may have arrived with the attempt of which nobody knows."""
    lead, part = due_payments(alice(), 2)
    Delivery.objects.filter(pk=lead.pk).update(state="sending", token=3, doubts=1)
    Delivery.objects.filter(pk=part.pk).update(state="skipped", reason="in_digest", digest=lead)
    lead.refresh_from_db()
    outcomes.Intent(lead, 3, reminders.job_for).put_back("451")
    assert reload(lead, part) == [("planned", ""), ("skipped", "in_digest")]


def test_a_refused_digest_is_not_the_end_of_its_parts(worker, digest, providers: Providers) -> None:
    providers["email"].answers = [Refused("550"), None]
    rows = due_payments(alice(), 3)
    worker.run_due()
    assert sorted(reload(*rows)) == [("refused", ""), ("sent", ""), ("skipped", "in_digest")]


def test_a_payment_paid_while_its_digest_is_being_sent_is_told_so(worker, digest, providers: Providers) -> None:
    receipts = []

    class Meanwhile(Provider):
        def __call__(self, message, *, idempotency_key):
            part = Delivery.objects.get(digest=idempotency_key)
            receipts.append((part, payments.mark_paid(payment_of(part))))
            return super().__call__(message, idempotency_key=idempotency_key)

    put("email", Meanwhile())
    due_payments(alice(), 2)
    worker.run_due()
    ((part, receipt),) = receipts
    assert (receipt.in_flight, receipt.cancelled) == ([part], [])


def test_a_payment_paid_while_the_digest_is_written_is_left_out(worker, digest, providers, monkeypatch) -> None:
    rows, render = due_payments(alice(), 3), rendering.render
    paid: list[Delivery] = []

    def meanwhile(delivery: Delivery, **facts):
        message = render(delivery, **facts)
        if not paid:
            paid.append(delivery.companions[0])
            assert payments.mark_paid(payment_of(paid[0])).cancelled == [paid[0]]
        return message

    monkeypatch.setattr(rendering, "render", meanwhile)
    worker.run_due()
    assert sorted(reload(*rows)) == [("sent", ""), ("skipped", "in_digest"), ("skipped", "paid")]
    ((_, text),) = providers["email"].taken
    assert payment_of(paid[0]).subject not in text


def test_a_payment_paid_past_the_application_is_left_out_too(worker, digest, providers, monkeypatch) -> None:
    rows, render = due_payments(alice(), 3), rendering.render
    paid: list[Payment] = []

    def meanwhile(delivery: Delivery, **facts):
        message = render(delivery, **facts)
        if not paid:
            paid.append(payment_of(delivery.companions[0]))
            Payment.objects.filter(pk=paid[0].pk).update(status="paid")
        return message

    monkeypatch.setattr(rendering, "render", meanwhile)
    worker.run_due()
    assert ("skipped", "in_digest") in reload(*rows)
    ((_, text),) = providers["email"].taken
    assert paid[0].subject not in text


@needs_postgresql
@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_a_payment_being_paid_and_a_digest_at_once(worker, digest, providers, monkeypatch) -> None:
    """The payment has been written and not committed: the digest waits, and then goes without it."""
    rows = due_payments(alice(), 2)
    held = HeldRendering(monkeypatch)
    held.go_on.set()
    receipt, _ = race(lambda: payments.mark_paid(payment_of(rows[1])), worker.run_due)
    assert receipt.cancelled == [rows[1]]
    assert reload(*rows) == [("sent", ""), ("skipped", "paid")]
    ((_, text),) = providers["email"].taken
    assert "Bill 1" not in text


@needs_postgresql
@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_a_digest_and_a_change_of_its_parts_do_not_deadlock(worker, digest, providers) -> None:
    """The change has the part and wants the lead next; a digest that began with its lead would wait for the part."""
    part, lead = due_payments(alice(), 2)
    assert part.pk < lead.pk
    Delivery.objects.filter(pk=lead.pk).update(send_at=timezone.now() - HOUR)
    Job.objects.filter(pk=lead.pk).update(run_at=timezone.now() - HOUR)  # so that it is the one that leads
    with transaction.atomic():
        assert in_order(Delivery.objects.filter(pk=part.pk))
        began = elsewhere(worker.run_due)
        until_it_waits(*began.__enter__())
        assert in_order(Delivery.objects.filter(pk=lead.pk))
    began.__exit__(None, None, None)
    assert reload(lead, part) == [("sent", ""), ("skipped", "in_digest")]
