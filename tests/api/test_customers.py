"""/customers: made and changed with their reminders; masked, also in errors and searches, for who may not see them."""

from typing import Any

import pytest
from django.utils import timezone

from notifications.models import Customer, Delivery, InboxItem
from tests.api.callers import Caller, Make
from tests.api.product import ALL, BLIND, SECRET, known_customer, planned, shop, told_nowhere
from tests.factories import bob, make_booking

pytestmark = pytest.mark.django_db
WHSEC = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ALICE = {
    "external_id": "crm-1",
    "name": "Alice Ähre",
    "email": "alice@example.com",
    "phone": "+4915123456789",
    "webhook_url": "https://hooks.example.com/a",
    "webhook_secret": WHSEC,
    "locale": "de_CH",
    "time_zone": "Europe/Zurich",
    "channels": ["sms", "email"],
}


@pytest.fixture
def blind(caller: Make) -> Caller:
    return caller(scopes=BLIND)


def test_a_customer_is_made_and_told_without_the_secret(program: Caller) -> None:
    response = program.ask("post", "customers", ALICE)
    assert response.status_code == 201, response.content
    customer = Customer.objects.get()
    shown = {name: value for name, value in ALICE.items() if name != "webhook_secret"}
    got = program.ask("get", response["Location"])
    assert got.data == shown | {"id": customer.pk, "tenant": "", "has_webhook_secret": True, "masked": False}
    assert customer.webhook_secret == WHSEC
    told_nowhere(got, "whsec_")


def test_who_may_not_see_customers_reads_masked_values(blind: Caller) -> None:
    customer = known_customer()
    for path in (f"customers/{customer.pk}", "customers"):
        response = blind.ask("get", path)
        told_nowhere(response)
        told = response.data if "items" not in response.data else response.data["items"][0]
        assert (told["name"], told["email"], told["phone"]) == ("A••• Ä•••", "a•••@e•••.com", "•••89")
        assert (told["external_id"], told["webhook_url"], told["masked"]) == ("•••", "https://•••", True)


def test_who_may_not_see_customers_may_make_them_but_reads_them_masked(blind: Caller) -> None:
    response = blind.ask("post", "customers", ALICE)
    assert response.status_code == 201
    told_nowhere(response)
    again = [blind.ask("post", "customers", ALICE | more) for more in ({}, {"email": "other@example.com"})]
    assert [one.status_code for one in again] == [409, 409]
    assert again[0].content == again[1].content  # that the address is the same is not told


@pytest.mark.parametrize("query", ["search={}", "email={}", "phone={}", "external_id={}"])
def test_who_may_not_see_customers_cannot_look_for_them(blind: Caller, query: str) -> None:
    known_customer()
    hits = ("alice@example.com", "alice", "%2B4915123456789", "crm-1", "a", "nobody")
    answers = [blind.ask("get", f"customers?{query.format(word)}") for word in hits]
    assert {one.status_code for one in answers} == {403}
    assert len({one.content for one in answers}) == 1


def test_who_may_not_see_customers_changes_only_what_is_not_masked(blind: Caller) -> None:
    customer = known_customer()
    for name in ("external_id", "name", "email", "phone", "webhook_url", "webhook_secret"):
        response = blind.ask("patch", f"customers/{customer.pk}", {name: ALICE[name]})
        assert (response.status_code, name in response.data["detail"]) == (403, True)
    response = blind.ask("patch", f"customers/{customer.pk}", {"locale": "fr", "channels": ["inbox"]})
    assert (response.status_code, response.data["locale"], response.data["channels"]) == (200, "fr", ["inbox"])
    told_nowhere(response)


def test_the_same_external_id_is_the_same_customer(program: Caller) -> None:
    first, again = program.ask("post", "customers", ALICE), program.ask("post", "customers", ALICE)
    assert (first.status_code, again.status_code, again.data) == (201, 200, first.data)
    refused = program.ask("post", "customers", ALICE | {"name": "Alice Other"})
    assert (refused.status_code, refused.data["customer"]) == (409, first.data["id"])
    bob(external_id="c-2")
    assert program.ask("patch", f"customers/{first.data['id']}", {"external_id": "c-2"}).status_code == 409


def test_customers_are_found(program: Caller) -> None:
    alice_, bob_ = known_customer(), bob()

    def found(query: str) -> list[int]:
        return [one["id"] for one in program.ask("get", f"customers?{query}").data["items"]]

    assert found("") == [bob_.pk, alice_.pk]
    assert found("search=ali%20hre") == found("email=ALICE@example.com") == [alice_.pk]
    assert found("phone=%2B4915123456789") == found("external_id=crm-1") == [alice_.pk]
    assert found("search=bob%20ali") == []


