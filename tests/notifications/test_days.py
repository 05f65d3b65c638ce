"""A day's bookings at a glance."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from notifications import bookings
from notifications.models import Booking, Delivery
from tests.factories import HOUR, alice, bob, make_booking
from tests.virtual import virtual_time

pytestmark = pytest.mark.django_db
DAY_VIEW = "admin:notifications_booking_day"
NOON = datetime(2027, 6, 1, 10, tzinfo=UTC)  # in Berlin


@pytest.fixture(autouse=True)
def _then() -> Iterator[None]:
    """Whenever this runs: a week before."""
    with virtual_time(NOON - timedelta(days=7)):
        yield


@pytest.fixture
def olga(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("olga", password="x"))
    return client


def shown(client: Client, **asked: str):
    return client.get(reverse(DAY_VIEW), {"day": "2027-06-01", **asked}).context


def test_a_days_bookings_stand_by_place_and_time_with_their_reminders(olga: Client) -> None:
    later = make_booking(alice(), starts=NOON + HOUR, location="Harbour")
    first = make_booking(bob(), starts=NOON, location="Harbour")
    make_booking(bob(email="x@example.com"), starts=NOON, location="Airport")
    make_booking(bob(email="y@example.com"), starts=NOON + timedelta(days=1), location="Airport")
    Delivery.objects.filter(pk=later.deliveries.order_by("send_at")[0].pk).update(state="in_doubt", doubts=1)
    bookings.cancel(first)
    places = shown(olga)["places"]
    assert [(place, [entry.begins for entry in entries]) for place, entries in places] == [
        ("Airport", ["12:00"]),
        ("Harbour", ["12:00", "13:00"]),
    ]
    assert places[1][1][0].reminders == []
    assert [words for _, words in places[1][1][1].reminders] == ["1 in doubt", "2 planned"]


def test_a_day_is_one_on_the_venues_wall(olga: Client) -> None:
    late = datetime(2027, 6, 1, 23, 30, tzinfo=UTC)
    make_booking(alice(), starts=late, time_zone="America/Los_Angeles")  # still the first of June there
    make_booking(bob(), starts=late, time_zone="Asia/Tokyo")  # the second
    assert shown(olga)["number"] == 1
    assert shown(olga, day="2027-06-02")["number"] == 1


def test_one_place_and_one_service_of_the_day(olga: Client) -> None:
    customer = alice()
    for service, location in (("Cut", "Harbour"), ("Colour", "Harbour"), ("Cut", "Airport")):
        make_booking(customer, starts=NOON, service=service, location=location)
    context = shown(olga, location="Harbour", service="Cut")
    assert context["number"] == 1
    assert (context["locations"], context["services"]) == (["Airport", "Harbour"], ["Colour", "Cut"])
    assert "location=Harbour" in context["after"] and "day=2027-06-02" in context["after"]
    assert "day=2027-05-31" in context["before"]


@pytest.mark.parametrize("day", ["", "yesterday", "2027-02-30", "0001-01-01", "9999-12-31"])
def test_any_day_is_a_page(olga: Client, day: str) -> None:
    assert olga.get(reverse(DAY_VIEW), {"day": day}).status_code == 200


def test_five_hundred_bookings_cost_as_many_queries_as_one(olga: Client) -> None:
    customer = alice()
    make_booking(customer, starts=NOON)
    counts = []
    for _ in range(2):
        olga.get(reverse(DAY_VIEW), {"day": "2027-06-01"})
        with CaptureQueriesContext(connection) as caught:
            began = time.thread_time()
            answer = olga.get(reverse(DAY_VIEW), {"day": "2027-06-01"})
            took = time.thread_time() - began  # of ours, whatever else the machine does
        counts.append(len(caught))
        model = Booking.objects.get(pk=Booking.objects.first().pk)  # type: ignore[union-attr]
        copies = []
        for n in range(499):
            model.pk, model.location = None, f"Chair {n % 7}"
            copies.append(
                Booking(**{f.attname: getattr(model, f.attname) for f in Booking._meta.fields if f.attname != "id"})
            )
        Booking.objects.bulk_create(copies)
    assert counts[0] == counts[1]
    assert answer.context["number"] == 500
    assert took < 3, f"{took:.2f} s"  # a wide margin for a slow machine; usually it is a fifth of a second


# --- The list ---


def test_the_list_is_filtered_by_day_place_and_service_and_many_keep_the_filter(olga: Client) -> None:
    customer = alice()
    wanted = make_booking(customer, starts=NOON, service="Cut", location="Harbour")
    make_booking(customer, starts=NOON, service="Cut", location="Airport")
    make_booking(customer, starts=NOON + timedelta(days=1), service="Cut", location="Harbour")
    url = reverse("admin:notifications_booking_changelist")
    asked = {"wall_date": "2027-06-01", "location": "Harbour", "service": "Cut", "status__exact": "booked"}
    assert list(olga.get(url, asked).context["cl"].result_list) == [wanted]
    assert olga.get(url, {"wall_date": "nonsense"}).context["cl"].result_count == 3
    query = "&".join(f"{name}={value}" for name, value in asked.items())
    act = {"action": "cancel_many", "_selected_action": [str(wanted.pk)], "select_across": "1"}
    prepared = olga.get(olga.post(f"{url}?{query}", act)["Location"])
    initial = prepared.context["form"].initial
    assert (str(initial["on"]), initial["location"], initial["service"]) == ("2027-06-01", "Harbour", "Cut")


def test_the_list_counts_no_more_than_it_can_show(olga: Client) -> None:
    make_booking(alice())
    url = reverse("admin:notifications_booking_changelist")
    olga.get(url)
    with CaptureQueriesContext(connection) as caught:
        olga.get(url)
    counts = [
        one["sql"]
        for one in caught.captured_queries
        if "COUNT(" in one["sql"] and "notifications_booking" in one["sql"]
    ]
    assert counts and all("LIMIT 10000" in sql for sql in counts)
    assert len(caught) <= 7
