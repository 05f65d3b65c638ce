"""Exports over the API: asked for, written by a job, fetched by whoever asked and nobody else."""

import csv
import io
from typing import Any

import pytest

from jobs.access import ApiKey
from jobs.models import StoredFile
from tests.api.callers import Make
from tests.factories import alice, bob, make_booking

pytestmark = pytest.mark.django_db


def content(asks: Any, export: str) -> Any:
    return asks.client.get(f"/api/v1/exports/{export}/content", headers={"Authorization": f"Bearer {asks.key}"})


def lines(response: Any) -> list[list[str]]:
    """Of CSV."""
    assert response.status_code == 200
    written = b"".join(response.streaming_content).decode()
    return list(csv.reader(io.StringIO(written)))


def test_an_export_is_asked_for_written_and_fetched(caller: Make, worker: Any) -> None:
    make_booking(alice())
    asks = caller()
    asked = asks.post("/exports", {"source": "bookings", "columns": ["service", "customer_name"]})
    assert (asked.status_code, asked.data["state"]) == (202, "scheduled")
    assert asked["Location"] == f"/api/v1/exports/{asked.data['id']}"
    assert content(asks, asked.data["id"]).status_code == 409
    worker.run_due()
    told = asks.get(f"/exports/{asked.data['id']}").data
    assert (told["state"], told["rows"]) == ("succeeded", 1)
    file = content(asks, asked.data["id"])
    assert file["Cache-Control"] == "no-store"
    assert lines(file) == [["service", "customer_name"], ["Haircut", "Alice Ähre"]]
    assert asks.get("/exports").data["items"][0]["id"] == asked.data["id"]


def test_customers_are_masked_without_the_scope(caller: Make, worker: Any) -> None:
    make_booking(alice())
    asks = caller(scopes=["exports:make", "bookings:read"])
    asked = asks.post("/exports", {"source": "bookings", "columns": ["customer_email"]})
    worker.run_due()
    assert "alice@" not in str(lines(content(asks, asked.data["id"])))


def test_nobody_else_finds_it(caller: Make, worker: Any) -> None:
    asked = caller().post("/exports", {"source": "bookings"})
    worker.run_due()
    other = caller()
    for path in ("", "/content"):
        assert other.get(f"/exports/{asked.data['id']}{path}").status_code == 404
    assert other.get("/exports").data["items"] == []


def test_a_key_that_lost_the_right_does_not_get_the_names_any_more(caller: Make, worker: Any) -> None:
    make_booking(alice())
    asks = caller()
    asked = asks.post("/exports", {"source": "bookings"})
    worker.run_due()
    for key in ApiKey.objects.all():
        key.scopes = [one for one in key.scopes if one != "customers:reveal"]
        key.save()
    assert content(asks, asked.data["id"]).status_code == 403


def test_a_file_that_was_cleaned_up_is_gone(caller: Make, worker: Any) -> None:
    asks = caller()
    asked = asks.post("/exports", {"source": "bookings"})
    worker.run_due()
    StoredFile.objects.all().delete()
    assert content(asks, asked.data["id"]).status_code == 410


def test_a_key_exports_its_tenants_only(caller: Make, worker: Any) -> None:
    make_booking(alice(tenant="north"))
    make_booking(bob(tenant="south"))
    asks = caller(tenants=["north"])
    asked = asks.post("/exports", {"source": "customers", "columns": ["name"]})
    worker.run_due()
    assert lines(content(asks, asked.data["id"])) == [["name"], ["Alice Ähre"]]


@pytest.mark.parametrize(
    "body, code",
    [
        ({"source": "passwords"}, 422),
        ({"source": "bookings", "columns": ["password"]}, 422),
        ({"source": "bookings", "filters": {"customer__password": "x"}}, 422),
        ({"source": "bookings", "filters": {"status": ["booked"]}}, 422),
        ({"source": "bookings", "format": "pdf"}, 422),
        ({"source": "bookings", "where": "1=1"}, 422),
    ],
)
def test_what_cannot_be_exported_is_refused(caller: Make, body: dict[str, Any], code: int) -> None:
    answer = caller().post("/exports", body)
    assert (answer.status_code, bool(answer.data["detail"])) == (code, True)


def test_a_source_needs_its_own_scope(caller: Make) -> None:
    asks = caller(scopes=["exports:make", "bookings:read"])
    assert asks.post("/exports", {"source": "customers"}).status_code == 403
    assert [one["name"] for one in asks.get("/exports/sources").data] == ["bookings"]
