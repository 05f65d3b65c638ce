"""The search of bookings: what a word finds, the same for a list and for a change to many."""

from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse
from pydantic import ValidationError

from notifications import bulk, searches
from notifications.models import Booking
from tests.factories import alice, bob, make_booking

pytestmark = pytest.mark.django_db
LIST = reverse("admin:notifications_booking_changelist")


@pytest.fixture
def both() -> tuple[Booking, Booking]:
    first = alice(email="a.winter@example.com", phone="+4915123456789")
    return make_booking(first, external_id="B-17"), make_booking(bob(), service="Hair dye", external_id="b_2")


def numbers(rows: Any) -> set[int]:
    return set(rows.values_list("pk", flat=True))


FOUND_BY = {
    "alice": "alice",  # a part of the name
    "LIC": "alice",
    "Ähre": "alice",
    '"Alice Ähre"': "alice",
    "winter": "alice",  # a part of the address
    "A.Winter@example.com": "alice",
    "a.winter@": "alice",  # its beginning
    "winter@example.com": "",  # not a later part: there is an index for beginnings
    "@example.com": "alice bob",
    "+4915123456789": "alice",
    "0151/23456789": "alice",  # as it is dialled at home
    "23456789": "alice",
    "5678": "",  # too few digits for a phone number
    "b-1": "alice",  # the beginning of the booking's number
    "b_": "bob",  # a mark of patterns is a letter
    "%": "",
    "hair": "alice bob",  # the beginning of the service
    "cut": "",
    '"hair d"': "bob",
    "alice haircut": "alice",  # each word, wherever
    "bob haircut": "",
    "nobody": "",
}


@pytest.mark.parametrize("most", [-1, 0, 2_000], ids=["common", "common among bookings", "rare"])
@pytest.mark.parametrize("text", FOUND_BY)
def test_what_a_word_finds(
    both: tuple[Booking, Booking], text: str, most: int, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether it is looked up by ids, or because that would be many, by walking the bookings."""
    monkeypatch.setattr(searches, "RARE", most)
    wanted = {booking.pk for name, booking in zip(("alice", "bob"), both, strict=True) if name in FOUND_BY[text]}
    client.force_login(User.objects.create_superuser("root"))
    assert numbers(searches.searched(Booking.objects.all(), text)) == wanted
    assert numbers(bulk.Selection(search=text).bookings()) == wanted
    assert {row.pk for row in client.get(LIST, {"q": text}).context["cl"].result_list} == wanted


@pytest.mark.parametrize("text", ["Alice Ähre", '"alice Ähre"', "A.winter@example.com", "+4915123456789", "B-1"])
def test_who_may_not_know_names_finds_them_as_a_whole(both: tuple[Booking, Booking], text: str) -> None:
    user, client = User.objects.create_user("vera", is_staff=True), Client()
    user.user_permissions.add(Permission.objects.get(codename="view_booking"))
    client.force_login(user)
    assert [row.pk for row in client.get(LIST, {"q": text}).context["cl"].result_list] == [both[0].pk]
    for part in ("Alice", "winter", "a.winter@", "23456789", "+491512345678"):
        assert not client.get(LIST, {"q": part}).context["cl"].result_list, part


@pytest.mark.parametrize("text", ["  ", '""', "'  '"])
def test_a_search_for_nothing_is_not_one_for_all(both: Any, text: str) -> None:
    with pytest.raises(ValidationError, match=r"no word|Say which"):
        bulk.Selection(search=text)
