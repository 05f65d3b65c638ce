"""Two tenants: what is the other's is not there, in no list, by no address, for no change and in no reference."""

from typing import Any

import pytest

from notifications.models import Booking, Customer, Delivery, Payment
from tests.api.callers import Caller, Make
from tests.api.product import ALL, Shop, told_nowhere, two_shops

pytestmark = pytest.mark.django_db
WHEN = {"starts_at": "2027-07-01T14:30", "duration": 60}
CONSENT = {"channel": "email", "granted": False, "evidence": "x"}
SECRET = ("Zoë", "Zander", "zoe@example.org")

# Each operation on one row: what is asked, with `customer`, `booking`, `payment` and `delivery` for its number.
ONE = [
    ("get", "bookings/{booking}", None),
    ("get", "bookings/{booking}/why", None),
    ("patch", "bookings/{booking}", {"service": "Beard"}),
    ("post", "bookings/{booking}/reschedule", WHEN),
    ("post", "bookings/{booking}/cancel", None),
    ("post", "bookings/{booking}/confirm", {}),
    ("post", "bookings/{booking}/complete", None),
    ("post", "bookings/{booking}/no-show", None),
    ("get", "payments/{payment}", None),
    ("get", "payments/{payment}/why", None),
    ("post", "payments/{payment}/pay", {}),
    ("post", "payments/{payment}/refund", {}),
    ("post", "payments/{payment}/bounce", {"amount": 1}),
    ("post", "payments/{payment}/dispute", None),
    ("post", "payments/{payment}/uphold", None),
    ("post", "payments/{payment}/write-off", None),
    ("post", "payments/{payment}/cancel", None),
    ("post", "payments/{payment}/postpone", {"due_on": "2027-09-01"}),
    ("get", "customers/{customer}", None),
    ("patch", "customers/{customer}", {"name": "Mallory"}),
    ("get", "customers/{customer}/sent", None),
    ("get", "customers/{customer}/consents", None),
    ("get", "customers/{customer}/consent-events", None),
    ("post", "customers/{customer}/consents", CONSENT),
    ("post", "customers/{customer}/inbox-token", {}),
    ("get", "deliveries/{delivery}", None),
    ("post", "deliveries/{delivery}/cancel", None),
    ("post", "deliveries/{delivery}/resend", None),
    ("post", "deliveries/{delivery}/resolve", {"outcome": "sent", "reason": "x"}),
]
LISTS = ("bookings", "payments", "customers", "deliveries", "doubts")


@pytest.fixture
def shops() -> tuple[Shop, Shop]:
    return two_shops()


@pytest.fixture
def mine(caller: Make) -> Caller:
    return caller(scopes=ALL, tenants=["north"])


def address(path: str, shop: Shop) -> str:
    delivery = shop.booking.deliveries.order_by("pk")[0].pk
    pks = {"customer": shop.customer.pk, "booking": shop.booking.pk, "payment": shop.payment.pk}
    return path.format(**pks, delivery=delivery)


def everything() -> list[Any]:
    return [list(model.objects.order_by("pk").values()) for model in (Booking, Payment, Customer, Delivery)]


@pytest.mark.parametrize("method, path, body", ONE, ids=[f"{method} {path}" for method, path, _body in ONE])
def test_another_tenants_row_is_not_there(
    mine: Caller, shops: tuple[Shop, Shop], method: str, path: str, body: Any
) -> None:
    before = everything()
    response = mine.ask(method, address(path, shops[1]), body)
    assert response.status_code == 404, response.content
    told_nowhere(response, *SECRET)
    assert everything() == before
    assert mine.ask(method, address(path, shops[0]), body).status_code != 404


@pytest.mark.parametrize("path", LISTS)
def test_a_list_has_ones_own_rows_only(mine: Caller, shops: tuple[Shop, Shop], path: str) -> None:
    Delivery.objects.update(doubts=1)
    response = mine.ask("get", path)
    assert {row["tenant"] for row in response.data["items"]} == {"north"}
    told_nowhere(response, *SECRET)
    filters = ("tenant=south", f"customer={shops[1].customer.pk}")
    for query in filters if path in ("bookings", "payments", "deliveries") else filters[: path == "customers"]:
        assert mine.ask("get", f"{path}?{query}").data["items"] == []


def test_a_search_looks_at_ones_own_rows_only(mine: Caller, shops: tuple[Shop, Shop]) -> None:
    assert mine.ask("get", "customers?search=zander").data["items"] == []
    assert mine.ask("get", "customers?email=zoe@example.org").data["items"] == []
    assert mine.ask("get", "bookings?search=zander").data["items"] == []


def test_a_new_row_refers_to_ones_own_rows_only(mine: Caller, caller: Make, shops: tuple[Shop, Shop]) -> None:
    north, south = shops
    booking = {"customer": south.customer.pk, "service": "Haircut", "time_zone": "Europe/Berlin", **WHEN}
    payment = {"subject": "x", "amount": 1, "currency": "EUR", "due_on": "2027-07-01"}
    before = everything()
    for path, body in (
        ("bookings", booking),
        ("payments", payment | {"customer": south.customer.pk}),
        ("payments", payment | {"customer": north.customer.pk, "booking": south.booking.pk}),
    ):
        response = mine.ask("post", path, body)
        assert (response.status_code, "or not for this key" in response.data["detail"]) == (422, True)
        told_nowhere(response, *SECRET)
    mixed = payment | {"customer": north.customer.pk, "booking": south.booking.pk}
    assert caller(scopes=ALL).ask("post", "payments", mixed).status_code == 422  # also for who sees both
    assert everything() == before


def test_an_external_id_is_once_for_each_tenant(caller: Make, shops: tuple[Shop, Shop]) -> None:
    made = []
    for shop in shops:
        program = caller(scopes=ALL, tenants=[shop.tenant])
        body = {"customer": shop.customer.pk, "service": "Cut", "external_id": "b-1", "time_zone": "UTC", **WHEN}
        made.append(program.ask("post", "bookings", body))
    assert [one.status_code for one in made] == [201, 201]
    assert [one.data["tenant"] for one in made] == ["north", "south"]


def test_a_new_customer_is_of_ones_only_tenant_or_of_the_one_that_is_said(caller: Make) -> None:
    only, several = caller(scopes=ALL, tenants=["north"]), caller(scopes=ALL, tenants=["north", "south"])
    assert only.ask("post", "customers", {"name": "A"}).data["tenant"] == "north"
    assert only.ask("post", "customers", {"name": "A", "tenant": "south"}).status_code == 422
    assert several.ask("post", "customers", {"name": "A"}).status_code == 422
    assert several.ask("post", "customers", {"name": "A", "tenant": "south"}).data["tenant"] == "south"
    assert caller(scopes=ALL).ask("post", "customers", {"name": "A"}).data["tenant"] == ""
    assert caller(scopes=ALL).ask("post", "customers", {"name": "A", "tenant": "west"}).data["tenant"] == "west"
