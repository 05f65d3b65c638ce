"""/bookings:import: each row for itself, the same rows again change nothing, a bad row names what to correct."""

from typing import Any

import pytest

from notifications.models import Booking, Customer, Delivery
from tests.api.callers import Caller, Make
from tests.api.product import ALL, two_shops

pytestmark = pytest.mark.django_db


def row(number: int = 1, **more: Any) -> dict[str, Any]:
    usual = {
        "external_id": f"b-{number}",
        "customer_name": "Alice Ähre",
        "customer_email": "alice@example.com",
        "service": "Haircut",
        "starts_at": "2027-07-01T14:30",
        "duration_minutes": "45",
        "time_zone": "Europe/Berlin",
    }
    return usual | more


def outcomes(response: Any) -> list[str]:
    assert response.status_code == 200, response.content
    return [one["outcome"] for one in response.data["rows"]]


def test_each_row_is_told_what_became_of_it(program: Caller) -> None:
    first = program.ask("post", "bookings:import", {"rows": [row(1), row(2), row(3)]})
    assert outcomes(first) == ["created"] * 3
    assert (first.data["counts"], first.data["customers"]) == ({"created": 3}, {"created": 1})
    assert {"kind": "planned", "reason": "", "number": 9} in first.data["reminders"]
    rows = [
        row(1),
        row(2, starts_at="2027-07-02T14:30"),
        row(3, status="cancelled"),
        row(4, service="", starts_at="2027-03-28T02:30"),
        row(1),
        row(5, service="Beard"),
    ]
    second = program.ask("post", "bookings:import", {"rows": rows})
    assert outcomes(second) == ["unchanged", "moved", "cancelled", "bad", "bad", "created"]
    assert [one["row"] for one in second.data["rows"]] == [1, 2, 3, 4, 5, 6]
    assert [error["field"] for error in second.data["rows"][3]["errors"]] == ["service", "starts_at"]
    assert "does not exist" in second.data["rows"][3]["errors"][1]["message"]
    assert second.data["rows"][4]["errors"][0]["field"] == "external_id"
    assert (Booking.objects.count(), Customer.objects.count()) == (4, 1)


def test_a_dry_run_tells_the_same_and_changes_nothing(program: Caller) -> None:
    said = {"rows": [row(1), row(2, service="")]}
    dry = program.ask("post", "bookings:import?dry_run=true", said)
    assert not Booking.objects.exists() and not Customer.objects.exists() and not Delivery.objects.exists()
    wet = program.ask("post", "bookings:import", said)
    assert dry.data == wet.data | {"dry_run": True}
    assert Booking.objects.count() == 1


def test_what_is_cancelled_here_comes_back_only_if_it_is_asked_for(program: Caller) -> None:
    program.ask("post", "bookings:import", {"rows": [row()]})
    program.ask("post", f"bookings/{Booking.objects.get().pk}/cancel")
    assert outcomes(program.ask("post", "bookings:import", {"rows": [row()]})) == ["left"]
    again = {"rows": [row(status="booked")], "reopen": True}
    assert outcomes(program.ask("post", "bookings:import", again)) == ["reopened"]


def test_times_that_name_no_zone_need_one(program: Caller) -> None:
    bare = row(time_zone=None)
    assert outcomes(program.ask("post", "bookings:import", {"rows": [bare]})) == ["bad"]
    assert outcomes(program.ask("post", "bookings:import", {"rows": [bare], "time_zone": "Asia/Tokyo"})) == ["created"]


@pytest.mark.parametrize(
    "wrong, field",
    [
        ({"rows": []}, "rows"),
        ({"rows": [{}] * 1_001}, "rows"),
        ({"rows": [row(colour="red")]}, "rows.0.colour"),
        ({"rows": [row(duration_minutes=45)]}, "rows.0.duration_minutes"),
        ({"rows": ["b-1"]}, "rows.0"),
        ({"rows": [row(service="x" * 1_001)]}, "rows.0.service"),
        ({"rows": [row()], "time_zone": "Mars"}, "time_zone"),
        ({"rows": [row()], "reopen": "yes"}, "reopen"),
    ],
)
def test_what_are_no_rows_is_refused_as_a_whole(program: Caller, wrong: Any, field: str) -> None:
    response = program.ask("post", "bookings:import", wrong)
    assert (response.status_code, response.data["errors"][0]["field"]) == (422, field)
    assert not Booking.objects.exists()


def test_the_statements_do_not_grow_with_the_rows(program: Caller, django_assert_max_num_queries: Any) -> None:
    """But with their batches: SQLite takes only so many values in one INSERT."""
    with django_assert_max_num_queries(1_000) as few:
        program.ask("post", "bookings:import", {"rows": [row(n) for n in range(1, 6)]})
    with django_assert_max_num_queries(1_000) as many:
        rows = [row(1_000 + n) for n in range(500)]
        assert program.ask("post", "bookings:import", {"rows": rows}).data["counts"] == {"created": 500}
    assert len(many) - len(few) < 500 / 4


@pytest.mark.parametrize("scope", ["bookings:write", "customers:write", "customers:reveal"])
def test_it_needs_all_its_scopes(caller: Make, scope: str) -> None:
    others = caller(scopes=[one for one in ALL if one != scope])
    response = others.ask("post", "bookings:import?dry_run=true", {"rows": [row()]})
    assert (response.status_code, scope in response.data["detail"]) == (403, True)


def test_a_tenants_rows_are_its_own(caller: Make) -> None:
    north, south = two_shops()
    mine = caller(scopes=ALL, tenants=["north"])
    theirs = row(customer_email=south.customer.email, customer_name="Somebody")
    assert mine.ask("post", "bookings:import", {"rows": [theirs]}).data["customers"] == {"created": 1}
    assert Booking.objects.get(external_id="b-1").tenant == "north"
    south.customer.refresh_from_db()
    assert (south.customer.name, south.customer.bookings.count()) == ("Zoë Zander", 1)
    assert mine.ask("post", "bookings:import", {"rows": [row()], "tenant": "south"}).status_code == 422
    assert north.customer.bookings.count() == 1
