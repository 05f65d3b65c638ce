"""Each promise is broken by hand, past the application, and found; nothing else is found with it."""

import json
from datetime import time, timedelta
from io import StringIO

import pytest
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from jobs.models import Job
from notifications import bookings, reconciler, timing
from notifications.models import (
    Booking,
    Customer,
    Delivery,
    Payment,
    ReminderRule,
    RuleOverride,
)
from notifications.verify import CHECKS, counted
from tests.conftest import InProcessWorker
from tests.factories import DAY, HOUR, MINUTE, alice, bob, make_booking, make_payment
from tests.notifications.accidents import ACCIDENTS, at_night

pytestmark = pytest.mark.django_db

RULES = 4  # statements about the rules there are, see `_missing`


def run(*args: str) -> tuple[int, str]:
    out = StringIO()
    try:
        call_command("verify", *args, stdout=out)
    except SystemExit as exc:
        return int(str(exc.code)), out.getvalue()
    return 0, out.getvalue()


def broken() -> set[str]:
    return {check.name for check in CHECKS if check.broken().exists()}


@pytest.fixture
def lived(worker: InProcessWorker) -> Delivery:
    """A database with a past: sent, moved, cancelled, paid. Returns a sent delivery of a booking that is still on."""
    make_payment(bob())
    moved = make_booking(alice(email="anna@example.com"))
    later = moved.starts_at + DAY
    bookings.reschedule(moved, starts_at=later, ends_at=later + HOUR)
    bookings.cancel(make_booking(bob(email="b2@example.com")))
    booking = make_booking(alice(), starts=20 * HOUR)
    sent = booking.deliveries.get(rule__name__startswith="1 hour")
    past = timezone.now() - MINUTE
    Delivery.objects.filter(pk=sent.pk).update(send_at=past)
    Job.objects.filter(pk=sent.pk).update(run_at=past)
    worker.run_due()
    sent.refresh_from_db()
    assert sent.state == "sent"
    return sent


def test_a_database_that_was_only_used_keeps_all_promises(lived: Delivery) -> None:
    assert broken() == set()
    code, told = run()
    assert code == 0 and "All promises are kept." in told


@pytest.mark.parametrize("name", ACCIDENTS)
def test_a_broken_promise_is_found_and_named(name: str, lived: Delivery) -> None:
    ACCIDENTS[name](lived)
    also = {"after a move": {"missing bookings"}}.get(name, set())  # it has lost one of its own time
    assert broken() == {name} | also
    assert {check for check, number in counted().items() if number} <= {name}  # in one pass as by itself
    code, told = run()
    assert code == 1 and f"BROKEN  {name}" in told and f"of {len(CHECKS)} promises are broken" in told


def test_every_promise_has_its_accident() -> None:
    assert set(ACCIDENTS) == {check.name for check in CHECKS}


def test_a_cancel_and_an_intent_of_the_same_moment_are_no_broken_promise(lived: Delivery) -> None:
    Booking.objects.filter(pk=lived.anchor.pk).update(status="cancelled", closed_at=timezone.now())
    assert broken() == set()


def test_a_rule_that_is_off_for_a_service_is_not_missing(lived: Delivery) -> None:
    rule = ReminderRule.objects.get(name__startswith="15 min")
    Delivery.objects.filter(rule=rule).delete()
    assert broken() == {"missing bookings"}
    RuleOverride.objects.create(rule=rule, service="Haircut", active=False)
    assert broken() == set()


def test_the_list_is_for_programs_too_and_holds_no_address(lived: Delivery) -> None:
    ACCIDENTS["late"](lived)
    code, told = run("--json")
    data = json.loads(told)
    assert (code, data["kept"]) == (1, False)
    assert data["checks"]["late"] == {"broken": 1, "rows": [f"delivery {lived.pk}"]}
    assert "@" not in told and "Alice" not in told


