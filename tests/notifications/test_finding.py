"""The search of deliveries: by id, by the provider's id, by customer; and no statement that reads them all."""

from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from notifications.admin import finding
from notifications.models import Customer, Delivery
from tests.factories import alice, bob, make_booking

pytestmark = pytest.mark.django_db
URL = reverse("admin:notifications_delivery_changelist")


@pytest.fixture
def both() -> tuple[Customer, Customer]:
    found = alice(), bob()
    for customer in found:
        make_booking(customer)
    return found


@pytest.fixture
def root(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("root"))
    return client


def found(client: Client, words: str) -> set[Any]:
    return {row.pk for row in client.get(URL, {"q": words}).context["cl"].result_list}


def of(customer: Customer) -> set[Any]:
    return set(customer.deliveries.values_list("pk", flat=True))


@pytest.mark.parametrize("words", ["alice", "EXAMPLE.com alice", "ähre", '"Alice Ähre"', "alice@example.com"])
def test_by_customer_in_part(root: Client, both: tuple[Customer, Customer], words: str) -> None:
    if connection.vendor == "sqlite" and words == "ähre":
        words = "Ähre"  # SQLite knows small and capital letters of ASCII only
    assert found(root, words) == of(both[0])


def test_by_id_and_by_the_providers_id(root: Client, both: tuple[Customer, Customer]) -> None:
    one, other = Delivery.objects.all()[:2]
    Delivery.objects.filter(pk=other.pk).update(provider_id="SM17")
    assert found(root, str(one.pk)) == {one.pk}
    assert found(root, one.pk.hex) == {one.pk}
    assert found(root, "SM17") == {other.pk}
    assert found(root, "nobody") == set()


def test_of_many_customers_the_newest(root: Client, both: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finding, "MOST", 1)
    assert found(root, "example.com") == of(both[1])


def test_who_may_not_know_names_finds_by_the_whole_only(both: tuple[Customer, Customer]) -> None:
    user, client = User.objects.create_user("vera", is_staff=True), Client()
    user.user_permissions.add(Permission.objects.get(codename="view_delivery"))
    client.force_login(user)
    assert found(client, "alice@example.com") == of(both[0])
    assert found(client, "Alice Ähre") == of(both[0])
    assert found(client, "alice") == set()


def test_no_pattern_is_looked_for_among_deliveries(root: Client, both: Any) -> None:
    with CaptureQueriesContext(connection) as asked:
        found(root, "alice")
    patterns = [query["sql"] for query in asked if "LIKE" in query["sql"]]
    assert len(patterns) == 1 and "notifications_delivery" not in patterns[0]
