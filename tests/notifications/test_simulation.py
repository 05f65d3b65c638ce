"""What a simulation predicts is what is planned, and what goes out when that time comes (L3)."""

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, time, timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from jobs.models import Job
from notifications import bookings, reconciler
from notifications.forecast import Fate
from notifications.models import Booking, Consent, Customer, Delivery, Payment, ReminderRule, RuleOverride
from notifications.simulation import RuleSet, reads_only, simulate
from tests.conftest import InProcessWorker
from tests.factories import DAY, HOUR, MINUTE, alice, make_booking
from tests.notifications.providers import Providers, providers as providers
from tests.virtual import live, virtual_time

pytestmark = pytest.mark.django_db

# Bookings of which the plan is compared, and, which takes a while, what goes out.
MANY, DRIVEN = (int(os.environ.get("SIMULATED_BOOKINGS", usual)) for usual in (200, 48))
# Within four weeks from here the clocks change in New York (14 March), Berlin (28 March) and Lord Howe (4 April).
START = datetime(2027, 3, 9, 11, 7, tzinfo=UTC)
WEEKS = timedelta(days=28)
ZONES = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "Africa/Casablanca", "UTC")
Predicted = dict[tuple[Any, ...], Any]


@pytest.fixture
def clock() -> Iterator[Any]:
    with virtual_time(START) as clock:
        yield clock


