"""/bulk-changes: many bookings cancelled, moved or written to at once, looked at before, followed, called off."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from notifications.models import Booking, BulkChange, Delivery
from tests.api.callers import Caller, Make
from tests.api.product import ALL, BLIND, known_customer, told_nowhere, two_shops
from tests.conftest import InProcessWorker
from tests.factories import bob, make_booking

pytestmark = pytest.mark.django_db
CLOSED = {"kind": "cancel", "selection": {"on": "2027-07-01", "location": "Clinic"}, "reason": "burst pipe"}
WORDS = {"subject": "Closed", "text": "Dear {{ customer.name }}, we are closed.", "sms": "We are closed."}


def clinic() -> list[Booking]:
    """Two on that day, one on the next."""
    alice, other = known_customer(), bob()
    days = [
        datetime(2027, 7, 1, 8, tzinfo=UTC),
        datetime(2027, 7, 1, 9, tzinfo=UTC),
        datetime(2027, 7, 2, 8, tzinfo=UTC),
    ]
    people = (alice, other, alice)
    return [make_booking(who, starts=day, location="Clinic") for who, day in zip(people, days, strict=True)]


def test_a_dry_run_tells_what_it_would_touch_and_whom_it_would_reach(program: Caller) -> None:
    clinic()
    response = program.ask("post", "bulk-changes?dry_run=true", CLOSED | {"message": WORDS})
    assert response.status_code == 200, response.content
    told = response.data
    assert (told["bookings"], told["customers"], told["reminders"]) == (2, 2, {"planned": 6})
    assert told["first"] == "2027-07-01T08:00:00Z"
    assert told["message"]["channels"] == {"email": 2}
    assert told["message"]["examples"][0]["text"].startswith("Dear Alice Ähre")
    assert not BulkChange.objects.exists()


def test_a_dry_run_names_nobody_to_who_may_not_see_customers(caller: Make) -> None:
    clinic()
    response = caller(scopes=BLIND).ask("post", "bulk-changes?dry_run=true", CLOSED | {"message": WORDS})
    assert (response.status_code, response.data["message"]["examples"]) == (200, [])
    told_nowhere(response, "Alice", "Ähre")


def test_a_change_is_accepted_made_by_a_job_and_followed(program: Caller, worker: InProcessWorker) -> None:
    made = clinic()
    accepted = program.ask("post", "bulk-changes", CLOSED | {"message": WORDS})
    assert (accepted.status_code, accepted.data["total"], accepted.data["done"]) == (202, 2, 0)
    assert accepted["Location"] == f"/api/v1/bulk-changes/{accepted.data['id']}"
    assert {booking.status for booking in Booking.objects.all()} == {"booked"}
    worker.run_due()
    told = program.ask("get", accepted["Location"]).data
    assert (told["done"], told["counts"]["cancelled"], bool(told["finished_at"])) == (2, 2, True)
    assert told["messages"] == [{"channel": "email", "state": "planned", "reason": "", "number": 2}]
    statuses = [Booking.objects.get(pk=booking.pk).status for booking in made]
    assert statuses == ["cancelled", "cancelled", "booked"]
    assert [one["id"] for one in program.ask("get", "bulk-changes").data["items"]] == [told["id"]]
    assert BulkChange.objects.get().actor == program.name


def test_a_request_that_is_sent_twice_under_one_key_is_one_change(program: Caller) -> None:
    clinic()
    first, again = (program.ask("post", "bulk-changes", CLOSED, Idempotency_Key="k-1") for _n in range(2))
    assert (again.status_code, again.content, again["Location"]) == (202, first.content, first["Location"])
    assert BulkChange.objects.count() == 1


def test_bookings_are_moved_by_days(program: Caller, worker: InProcessWorker) -> None:
    made = clinic()
    program.ask("post", "bulk-changes", CLOSED | {"kind": "move", "days": 7})
    worker.run_due()
    assert Booking.objects.get(pk=made[0].pk).starts_at == made[0].starts_at + timedelta(days=7)


def test_a_message_is_called_off_and_what_waits_is_withdrawn(program: Caller, worker: InProcessWorker) -> None:
    clinic()
    said = CLOSED | {"kind": "message", "message": WORDS}
    accepted = program.ask("post", "bulk-changes", said)
    worker.run_due()
    off = program.ask("post", f"{accepted['Location']}/call-off")
    assert (off.status_code, bool(off.data["cancelled_at"]), off.data["cancelled_by"]) == (
        200,
        True,
        program.name,
    )
    assert program.ask("post", f"{accepted['Location']}/call-off").status_code == 409
    worker.run_due()
    assert not Delivery.objects.filter(bulk__isnull=False, state="planned").exists()


BAD = {
    "no filter": ({"selection": {}}, "selection", "Say which bookings"),
    "an unknown filter": ({"selection": {"status": "booked"}}, "selection.status", "not permitted"),
    "a moment as day": ({"selection": {"on": "2027-07-01T00:00:00Z"}}, "selection.on", "is a date"),
    "too many ids": ({"selection": {"ids": list(range(1, 2002))}}, "selection.ids", "2000"),
    "ids as text": ({"selection": {"ids": ["1"]}}, "selection.ids.0", "integer"),
    "no reason": ({"reason": " "}, "reason", "empty"),
    "no such kind": ({"kind": "delete"}, "kind", "cancel"),
    "a move without days": ({"kind": "move"}, "days", "needs the days"),
    "days without a move": ({"days": 3}, "days", "nothing else"),
    "years": ({"kind": "move", "days": 400}, "days", "366"),
    "no words": ({"kind": "message"}, "message", "what to write"),
    "an unknown placeholder": ({"message": WORDS | {"text": "{{ nobody }}"}}, "message.text", "nobody"),
    "an SMS that is too long": ({"message": WORDS | {"sms": "x" * 161}}, "message.sms", "2 SMS"),
    "half a night": ({"message": WORDS | {"quiet_from": None}}, "message", "beginning and an end"),
    "a channel twice": ({"message": WORDS | {"channels": ["sms", "sms"]}}, "message", "once"),
    "no channel": ({"message": WORDS | {"channels": []}}, "message.channels", "1"),
}


@pytest.mark.parametrize("wrong, field, told", BAD.values(), ids=BAD)
@pytest.mark.parametrize("query", ["", "?dry_run=true"])
def test_bad_input_names_its_field_and_what_to_do(
    program: Caller, wrong: Any, field: str, told: str, query: str
) -> None:
    response = program.ask("post", f"bulk-changes{query}", CLOSED | wrong)
    assert response.status_code == 422, response.content
    assert response.data["errors"][0]["field"] == field
    assert told in response.data["errors"][0]["message"]
    assert not BulkChange.objects.exists()


def test_who_may_not_see_customers_neither_searches_nor_reads_what_was_searched(caller: Make) -> None:
    clinic()
    program, blind = caller(scopes=ALL), caller(scopes=BLIND)
    said = CLOSED | {"selection": {"search": "alice@example.com"}}
    for query in ("", "?dry_run=true"):
        refused = blind.ask("post", f"bulk-changes{query}", said)
        assert refused.status_code == 403
        told_nowhere(refused)
    made = program.ask("post", "bulk-changes", said)
    assert made.data["filters"] == {"search": "alice@example.com"}
    for path in ("bulk-changes", made["Location"]):
        told_nowhere(blind.ask("get", path))


def test_a_tenant_changes_its_own_bookings_only(caller: Make, worker: InProcessWorker) -> None:
    north, south = two_shops()
    mine, theirs = caller(scopes=ALL, tenants=["north"]), caller(scopes=ALL, tenants=["south"])
    said = {"kind": "cancel", "selection": {"service": "Haircut"}, "reason": "closed"}
    accepted = mine.ask("post", "bulk-changes", said)
    assert (accepted.data["total"], accepted.data["tenant"]) == (1, "north")
    worker.run_due()
    assert Booking.objects.get(pk=north.booking.pk).status == "cancelled"
    assert Booking.objects.get(pk=south.booking.pk).status == "booked"
    by_id = said | {"selection": {"ids": [south.booking.pk]}}
    assert mine.ask("post", "bulk-changes?dry_run=true", by_id).data["bookings"] == 0
    assert mine.ask("post", "bulk-changes", said | {"tenant": "south"}).status_code == 422
    assert theirs.ask("get", accepted["Location"]).status_code == 404
    assert theirs.ask("post", f"{accepted['Location']}/call-off").status_code == 404
    assert theirs.ask("get", "bulk-changes").data["items"] == []
    several = caller(scopes=ALL, tenants=["north", "south"])
    refused = several.ask("post", "bulk-changes", said)
    assert (refused.status_code, "say which: north, south" in refused.data["detail"]) == (422, True)


@pytest.mark.parametrize("path, queries", [("bulk-changes", 2), ("bulk-changes/{pk}", 3)])
@pytest.mark.parametrize("many", [1, 5])
def test_reading_costs_the_same_however_much_there_is(
    program: Caller, django_assert_num_queries: Any, path: str, queries: int, many: int
) -> None:
    clinic()
    pk = [program.ask("post", "bulk-changes", CLOSED).data["id"] for _n in range(many)][-1]
    with django_assert_num_queries(queries):
        assert program.ask("get", path.format(pk=pk)).status_code == 200
