"""No search of bookings goes through all bookings: each of the ways that a word is looked for goes by an index."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from bench.plans import explained
from bench.rows import analyze, copies
from jobs.library.people import trusted
from notifications import bulk
from notifications.models import Booking, Channel, Customer
from notifications.recipients import Known, Meant
from notifications.searches import searched
from tests.api.callers import program
from tests.factories import HOUR

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("_crowd")]
TABLE = "notifications_booking"
PEOPLE, MANY = 5_000, 100_000


@pytest.fixture(scope="module")
def _crowd(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    now = timezone.now()
    with django_db_blocker.unblock():
        named = {"name": "'C' || i", "email": "'c' || i || '@example.com'", "phone": "'+4915' || (100000000 + i)"}
        copies(Customer(time_zone="UTC"), PEOPLE, id="i", **named)
        made = {"wall_date": now.date(), "wall_time": now.time(), "starts_at": now, "ends_at": now + HOUR}
        copies(
            Booking(time_zone="UTC", created_at=now, **made),
            MANY,
            id="i",
            customer_id=f"i %% {PEOPLE} + 1",
            external_id="'X-' || i",
            service="CASE WHEN i %% 6000 = 0 THEN 'Filling' ELSE 'Haircut' END",
        )
        analyze(TABLE, "notifications_customer")
    yield
    with django_db_blocker.unblock():
        Booking.objects.all()._raw_delete(Booking.objects.db)
        Customer.objects.all().delete()


SEARCHES = {
    "c4711@example.com": 20,
    "c4711@": 20,
    "+4915100004711": 20,
    "C4711": 20,
    "filling": 16,
    "X-4711": 11,  # and X-47110 to X-47119
    "c4711 filling": 0,
    "nobody": 0,
}


@pytest.mark.parametrize("text", SEARCHES)
def test_no_search_for_what_is_rare_goes_through_all_bookings(text: str) -> None:
    with explained(TABLE) as plans:
        rows = bulk.Selection(search=text).bookings()
        assert rows.count() == SEARCHES[text]
        list(rows.order_by("-pk")[:50])
    assert {"booking_by_number", "booking_by_service"} <= {used for plan in plans for used in plan.indexes}
    for plan in plans:
        assert not plan.whole, plan.sql + plan.text
        assert plan.pages < 1_000, plan.sql + plan.text


@pytest.mark.parametrize("text", ["example.com", "haircut", "C"])
def test_the_newest_of_what_is_common_are_found_without_the_others(text: str) -> None:
    rows = bulk.Selection(search=text).bookings()
    with explained(TABLE) as plans:
        assert len(rows.order_by("-pk")[:50]) == 50
    (plan,) = plans
    assert not plan.whole or connection.vendor == "sqlite", plan.sql + plan.text  # it walks by rowid: SCAN, and stops
    assert plan.pages < 1_000, plan.sql + plan.text


def test_an_address_is_found_by_its_index() -> None:
    with explained("notifications_customer") as plans:
        list(bulk.Selection(search="c4711@example.com").bookings())
    assert "customer_begins" in {used for plan in plans for used in plan.indexes}
    assert not [plan for plan in plans if plan.whole]


def test_a_whole_address_is_found_by_its_index() -> None:
    with explained("notifications_customer") as plans:
        found = list(searched(Booking.objects.all(), "C4711@Example.com", whole=True))
    assert {booking.customer_id for booking in found} == {4711} and len(found) == 20
    assert "customer_by_email" in {used for plan in plans for used in plan.indexes}
    assert not [plan.sql + plan.text for plan in plans if plan.whole]


def test_the_api_finds_an_address_by_its_index() -> None:
    caller = program("customers:read", "customers:reveal")
    with explained("notifications_customer") as plans:
        assert [one["id"] for one in caller.get("customers?email=C4711@example.com").data["items"]] == [4711]
    (plan,) = plans
    assert "customer_by_email" in plan.indexes and not plan.whole, plan.sql + plan.text


def test_addresses_of_others_payloads_are_found_by_their_index() -> None:
    meant = [Meant("", "", f"C{n}@example.com", "") for n in (17, 4711)]
    with explained("notifications_customer") as plans:
        known = Known(Channel.EMAIL, meant, trusted("a test"))
        assert [known.at("", one.to) for one in meant] == list(
            Customer.objects.filter(pk__in=(17, 4711)).order_by("pk")
        )
    assert not [plan.sql + plan.text for plan in plans if plan.whole]


def test_the_table_is_large_enough_to_tell() -> None:
    with explained(TABLE) as plans:
        list(Booking.objects.filter(location="nowhere"))
    (plan,) = plans
    assert plan.whole and (plan.pages > 1_000 or connection.vendor == "sqlite")
