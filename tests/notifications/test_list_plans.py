"""The lists of reports and of doubts go by an index, and read about as many rows as they show."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from bench.plans import explained
from bench.rows import analyze, copies
from notifications import doubts
from notifications.models import Booking, Customer, Delivery, ReminderRule, Report
from notifications.models.lookups import Fixed
from tests.factories import HOUR

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("_archive")]
REPORTS, DELIVERIES = "notifications_report", "notifications_delivery"
MANY, IN_DOUBT = 30_000, 20


@pytest.fixture(scope="module")
def _archive(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    now = timezone.now()
    with django_db_blocker.unblock():
        uuid = "printf('%%032x', i)" if connection.vendor == "sqlite" else "lpad(to_hex(i), 32, '0')::uuid"
        day = (
            "date('2000-01-01', (i / 100) || ' days')"
            if connection.vendor == "sqlite"
            else "date '2000-01-01' + i / 100"
        )
        said = {
            "kind": "CASE WHEN i %% 200 = 0 THEN 'day' ELSE 'week' END",
            "language": "CASE WHEN i %% 150 = 0 THEN 'de' ELSE 'en' END",
            "tenant": "'t' || (i %% 100)",
        }
        report = Report(zone="UTC", by="asker", counted_at=now)
        copies(report, MANY, id=uuid, job_id=uuid, first_day=day, **said)
        customer = Customer.objects.create(name="Ada", email="ada@example.com", time_zone="UTC")
        made = {"wall_date": now.date(), "wall_time": now.time(), "starts_at": now, "ends_at": now + HOUR}
        booking = Booking.objects.create(customer=customer, service="Haircut", time_zone="UTC", **made)
        rule = ReminderRule.objects.filter(anchor="booking_start")[0]
        sent = Delivery(rule=rule, booking=booking, customer=customer, channel="email")
        sent.send_at, sent.useful_until, sent.intent_at = now, now + timedelta(hours=1), now
        some = f"i %% {MANY // IN_DOUBT} = 0"
        state = f"CASE WHEN {some} THEN 'in_doubt' ELSE 'sent' END"
        copies(sent, MANY, id=uuid, revision="i", state=state)
        analyze(REPORTS, DELIVERIES)
    yield
    with django_db_blocker.unblock():
        for model in (Delivery, Report):
            model.objects.all()._raw_delete(model.objects.db)
        Booking.objects.all().delete()
        Customer.objects.all().delete()


@pytest.fixture
def reader(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("root"))
    return client


LISTS = {"": "report_newest", "?kind__exact=day": "report_of_kind", "?language__exact=de": "report_of_language"}


@pytest.mark.parametrize("query", LISTS, ids=["all", "of a kind", "in a language"])
def test_the_newest_reports_are_found_without_the_others(reader: Client, query: str) -> None:
    with explained(REPORTS) as plans:
        answer = reader.get(reverse("admin:notifications_report_changelist") + query)
    assert answer.status_code == 200
    lists = [plan for plan in plans if "ORDER BY" in plan.sql]
    assert LISTS[query] in {used for plan in lists for used in plan.indexes}, [plan.text for plan in plans]
    for plan in lists:
        assert not plan.whole and plan.pages < 300, plan.sql + plan.text
    assert all("LIMIT" in plan.sql for plan in plans), [plan.sql for plan in plans]  # a count has its bound too


def test_the_reports_of_a_tenant_are_found_without_the_others() -> None:
    with explained(REPORTS) as plans:
        assert len(Report.objects.filter(tenant="t7").order_by("-first_day", "-id")[:50]) == 50
    (plan,) = plans
    assert plan.indexes == {"report_of_tenant"} and plan.pages < 300, plan.text


def test_doubts_are_found_by_their_own_index(reader: Client) -> None:
    with explained(DELIVERIES) as plans:
        answer = reader.get(reverse("admin:notifications_delivery_doubts"))
    assert len(answer.context["rows"]) == IN_DOUBT
    asked = [plan for plan in plans if "intent_at" in plan.sql]
    assert asked and {"delivery_doubts"} <= {used for plan in asked for used in plan.indexes}, [p.text for p in asked]
    for plan in asked:
        assert not plan.whole and plan.pages < 500, plan.sql + plan.text


def test_one_doubt_is_decided_without_reading_the_others() -> None:
    pk = doubts.in_doubt().values_list("pk", flat=True)[0]
    with explained(DELIVERIES) as plans:
        assert doubts.in_doubt().filter(pk=pk).update(detail="it arrived") == 1
    (plan,) = plans
    assert not plan.whole and plan.pages < 300, plan.text


def test_what_is_fixed_in_a_statement_is_no_text_of_others() -> None:
    with pytest.raises(ValueError, match="no word of ours"):
        list(Report.objects.filter(kind=Fixed("week' OR '1'='1")))
