"""What gives way to what: the forecast and the fence decide it alike, whatever the rules are."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from itertools import permutations
from random import Random
from typing import Any

import pytest
from django.utils import timezone

from notifications import bookings, crowding, reconciler, timing
from notifications.models import Booking, Customer, Delivery, Payment, ReminderRule, RuleOverride
from tests.conftest import InProcessWorker
from tests.factories import DAY, HOUR, MINUTE, alice, make_booking
from tests.notifications.providers import Providers, providers as providers
from tests.notifications.test_simulation import differences, happened, predicted
from tests.virtual import live, virtual_time

pytestmark = [pytest.mark.django_db, pytest.mark.night]
START = datetime(2027, 3, 11, 11, 7, tzinfo=UTC)  # three days before the clocks change in New York
SEEDS = range(int(os.environ.get("RULE_SEEDS", 3)))
OUTAGE = timedelta(hours=20)


@pytest.fixture
def clock() -> Iterator[Any]:
    with virtual_time(START) as clock:
        yield clock


def rules_at_random(chance: Random) -> None:
    """Some rules about bookings and payments whose quiet hours bring them together, and overrides of them."""
    ReminderRule.objects.all().delete()
    night = chance.choice([(time(21), time(8)), (time(23), time(7, 30)), (time(0), time(9))])
    nights = [night, night, night, (time(20), time(7)), (None, None)]
    for number, minutes in enumerate([15, 60, 120, chance.choice([5, 30, 240, 480]), 1440, 0, 0]):
        begins, ends = chance.choice(nights) if number > 1 else night
        of_payment = not minutes
        rule = ReminderRule.objects.create(
            name=f"Rule {number}",
            anchor="payment_due" if of_payment else "booking_start",
            offset=-minutes * MINUTE,
            at_time=chance.choice([time(2, 30), time(6, 30), time(8)]) if of_payment else None,
            message="payment_upcoming" if of_payment else "booking_upcoming",
            channels=chance.choice([["email"], ["sms"], ["inbox"], ["email", "sms"]]),
            useful_for=chance.choice([None, None, 3 * HOUR, 20 * HOUR]) if number > 1 else None,
            tolerance=chance.choice([0, 0, 1, 20, 90]) * MINUTE if number > 1 else 0 * MINUTE,
            per_day=chance.choice([None, None, None, 2]) if number > 1 else None,
            digest=of_payment and chance.random() < 0.6,
            quiet_from=begins,
            quiet_until=ends,
            quiet=chance.choice(["later", "later", "earlier", "skip"]) if number > 1 else "later",
        )
        if not of_payment and chance.random() < 0.4:
            RuleOverride.objects.create(rule=rule, service="Massage", offset=-chance.choice([10, 90]) * MINUTE)


def mornings(chance: Random) -> None:
    """Bookings soon after the night is over, and payments that are due then; nothing is planned yet.

    Of the first the night brings the first two reminders together, whatever else chance brings.
    """
    woken: Any = ReminderRule.objects.get(name="Rule 0").quiet_until
    at = timing.instant(START.date() + 2 * DAY, woken.replace(minute=woken.minute + 10), "Europe/Berlin")
    first = alice(email="first@example.com", phone="+4930999", time_zone="Europe/Berlin")
    Booking.objects.create(customer=first, service="Haircut", **bookings.schedule(at, at + HOUR, "Europe/Berlin"))
    for number in range(10):
        zone = chance.choice(["Europe/Berlin", "America/New_York", "Asia/Kathmandu"])
        customer = alice(
            email=f"a{number}@example.com",
            time_zone=zone,
            phone=f"+4930123{number:04}" if chance.random() < 0.7 else "",
        )
        day = START.date() + chance.randrange(1, 4) * DAY
        at = timing.instant(day, time(chance.choice([7, 8, 9]), chance.choice([5, 10, 40])), zone)
        service = chance.choice(["Haircut", "Massage"])
        Booking.objects.create(customer=customer, service=service, **bookings.schedule(at, at + HOUR, zone))
        if number < 3:
            for _ in range(2):
                Payment.objects.create(customer=customer, amount=100, currency="EUR", due_on=day, time_zone=zone)


@pytest.mark.parametrize("seed", SEEDS)
def test_whatever_the_rules_what_is_predicted_goes_out(
    clock: Any, worker: InProcessWorker, providers: Providers, seed: int
) -> None:
    rules_at_random(Random(seed))
    mornings(Random(seed))
    until = START + 5 * DAY
    going, reasons = predicted(START, until)
    list(reconciler.reconcile())
    live(clock, worker, until)
    sent, skipped = happened(until)
    assert differences(going, sent) == []
    assert reasons == skipped
    assert reasons["superseded"] and at_one_moment() == []


@pytest.mark.parametrize("seed", SEEDS)
def test_after_an_outage_too(clock: Any, worker: InProcessWorker, providers: Providers, seed: int) -> None:
    rules_at_random(Random(seed))
    mornings(Random(seed))
    list(reconciler.reconcile())
    clock.move_to(START + OUTAGE)
    until = START + 5 * DAY
    going, reasons = predicted(START + OUTAGE, until)
    live(clock, worker, until)
    sent, skipped = happened(until)
    assert differences(going, sent) == []
    assert reasons["superseded"] == skipped["superseded"] > 0


def at_one_moment() -> list[Any]:
    """Two messages about one booking that went out together, though one was meant for later than the other."""
    rows = list(Delivery.objects.filter(state="sent").select_related("rule"))
    pairs = [(one, other) for one, other in permutations(rows, 2) if same(one, other)]
    return [(one.rule.name, other.rule.name, one.intent_at) for one, other in pairs if crowding.outranks(one, other)]


def same(one: Delivery, other: Delivery) -> bool:
    about = (one.booking_id, one.payment_id) == (other.booking_id, other.payment_id)
    return about and one.intent_at == other.intent_at


def test_the_fence_and_the_forecast_ask_the_same(clock: Any) -> None:
    """Over random rows of one booking: what outranks what in memory does so in the database."""
    chance, booking = Random(7), make_booking(alice(), starts=5 * DAY)
    rules = list(ReminderRule.objects.filter(anchor="booking_start"))
    rows = list(booking.deliveries.select_related("rule"))
    found = 0
    for _ in range(60):
        for rule in rules:
            rule.tolerance = chance.choice([0, 0, 1, 30]) * MINUTE
            rule.save(update_fields=["tolerance"])
        for row in rows:
            row.send_at = START - chance.choice([0, 0, 1, 45, 120]) * MINUTE
            row.moved_from = chance.choice([None, START - chance.randrange(600) * MINUTE])
            row.revision = chance.choice([1, 1, 1, 2])
            row.rule = next(rule for rule in rules if rule.pk == row.rule_id)
            row.save(update_fields=["send_at", "moved_from", "revision"])
        for late in rows:
            expected = {row.pk for row in rows if row is not late and crowding.outranks(row, late)}
            assert set(crowding.superseding(late).values_list("pk", flat=True)) == expected
            found += len(expected)
    assert found > 30


def test_no_two_give_way_to_each_other() -> None:
    """Nor three: it is a strict order by the moment for which they were meant."""
    chance, now = Random(3), timezone.now()
    for _ in range(2000):
        tolerances = [chance.choice([0, 5, 60]) * MINUTE for _ in range(3)]
        rows = [
            Delivery(
                rule=ReminderRule(anchor="booking_start", tolerance=tolerance),
                customer=Customer(),
                revision=1,
                send_at=now + chance.randrange(90) * MINUTE,
                moved_from=chance.choice([None, now + chance.randrange(90) * MINUTE]),
            )
            for tolerance in tolerances
        ]
        a, b, c = rows
        assert not (crowding.outranks(a, b) and crowding.outranks(b, a))
        assert not (crowding.outranks(a, b) and crowding.outranks(b, c) and crowding.outranks(c, a))
