"""How late messages were, and what became of those of today."""

from datetime import datetime, timedelta

import pytest
from django.db import connection
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from notifications import punctuality
from notifications.models import Customer, Delivery
from notifications.punctuality import Ends
from tests.factories import DAY, HOUR, alice, make_booking

pytestmark = pytest.mark.django_db
SECOND = timedelta(seconds=1)


@pytest.fixture
def now() -> datetime:
    return timezone.now()


@pytest.fixture
def customer() -> Customer:
    return alice()


def delivery(customer: Customer, state: str, *, due: datetime, late: timedelta | None = None, **fields: object) -> None:
    """One of a booking of its own."""
    made = make_booking(customer, starts=5 * DAY).deliveries.all()[0]
    changed = {"state": state, "send_at": due, "sent_at": None if late is None else due + late, **fields}
    Delivery.objects.filter(pk=made.pk).update(**changed)


def test_nothing_was_sent(now: datetime) -> None:
    assert punctuality.lateness(now - DAY) == punctuality.Lateness(0, None, None, None, None, sample=False)


def test_percents_of_lateness_are_those_of_real_messages(customer: Customer, now: datetime) -> None:
    for n in range(1, 21):
        delivery(customer, "sent", due=now - HOUR, late=n * SECOND)
    delivery(customer, "sent", due=now - 3 * DAY, late=HOUR)  # before
    delivery(customer, "planned", due=now - HOUR)
    found = punctuality.lateness(now - DAY)
    spans = [round(one.total_seconds(), 2) for one in (found.p50, found.p95, found.p99, found.worst) if one]
    assert (found.number, spans, found.sample) == (20, [10, 19, 20, 20], False)


def test_of_very_many_the_latest_are_looked_at(
    customer: Customer, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(punctuality, "LATEST", 2)
    for n in (3, 2, 1):
        delivery(customer, "sent", due=now - n * HOUR, late=n * SECOND)
    found = punctuality.lateness(now - DAY)
    assert (found.number, found.sample) == (2, True)
    assert found.worst is not None and round(found.worst.total_seconds(), 2) == 2


def test_what_became_of_those_of_today_by_channel(customer: Customer, now: datetime) -> None:
    delivery(customer, "sent", due=now - HOUR, late=SECOND)
    delivery(customer, "sent", due=now - DAY - HOUR, late=DAY)  # late, but sent today
    delivery(customer, "sent", due=now - HOUR, late=SECOND, channel="sms")
    delivery(customer, "skipped", due=now + HOUR, reason="cancelled")
    delivery(customer, "refused", due=now - HOUR, channel="sms")
    delivery(customer, "in_doubt", due=now - HOUR)
    delivery(customer, "skipped", due=now - 2 * DAY)  # not of today
    found = {one.channel: one for one in punctuality.ends(now - 12 * HOUR, now + 12 * HOUR)}
    assert found["email"] == Ends("email", sent=2, skipped=1, in_doubt=1)
    assert found["sms"] == Ends("sms", sent=1, refused=1)
    assert found["webhook"] == Ends("webhook")


def test_doubts_of_whatever_day(customer: Customer, now: datetime) -> None:
    delivery(customer, "in_doubt", due=now - 30 * DAY)
    assert punctuality.doubts() == 1


def test_each_statement_goes_by_its_index(now: datetime, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    with django_assert_num_queries(4):
        punctuality.lateness(now)
        punctuality.ends(now, now + DAY)
        punctuality.doubts()
    if connection.vendor != "sqlite":
        return  # an empty table is read from end to end there; bench.pages shows what a full one costs
    with connection.cursor() as cursor:
        plans = []
        for sql, parameters in (
            (punctuality.SENT.format(whose=""), [now, 9]),
            (punctuality.UNSENT.format(whose=""), [now, now, 9]),
            (punctuality.RANKS.format(late="sent_at", places="1", until="", whose=""), [now, 9]),
        ):
            cursor.execute("EXPLAIN QUERY PLAN " + sql, [str(one) for one in parameters])
            plans.append(" ".join(str(row[-1]) for row in cursor.fetchall()))
    for plan, index in zip(plans, ("delivery_sent", "delivery_unsent", "delivery_sent"), strict=True):
        assert f"COVERING INDEX {index}" in plan, plan
