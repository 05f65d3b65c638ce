"""/customers/{id}/consents and /suppressions: each yes and no with its evidence, and what follows from it."""

from typing import Any

import pytest

from notifications import consent
from notifications.models import ConsentEvent, Suppression
from tests.api.callers import Caller, Make
from tests.api.product import ALL, BLIND, known_customer, planned, shop, told_nowhere, two_shops

pytestmark = pytest.mark.django_db
NO = {"channel": "email", "granted": False, "evidence": "said so by phone: alice@example.com"}


def test_a_no_is_kept_with_its_evidence_and_ends_what_is_planned(program: Caller) -> None:
    scene = shop()
    path = f"customers/{scene.customer.pk}"
    response = program.ask("post", f"{path}/consents", NO)
    assert response.status_code == 201, response.content
    event = ConsentEvent.objects.get()
    assert (event.source, event.actor, event.evidence) == ("api", program.name, NO["evidence"])
    assert not planned(scene.booking).exists()
    now = {one["channel"]: one["granted"] for one in program.ask("get", f"{path}/consents").data}
    assert now == {"email": False, "sms": None, "inbox": None, "webhook": None}
    program.ask("post", f"{path}/consents", NO | {"granted": True})
    assert planned(scene.booking).count() == 3
    history = program.ask("get", f"{path}/consent-events").data["items"]
    assert [one["granted"] for one in history] == [True, False]


@pytest.mark.parametrize(
    "wrong, field",
    [
        ({"evidence": ""}, "evidence"),
        ({"evidence": "  "}, "evidence"),
        ({"evidence": "x" * 1001}, "evidence"),
        ({"channel": "fax"}, "channel"),
        ({"granted": "yes"}, "granted"),
        ({"source": "form"}, "source"),
        ({"actor": "alice"}, "actor"),
    ],
)
def test_a_consent_without_evidence_is_refused(program: Caller, wrong: Any, field: str) -> None:
    response = program.ask("post", f"customers/{known_customer().pk}/consents", NO | wrong)
    assert (response.status_code, response.data["errors"][0]["field"]) == (422, field)
    assert not ConsentEvent.objects.exists()


def test_evidence_is_masked(caller: Make) -> None:
    customer = known_customer()
    blind = caller(scopes=BLIND)
    told_nowhere(blind.ask("post", f"customers/{customer.pk}/consents", NO))
    told_nowhere(blind.ask("get", f"customers/{customer.pk}/consent-events"))


def test_an_address_is_suppressed_once_and_written_to_again(program: Caller) -> None:
    scene = shop()
    said = {"channel": "email", "address": "Alice@Example.com", "reason": "asked us to"}
    first, again = program.ask("post", "suppressions", said), program.ask("post", "suppressions", said)
    assert (first.status_code, again.status_code, again.data) == (201, 200, first.data)
    assert (first.data["address"], first.data["cause"]) == ("alice@example.com", "person")
    assert program.name in first.data["detail"]
    assert not planned(scene.booking).exists()
    assert program.ask("delete", f"suppressions/{first.data['id']}").status_code == 204
    assert planned(scene.booking).count() == 3
    assert program.ask("delete", f"suppressions/{first.data['id']}").status_code == 404


def test_suppressions_are_found_and_masked(caller: Make) -> None:
    consent.suppress("email", "alice@example.com", "bounce", "550 alice@example.com unknown")
    consent.suppress("sms", "+4915123456789", "stop")
    program, blind = caller(scopes=ALL), caller(scopes=BLIND)
    assert [one["cause"] for one in program.ask("get", "suppressions").data["items"]] == ["stop", "bounce"]
    for query in ("channel=email", "cause=bounce", "address=ALICE@example.com"):
        told = program.ask("get", f"suppressions?{query}").data["items"]
        assert [one["address"] for one in told] == ["alice@example.com"]
    masked = blind.ask("get", "suppressions")
    assert (masked.status_code, len(masked.data["items"])) == (200, 2)
    told_nowhere(masked)


def test_who_may_not_see_customers_learns_of_no_address_by_guessing(caller: Make) -> None:
    consent.suppress("email", "alice@example.com", "bounce")
    blind = caller(scopes=BLIND)
    for address in ("alice@example.com", "nobody@example.com"):
        assert blind.ask("get", f"suppressions?address={address}").status_code == 403
        said = {"channel": "email", "address": address, "reason": "guess"}
        assert blind.ask("post", "suppressions", said).status_code == 403
    assert Suppression.objects.count() == 1


@pytest.mark.parametrize("address", ["alice", "", "a" * 501, "0151", "+4915123456789"])
def test_what_is_no_address_is_not_suppressed(program: Caller, address: str) -> None:
    said = {"channel": "email", "address": address, "reason": "x"}
    response = program.ask("post", "suppressions", said)
    assert (response.status_code, response.data["errors"][0]["field"]) == (422, "address")
    assert program.ask("post", "suppressions", said | {"channel": "inbox", "address": "1"}).status_code == 422


def test_a_tenant_sees_the_suppressed_addresses_of_its_customers_and_changes_none(caller: Make) -> None:
    north, south = two_shops()
    for scene in (north, south):
        consent.suppress("email", scene.customer.email, "bounce")
    mine = caller(scopes=ALL, tenants=["north"])
    assert [one["address"] for one in mine.ask("get", "suppressions").data["items"]] == ["alice@example.com"]
    said = {"channel": "email", "address": "zoe@example.org", "reason": "to harm"}
    assert mine.ask("post", "suppressions", said).status_code == 403
    for row in Suppression.objects.all():
        assert mine.ask("delete", f"suppressions/{row.pk}").status_code == 403
    assert Suppression.objects.count() == 2


@pytest.mark.parametrize(
    "path, queries", [("customers/{pk}/consents", 3), ("customers/{pk}/consent-events", 3), ("suppressions", 2)]
)
@pytest.mark.parametrize("many", [1, 5])
def test_reading_costs_the_same_however_much_there_is(
    program: Caller, django_assert_num_queries: Any, path: str, queries: int, many: int
) -> None:
    customer = known_customer()
    for n in range(many):
        consent.record(customer, "email", True, source="api", actor="x")
        consent.suppress("email", f"n{n}@example.com", "bounce")
    program.ask("get", "suppressions")
    with django_assert_num_queries(queries):
        assert program.ask("get", path.format(pk=customer.pk)).status_code == 200
