"""Each promise is broken by hand, past the application, and found; nothing else is found with it."""

import json
from collections.abc import Callable
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.utils import timezone

from jobs.models import Job
from notifications import bookings
from notifications.models import Booking, Consent, Delivery, Payment, ReminderRule, RuleOverride
from notifications.verify import CHECKS
from tests.conftest import InProcessWorker
from tests.factories import DAY, HOUR, MINUTE, alice, bob, make_booking, make_payment

pytestmark = pytest.mark.django_db


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


def gone(minutes: float) -> Any:
    return timezone.now() - minutes * MINUTE


def twice(sent: Delivery) -> None:
    copy = {f.attname: getattr(sent, f.attname) for f in Delivery._meta.concrete_fields if f.name != "id"}
    Delivery.objects.create(**copy | {"channel": "sms", "provider_id": ""})


def twice_accepted(sent: Delivery) -> None:
    other = Delivery.objects.filter(state="planned").exclude(booking=sent.booking).first()
    assert other is not None
    now = timezone.now()
    done = {"state": "sent", "send_at": now - HOUR, "sent_at": now, "intent_at": now, "provider_id": sent.provider_id}
    Delivery.objects.filter(pk=other.pk).update(**done)


def no(sent: Delivery) -> None:
    Consent.objects.create(customer=sent.customer, channel="email", granted=False, changed_at=gone(30))


ACCIDENTS: dict[str, Callable[[Delivery], Any]] = {
    "missing bookings": lambda sent: Delivery.objects.filter(booking__status="booked", state="planned").delete(),
    "missing payments": lambda sent: Delivery.objects.filter(payment__isnull=False).delete(),
    "sent twice": twice,
    "accepted twice": twice_accepted,
    "after a close": lambda sent: Booking.objects.filter(pk=sent.anchor.pk).update(
        status="cancelled", closed_at=gone(30)
    ),
    "after a move": lambda sent: (
        Delivery.objects.filter(pk=sent.pk).update(revision=0)
        and Booking.objects.filter(pk=sent.anchor.pk).update(moved_at=gone(30))
    ),
    "after a refusal": no,
    "early": lambda sent: Delivery.objects.filter(pk=sent.pk).update(send_at=gone(-1)),
    "late": lambda sent: Delivery.objects.filter(pk=sent.pk).update(useful_until=gone(1)),
    "after the start": lambda sent: Booking.objects.filter(pk=sent.anchor.pk).update(starts_at=gone(1)),
    "unexplained": lambda sent: Delivery.objects.filter(state="skipped").update(reason=""),
    "contradicting": lambda sent: Delivery.objects.filter(state="skipped").update(sent_at=gone(0)),
    "forgotten": lambda sent: Delivery.objects.filter(state="planned").update(send_at=gone(9), useful_until=gone(6)),
    "orphaned": lambda sent: Delivery.objects.update(created_at=gone(60)) and Job.objects.update(state="succeeded"),
}


@pytest.mark.parametrize("name", ACCIDENTS)
def test_a_broken_promise_is_found_and_named(name: str, lived: Delivery) -> None:
    ACCIDENTS[name](lived)
    also = {"after a move": {"missing bookings"}}.get(name, set())  # it has lost one of its own time
    assert broken() == {name} | also
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


def test_a_question_costs_one_statement_each(lived: Delivery, django_assert_max_num_queries: Any) -> None:
    with django_assert_max_num_queries(len(CHECKS) + 2):
        run()


def test_a_payment_that_is_paid_is_not_missing_anything(lived: Delivery) -> None:
    Payment.objects.update(status="paid", closed_at=timezone.now() + timedelta(hours=1))
    Delivery.objects.filter(payment__isnull=False).delete()
    assert broken() == set()
