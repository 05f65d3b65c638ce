"""Several messages at once: superseded ones, a cap per day, and digests."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.utils import timezone

from jobs import dispatcher, ledger
from jobs.models import Job
from notifications import crowding, digests, payments, reminders, rendering
from notifications.channels.base import Busy, Refused, Unknown
from notifications.models import Booking, Consent, Delivery, Payment, ReminderRule
from tests.factories import DAY, HOUR, MINUTE, alice, bob, make_booking, make_payment
from tests.notifications.providers import Provider, Providers, payment_of, providers as providers, put, reload
from tests.notifications.test_reminders import due_now
from tests.races import HeldProvider, HeldRendering, elsewhere, needs_postgresql, race, until_it_waits

pytestmark = pytest.mark.django_db


def by_rule(anchor: Booking | Payment) -> dict[str, Delivery]:
    rows = anchor.deliveries.select_related("rule").order_by("send_at")
    return {row.rule.name.split(" before")[0].split(" after")[0]: row for row in rows}


def held_up(anchor: Booking, ago: timedelta = MINUTE, *, useful: timedelta = 22 * HOUR) -> dict[str, Delivery]:
    """An outage: all of its reminders are due, the latest `ago`, each an hour after the one before, and of use."""
    rows = by_rule(anchor)
    for n, row in enumerate(reversed(rows.values())):
        at = timezone.now() - ago - n * HOUR
        Delivery.objects.filter(pk=row.pk).update(send_at=at, useful_until=at + useful)
        Job.objects.filter(pk=row.pk).update(run_at=at)
    return by_rule(anchor)


# --- Superseded ---


def test_after_an_outage_one_message_per_booking_goes_out_the_nearest_to_the_start(worker, providers) -> None:
    bookings_made = [make_booking(alice(email=f"a{n}@example.com")) for n in range(3)]
    for booking in bookings_made:
        held_up(booking)
    worker.run_due()
    for booking in bookings_made:
        fates = {name: (row.state, row.reason) for name, row in by_rule(booking).items()}
        assert fates == {
            "24 hours": ("skipped", "superseded"),
            "1 hour": ("skipped", "superseded"),
            "15 minutes": ("sent", ""),
        }
    assert len(providers["email"].taken) == 3


def test_a_reminder_that_is_on_time_is_not_superseded_by_one_that_is_still_to_come(worker, providers) -> None:
    rows = by_rule(make_booking(alice()))
    due_now(rows["24 hours"])
    worker.run_due()
    assert reload(rows["24 hours"]) == [("sent", "")]


@pytest.mark.parametrize("why", ["too late", "opted out", "withdrawn"])
def test_a_message_gives_way_only_to_one_that_goes_out(worker, providers: Providers, why: str) -> None:
    ReminderRule.objects.filter(name__startswith="15 min").update(channels=["sms"])
    customer = alice(phone="+493012345678")
    booking = make_booking(customer)
    booking.deliveries.filter(rule__name__startswith="15 min").update(channel="sms")
    rows = held_up(booking)
    nearest = Delivery.objects.filter(pk=rows["15 minutes"].pk)
    if why == "too late":
        nearest.update(useful_until=timezone.now())
    elif why == "withdrawn":
        nearest.update(state="skipped", reason="job_cancelled")
    else:
        Consent.objects.create(customer=customer, channel="sms", granted=False)
    worker.run_due()
    assert reload(rows["24 hours"], rows["1 hour"]) == [("skipped", "superseded"), ("sent", "")]
    assert providers["sms"].asked == {}


def test_two_rules_for_one_time_both_count_however_they_are_spread(worker, providers: Providers) -> None:
    ReminderRule.objects.update(tolerance=2 * HOUR)
    rows = held_up(make_booking(alice()))
    worker.run_due()
    assert reload(*rows.values()) == [("sent", "")] * 3


def test_the_message_says_how_it_is_now(worker, providers: Providers) -> None:
    late = by_rule(make_booking(alice(), starts=40 * MINUTE + timedelta(seconds=20)))["1 hour"]
    Delivery.objects.filter(pk=late.pk).update(state="planned", reason="")
    ledger.enqueue(reminders.job_for(late))
    worker.run_due()
    ((_, text),) = providers["email"].taken
    assert "your appointment, in 40 minutes:" in text


# --- Per day ---


@pytest.fixture
def dunning(providers: Providers) -> ReminderRule:
    """One rule about payments that are due, one message a day at most."""
    ReminderRule.objects.exclude(name="On the day a payment is due").delete()
    rule = ReminderRule.objects.get()
    rule.per_day = 1
    rule.save()
    return rule


def due_payments(customer, many: int) -> list[Delivery]:
    owed = [make_payment(customer, subject=f"Bill {n}") for n in range(many)]
    rows = [payment.deliveries.get() for payment in owed]
    return [due_now(row) for row in rows]


def test_a_customer_gets_no_more_on_a_day_than_the_rule_says(worker, dunning, providers: Providers) -> None:
    mine, other = due_payments(alice(), 3), due_payments(bob(), 1)
    worker.run_due()
    assert sorted(reload(*mine)) == [("sent", ""), ("skipped", "day_full"), ("skipped", "day_full")]
    assert reload(*other) == [("sent", "")]


def test_the_day_is_the_customers(worker, dunning, providers: Providers) -> None:
    yesterday, today = due_payments(alice(time_zone="Pacific/Kiritimati"), 2)
    zone = ZoneInfo("Pacific/Kiritimati")
    midnight = datetime.now(zone).replace(hour=0, minute=0, second=0, microsecond=0)
    before = {"state": "sent", "intent_at": midnight - timedelta(seconds=1)}
    Delivery.objects.filter(pk=yesterday.pk).update(**before)
    worker.run_due()
    assert reload(today) == [("sent", "")]
    Delivery.objects.filter(pk=today.pk).update(state="planned")
    Delivery.objects.filter(pk=yesterday.pk).update(intent_at=midnight.astimezone(UTC))
    Job.objects.filter(pk=today.pk).update(state="scheduled", finished_at=None)
    worker.run_due()
    assert reload(today) == [("skipped", "day_full")]


def test_a_refused_message_does_not_count(worker, dunning, providers: Providers) -> None:
    providers["email"].answers = [Refused("550")]
    rows = due_payments(alice(), 2)
    worker.run_due()
    assert sorted(reload(*rows)) == [("refused", ""), ("sent", "")]


@needs_postgresql
@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_two_workers_at_once_do_not_exceed_the_cap(dunning, monkeypatch, worker) -> None:
    """Both have rendered; the first holds the customer while the second counts."""
    rows, held = due_payments(alice(), 2), HeldProvider(monkeypatch)
    held.go_on.set()
    meanwhile: list[Any] = []

    count = crowding.day_is_full

    def first_counts(delivery: Delivery) -> bool:
        full = count(delivery)
        if not meanwhile:
            meanwhile.append(None)
            meanwhile[0] = elsewhere(lambda: second())
            future, process = meanwhile[0].__enter__()
            until_it_waits(future, process)
        return full

    def second() -> None:
        worker.run(messages[1])

    monkeypatch.setattr(crowding, "day_is_full", first_counts)
    dispatcher.dispatch_due()
    messages = worker.messages()
    worker.run(messages[0])
    meanwhile[0].__exit__(None, None, None)
    assert sorted(reload(*rows)) == [("sent", ""), ("skipped", "day_full")]


# --- Digests ---


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


def test_what_is_due_later_that_day_goes_along_and_tomorrow_does_not(worker, digest, providers, time_machine) -> None:
    time_machine.move_to(datetime(2027, 3, 24, 8, tzinfo=UTC))
    customer = alice(time_zone="UTC")
    now, evening, tomorrow = due_payments(customer, 3)
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
