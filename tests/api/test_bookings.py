"""/bookings: made once, found, moved and called off, with what became of each reminder."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.utils import timezone

from jobs.access import ApiCall
from notifications.models import Booking, Delivery, ReminderRule, RuleOverride
from tests.api.callers import Caller, Make
from tests.api.product import ALL, BLIND, in_days, known_customer, shop, told_nowhere
from tests.factories import DAY, HOUR, make_booking

pytestmark = pytest.mark.django_db


def body(customer: Any, /, **more: Any) -> dict[str, Any]:
    starts = in_days(3)
    usual = {"customer": customer.pk, "service": "Haircut", "starts_at": starts.isoformat(), "duration": 3600}
    return {name: value for name, value in (usual | {"time_zone": "Europe/Berlin"} | more).items() if value is not None}


def test_a_booking_is_made_with_its_reminders(program: Caller) -> None:
    response = program.ask("post", "bookings", body(known_customer(), location="High Street 1"))
    booking = Booking.objects.get()
    assert response.status_code == 201, response.content
    assert response["Location"] == f"/api/v1/bookings/{booking.pk}"
    assert (response.data["service"], response.data["location"]) == ("Haircut", "High Street 1")
    assert {line["outcome"] for line in response.data["receipt"]} == {"planned"}
    assert {line["id"] for line in response.data["receipt"]} == {
        str(pk) for pk in booking.deliveries.filter(state="planned").values_list("pk", flat=True)
    }
    got = program.ask("get", response["Location"]).data
    assert [(one["rule"], one["state"]) for one in got["reminders"]] == [
        ("24 hours before a booking", "planned"),
        ("1 hour before a booking", "planned"),
        ("15 minutes before a booking", "planned"),
    ]
    venue, own = (datetime.fromisoformat(got["reminders"][0][f"send_at_{whose}"]) for whose in ("venue", "customer"))
    assert venue == own == booking.starts_at - DAY
    assert venue.utcoffset() != timedelta(0)


def test_what_was_made_by_the_api_is_on_record(program: Caller) -> None:
    program.ask("post", "bookings", body(known_customer()))
    call = ApiCall.objects.get()
    assert (call.operation, call.status, call.by) == ("create_booking", 201, program.name)


def test_the_same_external_id_is_the_same_booking(program: Caller) -> None:
    said = body(known_customer(), external_id="b-1")
    first = program.ask("post", "bookings", said)
    again = program.ask("post", "bookings", said)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.data["id"] == again.data["id"]
    assert again.data["receipt"] == []
    assert Booking.objects.count() == 1


@pytest.mark.parametrize(
    "other, named",
    [
        ({"service": "Beard"}, "service"),
        ({"location": "Elsewhere"}, "location"),
        ({"duration": 1800}, "ends_at"),
        ({"time_zone": "Europe/Paris"}, "time_zone"),
        ({"starts_at": "2030-01-01T09:00:00+00:00"}, "starts_at"),
    ],
)
def test_another_content_under_an_external_id_is_refused(program: Caller, other: Any, named: str) -> None:
    said = body(known_customer(), external_id="b-1")
    made = program.ask("post", "bookings", said)
    refused = program.ask("post", "bookings", said | other)
    assert refused.status_code == 409
    assert named in refused.data["detail"]
    assert refused.data["booking"] == made.data["id"]
    assert Booking.objects.count() == 1


def test_what_the_clocks_show_is_a_moment_of_the_zone(program: Caller) -> None:
    said = {"starts_at": "2027-07-01T14:30", "ends_at": "2027-07-01T15:00", "duration": None}
    response = program.ask("post", "bookings", body(known_customer(), **said))
    assert response.data["starts_at"] == "2027-07-01T12:30:00Z"
    assert (response.data["wall_date"], response.data["wall_time"]) == ("2027-07-01", "14:30:00")


def test_the_second_of_a_doubled_hour_is_said_by_fold(program: Caller) -> None:
    customer = known_customer()
    starts = {"starts_at": "2027-10-31T02:30", "fold": 1}
    assert program.ask("post", "bookings", body(customer, **starts)).data["starts_at"] == "2027-10-31T01:30:00Z"
    assert program.ask("post", "bookings", body(customer, starts_at=starts["starts_at"])).data["starts_at"] == (
        "2027-10-31T00:30:00Z"
    )


BAD = {
    "no zone": ({"starts_at": "2027-07-01T14:30", "time_zone": None}, "starts_at", "offset"),
    "a time that is left out": ({"starts_at": "2027-03-28T02:30"}, "starts_at", "does not exist"),
    "no time": ({"starts_at": "tomorrow"}, "starts_at", "is not a time"),
    "a date": ({"starts_at": "2027-03-28"}, "starts_at", "time of day"),
    "a number": ({"starts_at": 1800000000}, "starts_at", "string"),
    "the year 9999": ({"starts_at": "9999-12-31T23:59:59Z"}, "starts_at", "year"),
    "the year 1": ({"starts_at": "0001-01-01T00:00:00+14:00"}, "starts_at", "year"),
    "an end and a duration": ({"ends_at": "2027-07-01T14:30:00Z"}, "ends_at", "either"),
    "neither": ({"duration": None}, "ends_at", "either"),
    "an end before the start": ({"ends_at": "2020-01-01T00:00:00Z", "duration": None}, "ends_at", "before"),
    "no such zone": ({"time_zone": "Europe/Berlino"}, "time_zone", "IANA"),
    "no customer": ({"customer": 999}, "customer", "no customer 999"),
    "a customer as text": ({"customer": "1"}, "customer", "integer"),
    "a negative customer": ({"customer": -1}, "customer", "greater"),
    "a huge customer": ({"customer": 2**63}, "customer", "less"),
    "no service": ({"service": "  "}, "service", "empty"),
    "a long service": ({"service": "x" * 201}, "service", "200"),
    "a control character": ({"service": "a\u0007b"}, "service", "control"),
    "a long location": ({"location": "x" * 301}, "location", "300"),
    "a status": ({"status": "completed"}, "status", "not permitted"),
    "a tenant": ({"tenant": "north"}, "tenant", "not permitted"),
    "an empty external id": ({"external_id": ""}, "external_id", "1"),
    "a third fold": ({"fold": 2}, "fold", "0 or 1"),
    "a duration of years": ({"duration": 10**9}, "duration", "less"),
}


@pytest.mark.parametrize("wrong, field, told", BAD.values(), ids=BAD)
def test_bad_input_names_its_field_and_what_to_do(program: Caller, wrong: Any, field: str, told: str) -> None:
    response = program.ask("post", "bookings", body(known_customer(), **wrong))
    assert response.status_code == 422, response.content
    assert response.data["errors"][0]["field"] == field
    assert told in response.data["errors"][0]["message"]
    assert not Booking.objects.exists()
    assert not ApiCall.objects.exists()


def test_a_booking_is_described_anew_and_its_reminders_follow(program: Caller) -> None:
    scene = shop()
    rule = ReminderRule.objects.get(name="1 hour before a booking")
    RuleOverride.objects.create(rule=rule, service="Beard", active=False)
    response = program.ask("patch", f"bookings/{scene.booking.pk}", {"service": "Beard", "location": "B"})
    assert (response.status_code, response.data["service"], response.data["revision"]) == (200, "Beard", 1)
    assert [(one["rule"], one["outcome"], one["reason"]) for one in response.data["receipt"]] == [
        ("1 hour before a booking", "withdrawn", "rule_off")
    ]
    assert program.ask("patch", f"bookings/{scene.booking.pk}", {}).status_code == 422
    assert program.ask("patch", f"bookings/{scene.booking.pk}", {"starts_at": "2027-07-01T14:30"}).status_code == 422


def test_a_move_tells_what_became_of_each_reminder(program: Caller) -> None:
    scene = shop()
    first = scene.booking.deliveries.order_by("send_at")[0]
    Delivery.objects.filter(pk=first.pk).update(state="sent", sent_at=timezone.now())
    wall = {"starts_at": "2027-07-01T14:30", "duration": 1800}
    response = program.ask("post", f"bookings/{scene.booking.pk}/reschedule", wall)
    assert response.status_code == 200, response.content
    assert (response.data["starts_at"], response.data["revision"]) == ("2027-07-01T12:30:00Z", 2)
    outcomes = sorted(one["outcome"] for one in response.data["receipt"])
    assert outcomes == ["already_sent", *["planned"] * 3, *["withdrawn"] * 2]
    sent = next(one for one in response.data["receipt"] if one["outcome"] == "already_sent")
    assert (sent["id"], bool(sent["sent_at"])) == (str(first.pk), True)


def test_a_cancel_tells_what_is_withdrawn_what_went_out_and_what_is_under_way(program: Caller) -> None:
    scene = shop()
    sent, sending, waits = scene.booking.deliveries.order_by("send_at")
    Delivery.objects.filter(pk=sent.pk).update(state="sent", sent_at=timezone.now())
    Delivery.objects.filter(pk=sending.pk).update(state="sending")
    response = program.ask("post", f"bookings/{scene.booking.pk}/cancel")
    assert (response.status_code, response.data["status"]) == (200, "cancelled")
    assert {one["id"]: one["outcome"] for one in response.data["receipt"]} == {
        str(sent.pk): "already_sent",
        str(sending.pk): "in_flight",
        str(waits.pk): "withdrawn",
    }
    again = program.ask("post", f"bookings/{scene.booking.pk}/cancel")
    assert (again.status_code, "is called off" in again.data["detail"]) == (409, True)


def test_a_booking_is_confirmed_at_the_time_that_was_asked_about(program: Caller) -> None:
    pk = shop().booking.pk
    assert program.ask("post", f"bookings/{pk}/confirm", {"revision": 2}).status_code == 409
    assert program.ask("post", f"bookings/{pk}/confirm", {"revision": 1}).data["confirmed_at"]
    assert program.ask("post", f"bookings/{pk}/confirm", {}).status_code == 200


@pytest.mark.parametrize("verb, status", [("complete", "completed"), ("no-show", "no_show")])
def test_a_booking_ends_once_it_has_begun(program: Caller, verb: str, status: str) -> None:
    customer = known_customer()
    later, begun = make_booking(customer), make_booking(customer, starts=-HOUR / 2)
    assert program.ask("post", f"bookings/{later.pk}/{verb}").status_code == 409
    assert program.ask("post", f"bookings/{begun.pk}/{verb}").data["status"] == status


def test_why_answers_for_every_rule(program: Caller) -> None:
    scene = shop()
    told = program.ask("get", f"bookings/{scene.booking.pk}/why").data
    assert {one["rule"] for one in told} >= {
        f"{when} before a booking" for when in ("24 hours", "1 hour", "15 minutes")
    }
    waits = next(one for one in told if one["rule"] == "1 hour before a booking")
    assert (waits["state"], waits["channel"]) == ("planned", "email")
    assert "waits for" in waits["text"]


def test_what_a_provider_said_is_masked(caller: Make) -> None:
    scene = shop()
    scene.booking.deliveries.update(state="refused", detail="550 alice@example.com, +49 151 23456789 unknown")
    for path in ("", "/why"):
        blind = caller(scopes=BLIND).ask("get", f"bookings/{scene.booking.pk}{path}")
        told_nowhere(blind, "alice@example.com", "23456789")
        assert (
            "alice@example.com" in caller(scopes=ALL).ask("get", f"bookings/{scene.booking.pk}{path}").content.decode()
        )


def test_a_person_makes_bookings_only_with_the_permission_for_it(client: Any, django_user_model: Any) -> None:
    person = django_user_model.objects.create_user("olga", password="x", is_staff=True)
    person.user_permissions.set(Permission.objects.filter(codename__in=["change_booking", "view_booking"]))
    client.force_login(person)
    response = client.post("/api/v1/bookings", body(known_customer()), content_type="application/json")
    assert (response.status_code, "add_booking" in response.json()["detail"]) == (403, True)
    person.user_permissions.add(Permission.objects.get(codename="add_booking"))
    response = client.post("/api/v1/bookings", body(known_customer(external_id="c-2")), content_type="application/json")
    assert response.status_code == 201, response.content


@pytest.mark.parametrize("many", [1, 5])
def test_changes_cost_the_same_however_many_rules_there_are(
    program: Caller, django_assert_max_num_queries: Any, many: int
) -> None:
    customer = known_customer()
    for n in range(many):
        ReminderRule.objects.create(name=f"more {n}", anchor="booking_start", offset=-HOUR * (n + 2), message="booking")
    program.ask("get", "bookings")
    with django_assert_max_num_queries(40) as made:
        pk = program.ask("post", "bookings", body(customer)).data["id"]
    with django_assert_max_num_queries(40) as gone:
        assert program.ask("post", f"bookings/{pk}/cancel").status_code == 200
    assert (len(made), len(gone)) == (CREATE, CANCEL)


CREATE, CANCEL = 17, 25