def test_a_changed_address_replans_what_is_to_come(program: Caller) -> None:
    scene = shop()
    assert {row.channel for row in planned(scene.booking)} == {"email"}
    program.ask("patch", f"customers/{scene.customer.pk}", {"email": ""})
    assert not planned(scene.booking).exists()
    assert set(scene.booking.deliveries.values_list("reason", flat=True)) == {"no_address"}
    program.ask("patch", f"customers/{scene.customer.pk}", {"email": "new@example.com"})
    assert planned(scene.booking).count() == 3


BAD = {
    "no name": ({"name": " "}, "name", "empty"),
    "a long name": ({"name": "x" * 201}, "name", "200"),
    "no address": ({"email": "alice"}, "email", "e-mail"),
    "no number": ({"phone": "0151"}, "phone", "country code"),
    "no locale": ({"locale": "xx_yy_zz"}, "locale", "locale"),
    "no zone": ({"time_zone": "CET+1"}, "time_zone", "IANA"),
    "no channel": ({"channels": ["fax"]}, "channels.0", "email"),
    "a channel twice": ({"channels": ["sms", "sms"]}, "channels", "each once"),
    "no URL": ({"webhook_url": "javascript:alert(1)"}, "webhook_url", "valid URL"),
    "a secret that signs nothing": ({"webhook_secret": "hunter2!"}, "webhook_secret", "base64"),
    "an id": ({"id": 7}, "id", "not permitted"),
    "another tenant's name": ({"tenant": "x" * 101}, "tenant", "100"),
}


@pytest.mark.parametrize("wrong, field, told", BAD.values(), ids=BAD)
def test_bad_input_names_its_field_and_what_to_do(program: Caller, wrong: Any, field: str, told: str) -> None:
    response = program.ask("post", "customers", ALICE | wrong)
    assert response.status_code == 422, response.content
    assert response.data["errors"][0]["field"] == field
    assert told in response.data["errors"][0]["message"]
    assert not Customer.objects.exists()


def test_errors_tell_nothing_of_a_customer(blind: Caller) -> None:
    scene = shop()
    for method, path, said in (
        ("patch", f"customers/{scene.customer.pk}", {"email": "nonsense"}),
        ("post", f"bookings/{scene.booking.pk}/complete", None),
        ("post", "bookings", {"customer": scene.customer.pk}),
        ("post", f"payments/{scene.payment.pk}/refund", {}),
    ):
        response = blind.ask(method, path, said)
        assert response.status_code >= 400
        told_nowhere(response)


def test_everything_that_was_ever_sent_is_told_a_page_at_a_time(caller: Make) -> None:
    scene = shop()
    rows = list(scene.customer.deliveries.order_by("-send_at", "-pk"))
    now = timezone.now()
    Delivery.objects.filter(pk__in=[row.pk for row in rows[:3]]).update(state="sent", sent_at=now, detail="to a@b.com")
    Delivery.objects.filter(pk=rows[0].pk).update(channel="inbox")
    InboxItem.objects.create(customer=scene.customer, key=str(rows[0].pk), title="t", body="b", read_at=now)
    first = caller(scopes=ALL).ask("get", f"customers/{scene.customer.pk}/sent?limit=2").data
    rest = caller(scopes=BLIND).ask("get", f"customers/{scene.customer.pk}/sent?cursor={first['next']}")
    assert [one["id"] for one in first["items"] + rest.data["items"]] == [str(row.pk) for row in rows[:3]]
    assert first["items"][0]["read_at"] and first["items"][0]["detail"] == "to a@b.com"
    assert rest.data["items"][0]["detail"] == "to a•••@b•••.com"


def test_what_was_sent_needs_both_scopes(caller: Make) -> None:
    path = f"customers/{known_customer().pk}/sent"
    assert caller(scopes=["deliveries:read"]).ask("get", path).status_code == 403
    assert caller(scopes=["deliveries:read", "customers:read"]).ask("get", path).status_code == 200


@pytest.mark.parametrize("path, queries", [("customers", 2), ("customers/{pk}", 2), ("customers/{pk}/sent", 4)])
@pytest.mark.parametrize("many", [1, 5])
def test_reading_costs_the_same_however_much_there_is(
    program: Caller, django_assert_num_queries: Any, path: str, queries: int, many: int
) -> None:
    customer = known_customer()
    for n in range(many):
        bob(external_id=f"b-{n}")
        make_booking(customer)
    customer.deliveries.update(state="sent", channel="inbox", sent_at=timezone.now())
    program.ask("get", "customers")
    with django_assert_num_queries(queries):
        assert program.ask("get", path.format(pk=customer.pk)).status_code == 200


def test_no_word_of_a_customer_is_left_in_the_scene_by_mistake() -> None:
    """The words that tests look for are those that the scene has."""
    customer = known_customer()
    whole = " ".join(str(getattr(customer, field.name)) for field in customer._meta.concrete_fields)
    assert not [word for word in SECRET if word not in whole]