def test_a_long_list_is_cut_and_says_so() -> None:
    for number in range(3):
        make_payment(bob(email=f"bob{number}@example.com"))
    Delivery.objects.all().delete()
    _, told = run("--limit", "1")
    assert "missing payments" in told and "and 2 more" in told


def test_many_questions_are_one_pass_and_the_others_a_statement_each(lived: Delivery) -> None:
    """And four for the rules there are, and what is off for some."""
    one_by_one = len(CHECKS) - len(counted())
    assert one_by_one == 15
    with CaptureQueriesContext(connection) as queries:
        run()
    asked = [query["sql"] for query in queries if query["sql"].startswith("SELECT")]
    assert len(asked) == 1 + one_by_one + RULES


# --- What is missing, and what is not ---


def test_a_notice_that_was_never_planned_is_missing(lived: Delivery) -> None:
    ReminderRule.objects.filter(anchor__in=["booking_made", "booking_moved"]).update(active=True)
    assert broken() == {"missing bookings"}
    list(reconciler.reconcile())
    assert broken() == set()


def test_a_repetition_of_a_series_that_is_not_there_is_missing(lived: Delivery) -> None:
    ReminderRule.objects.filter(name__startswith="14 days").update(repeat_every=DAY, repeat_times=3)
    assert broken() == {"missing payments"}
    list(reconciler.reconcile())
    assert broken() == set()
    RuleOverride.objects.create(rule=ReminderRule.objects.get(name__startswith="14 days"), service="X", active=False)
    assert broken() == set()
    Delivery.objects.filter(occurrence=2).delete()
    assert broken() == {"missing payments"}


def test_a_series_that_is_off_for_a_customer_misses_none_of_its_messages(lived: Delivery) -> None:
    rule = ReminderRule.objects.get(name__startswith="14 days")
    ReminderRule.objects.filter(pk=rule.pk).update(repeat_every=DAY, repeat_times=3)
    Delivery.objects.filter(rule=rule).delete()
    RuleOverride.objects.create(rule=rule, customer=Payment.objects.get().customer, active=False)
    assert broken() == set()


# --- The night ---


@pytest.mark.parametrize(
    ("zone", "begins", "ends", "shown", "found"),
    [
        ("Europe/Berlin", time(21), time(8), time(22), True),
        ("Europe/Berlin", time(21), time(8), time(7, 59), True),
        ("Europe/Berlin", time(21), time(8), time(8), False),
        ("Asia/Kathmandu", time(1), time(5), time(4, 59), True),
        ("Asia/Kathmandu", time(1), time(5), time(5, 1), False),
        ("Australia/Lord_Howe", time(21), time(8), time(21), True),
    ],
)
def test_what_is_planned_for_the_night_of_its_customer_is_found(
    lived: Delivery, zone: str, begins: time, ends: time, shown: time, found: bool
) -> None:
    waiting = Delivery.objects.filter(state="planned", payment__isnull=False).order_by("send_at").first()
    assert waiting is not None
    Customer.objects.filter(pk=waiting.customer_id).update(time_zone=zone)
    ReminderRule.objects.filter(pk=waiting.rule_id).update(quiet_from=begins, quiet_until=ends)
    at = timing.instant(waiting.send_at.date(), shown, zone)
    Delivery.objects.filter(pk=waiting.pk).update(send_at=at, useful_until=at + DAY)
    Job.objects.filter(pk=waiting.pk).update(run_at=at)
    assert broken() == ({"in quiet hours"} if found else set())


def test_a_rule_that_was_changed_since_does_not_turn_an_old_message_into_a_broken_promise(lived: Delivery) -> None:
    at_night(lived)
    assert broken() == {"in quiet hours"}
    ReminderRule.objects.filter(pk=lived.rule_id).update(changed_at=timezone.now())
    assert broken() == set()


def test_a_payment_that_is_paid_is_not_missing_anything(lived: Delivery) -> None:
    Payment.objects.update(status="paid", closed_at=timezone.now() + timedelta(hours=1))
    Delivery.objects.filter(payment__isnull=False).delete()
    assert broken() == set()