def crowd(number: int) -> None:
    """Bookings and payments of the four weeks, imported: nothing is planned yet. Customers of many kinds."""
    people = Customer.objects.bulk_create(
        Customer(
            name=f"C{n}",
            email=f"c{n}@example.com" if n % 11 else "",
            phone=f"+4930123{n:04}" if n % 3 == 0 else "",
            time_zone=ZONES[n % len(ZONES)],
            channels=["sms"] if n % 7 == 0 else [],
        )
        for n in range(number // 4)
    )
    Consent.objects.bulk_create(Consent(customer=one, channel="email", granted=False) for one in people[::5])
    starts = [START + timedelta(minutes=(n * 40_009) % (27 * 24 * 60)) for n in range(number)]
    Booking.objects.bulk_create(
        Booking(
            customer=people[n % len(people)],
            service="Haircut" if n % 5 else "Massage",
            location="Berlin" if n % 2 else "",
            confirmed_at=START if n % 13 == 0 else None,
            **bookings.schedule(at, at + HOUR, ZONES[(n // 3) % len(ZONES)]),
        )
        for n, at in enumerate(starts)
    )
    Payment.objects.bulk_create(
        Payment(
            customer=people[n % len(people) // 2],  # several each
            subject=f"Bill {n}",
            amount=100 + n,
            currency="EUR",
            due_on=START.date() + timedelta(days=(n * 5) % 21),
            time_zone=ZONES[n % 4],
        )
        for n in range(number // 2)
    )


def rules_of_every_kind() -> None:
    """Quiet hours as installed; and a tolerance, a cap per day, digests, a series, overrides."""
    rules = ReminderRule.objects
    rules.filter(anchor="booking_start").update(channels=["email", "sms"])
    rules.filter(name__startswith="24 hours").update(tolerance=20 * MINUTE, unless_confirmed=True)
    rules.filter(name__startswith="15 min").update(per_day=2)
    rules.filter(name__startswith="On the day").update(digest=True)
    rules.filter(name__startswith="3 days").update(digest=True, at_time=time(7, 30))
    rules.filter(name__startswith="1 day after").update(repeat_every=2 * DAY, repeat_times=3, per_day=1)
    rules.filter(name__startswith="7 days").update(digest=True, at_time=time(2, 30), quiet="earlier")
    evening = {"offset": -DAY, "at_time": time(21, 30), "message": "booking_upcoming", "channels": ["inbox"]}
    rules.create(name="The evening before", anchor="booking_start", **evening)
    one_hour = rules.get(name__startswith="1 hour")
    RuleOverride.objects.create(rule=one_hour, service="Massage", offset=-3 * HOUR)
    RuleOverride.objects.create(rule=one_hour, location="Berlin", active=False)


def predicted(now: datetime, until: datetime, rules: RuleSet | None = None) -> tuple[Predicted, Counter[str]]:
    """When each message goes out, and how many do not for each reason."""
    going, reasons = {}, Counter[str]()
    for fate in fates(now, rules):
        if fate.at >= until:
            continue
        if fate.reason:
            reasons[fate.reason] += 1
        else:
            going[about(fate.delivery)] = fate.at
    return going, reasons


def fates(now: datetime, rules: RuleSet | None = None) -> list[Fate]:
    return [fate for ((*some,),) in simulate(now, [rules or RuleSet.stored()]) for fate in some]


def about(delivery: Delivery) -> tuple[Any, ...]:
    return delivery.booking_id, delivery.payment_id, delivery.rule.name, delivery.occurrence, delivery.channel


def planned(until: datetime) -> Predicted:
    rows = Delivery.objects.filter(state="planned", send_at__lt=until).select_related("rule")
    return {about(delivery): delivery.send_at for delivery in rows}


def happened(until: datetime) -> tuple[Predicted, Counter[str]]:
    rows = Delivery.objects.filter(send_at__lt=until).exclude(state="planned").select_related("rule")
    sent = {about(delivery): delivery.intent_at for delivery in rows if delivery.state == "sent"}
    assert {delivery.state for delivery in rows} <= {"sent", "skipped"}
    return sent, Counter(delivery.reason for delivery in rows if delivery.state == "skipped")


def differences(one: dict[Any, Any], other: dict[Any, Any]) -> list[Any]:
    return [(key, one.get(key), other.get(key)) for key in one.keys() | other.keys() if one.get(key) != other.get(key)]


# --- Predicted against actual ---


@pytest.mark.night
def test_what_is_predicted_is_what_is_planned(clock: Any) -> None:
    crowd(MANY)
    waiting = {about(fate.delivery): fate.delivery.send_at for fate in fates(START) if planned_by(fate)}
    list(reconciler.reconcile(now=START))
    assert len(waiting) > 2 * MANY
    assert differences(waiting, planned(datetime.max.replace(tzinfo=UTC))) == []


def planned_by(fate: Fate) -> bool:
    return fate.delivery.state == "planned" and not fate.withdrawn


@pytest.mark.night
def test_what_is_predicted_goes_out_at_that_time_by_every_kind_of_rule(
    clock: Any, worker: InProcessWorker, providers: Providers
) -> None:
    rules_of_every_kind()
    crowd(DRIVEN)
    until = START + WEEKS
    going, reasons = predicted(START, until)
    list(reconciler.reconcile())
    live(clock, worker, until)
    sent, skipped = happened(until)
    assert {"day_full", "in_digest", "quiet_hours", "confirmed", "no_address", "opted_out"} <= reasons.keys()
    print(f"\n{len(going)} predicted, {len(sent)} sent, {reasons.total()} not: {dict(reasons)}")
    assert differences(going, sent) == []
    assert reasons == skipped


@pytest.mark.night
def test_after_an_outage_too_it_goes_as_predicted(clock: Any, worker: InProcessWorker, providers: Providers) -> None:
    """Thirty hours in which nothing went out: some are too late, some give way, some wait until morning."""
    rules_of_every_kind()
    crowd(DRIVEN)
    list(reconciler.reconcile())
    now = START + timedelta(days=6, hours=18)
    clock.move_to(now)
    list(reconciler.reconcile())
    until = now + timedelta(days=2)
    going, reasons = predicted(now, until)
    live(clock, worker, until)
    sent, skipped = happened(until)
    assert reasons["too_late"] and reasons["superseded"]
    assert differences(going, sent) == []
    assert {reason: skipped[reason] for reason in ("superseded", "day_full", "in_digest")} == {
        reason: reasons[reason] for reason in ("superseded", "day_full", "in_digest")
    }


@pytest.mark.night
def test_what_is_booked_at_night_within_its_lead_time_stays_skipped(clock: Any) -> None:
    """The night would move the message to eight o'clock, which is to come; but it was too late when it was booked."""
    clock.move_to(datetime(2027, 6, 1, 2, tzinfo=UTC))  # four o'clock in Berlin
    booking = make_booking(alice(), starts=datetime(2027, 6, 2, 1, tzinfo=UTC))
    fates_then = {fate.delivery.pk: (fate.at, fate.reason) for fate in fates(timezone.now())}
    clock.move_to(datetime(2027, 6, 1, 3, tzinfo=UTC))
    assert sum(plan.changes for plan in reconciler.reconcile()) == 0
    assert booking.deliveries.get(rule__name__startswith="24 hours").reason == "lead_time_past"
    assert {fate.delivery.pk: (fate.at, fate.reason) for fate in fates(timezone.now())} == fates_then


# --- What it costs, and what it leaves alone ---


def everything() -> list[Any]:
    tables = (Booking, Payment, Customer, Delivery, ReminderRule, RuleOverride, Consent, Job)
    return [sorted(map(str, model.objects.values_list())) for model in tables]


def test_nothing_is_written(clock: Any) -> None:
    rules_of_every_kind()
    crowd(24)
    list(reconciler.reconcile())
    one_hour = ReminderRule.objects.get(name__startswith="1 hour")
    one_hour.offset, one_hour.channels = -2 * HOUR, ["sms"]
    before = everything()
    list(simulate(timezone.now(), [RuleSet.stored(), RuleSet.instead([one_hour])]))
    call_command("simulate", "--days", "60", stdout=StringIO())
    assert everything() == before


class Undo(Exception):
    """What Django asks for after a statement that failed."""


def test_whatever_would_write_is_refused() -> None:
    customer = alice()
    with suppress(Undo), transaction.atomic():
        with reads_only(), pytest.raises(RuntimeError, match="writes nothing"):
            Customer.objects.filter(pk=customer.pk).update(name="Eve")
        raise Undo
    assert Customer.objects.filter(pk=customer.pk).update(name="Anna") == 1


def statements() -> int:
    with CaptureQueriesContext(connection) as queries:
        assert fates(START)
    return len(queries)


def test_a_chunk_costs_the_same_number_of_statements_whatever_is_in_it(clock: Any) -> None:
    rules_of_every_kind()
    crowd(12)
    few = statements()
    list(reconciler.reconcile())
    crowd(120)
    assert statements() == few


def test_it_comes_to_the_same_in_chunks_of_any_size(clock: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A customer whose payments are in several chunks gets them as one digest all the same."""
    rules_of_every_kind()
    crowd(60)
    whole, once = predicted(START, START + WEEKS), statements()
    monkeypatch.setattr("notifications.simulation.CHUNK", 7)
    assert predicted(START, START + WEEKS) == whole
    chunks = -(-60 // 7) + -(-30 // 7)
    assert statements() - once <= (chunks - 2) * 9


# --- Other rules ---


def test_a_rule_that_is_not_in_the_file_is_off_also_for_whom_it_is_overridden(clock: Any) -> None:
    booking = make_booking(alice(), starts=START + 3 * DAY)
    rule = ReminderRule.objects.get(name__startswith="1 hour")
    RuleOverride.objects.create(rule=rule, customer=booking.customer, active=True)
    kept = list(ReminderRule.objects.filter(name__startswith="24 hours"))
    found = {fate.delivery.rule.name[:7]: (fate.reason, fate.withdrawn) for fate in fates(START, RuleSet.instead(kept))}
    assert found == {"24 hour": ("", False), "1 hour ": ("rule_off", True), "15 minu": ("rule_off", True)}


def test_new_rules_count_though_they_have_no_number(clock: Any) -> None:
    make_booking(alice(), starts=START + 3 * DAY)
    new = [
        ReminderRule(name=f"New {n}", anchor="booking_start", offset=-n * HOUR, message="booking_upcoming")
        for n in (2, 3)
    ]
    going = [(fate.delivery.rule.name, fate.at) for fate in fates(START, RuleSet.instead(new)) if not fate.reason]
    assert going == [("New 3", START + 3 * DAY - 3 * HOUR), ("New 2", START + 3 * DAY - 2 * HOUR)]
