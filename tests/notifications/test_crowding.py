"""Several messages at once: superseded ones, and a cap per day."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.utils import timezone

from jobs import dispatcher, ledger
from jobs.models import Job
from notifications import crowding, reminders
from notifications.channels.base import Refused
from notifications.models import Booking, Consent, Delivery, Payment, ReminderRule
from tests.factories import HOUR, MINUTE, alice, bob, make_booking, make_payment
from tests.notifications.providers import Providers, providers as providers, reload
from tests.notifications.reminding import due_now
from tests.races import HeldProvider, elsewhere, needs_postgresql, until_it_waits
from tests.virtual import noon as noon

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


def test_the_message_says_how_it_is_now(noon: Any, worker, providers: Providers) -> None:
    late = by_rule(make_booking(alice(), starts=40 * MINUTE + timedelta(seconds=20)))["1 hour"]
    Delivery.objects.filter(pk=late.pk).update(state="planned", reason="")
    ledger.enqueue(reminders.job_for(late))
    worker.run_due()
    ((_, text),) = providers["email"].taken
    assert "your appointment, in 40 minutes:" in text


# --- Per day ---


@pytest.fixture
def dunning(noon: Any, providers: Providers) -> ReminderRule:
    """One rule about payments that are due, one message a day at most; and the day does not end meanwhile."""
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
