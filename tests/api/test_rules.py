"""/rules and their overrides: looked at before they are saved; who has some tenants changes no shared ones."""

from datetime import time, timedelta
from typing import Any

import pytest

from jobs.models import Job
from notifications import reconciler
from notifications.models import ReminderRule, RuleOverride
from tests.api.callers import Caller, Make
from tests.api.product import ALL, known_customer, planned, shop, two_shops
from tests.factories import HOUR, make_booking

pytestmark = pytest.mark.django_db
NEW = {"name": "2 hours before", "anchor": "booking_start", "offset": -7200, "message": "booking_upcoming"}


def rule() -> ReminderRule:
    return ReminderRule.objects.get(name="1 hour before a booking")


def run_jobs() -> None:
    """What `apply_rule` was asked to do."""
    for job in Job.objects.filter(task="notifications.apply_rule", state="scheduled"):
        reconciler.apply_rule(*job.args)


def test_a_rule_is_looked_at_before_it_is_saved(program: Caller) -> None:
    scene = shop()
    looked = program.ask("post", "rules?dry_run=true", NEW)
    assert looked.status_code == 200, looked.content
    assert looked.data["effects"] == [{"kind": "planned", "reason": "", "number": 1}]
    assert looked.data["looked_at"] == 1
    assert not ReminderRule.objects.filter(name=NEW["name"]).exists()
    made = program.ask("post", f"rules?seen={looked.data['fingerprint']}", NEW)
    assert made.status_code == 201, made.content
    assert made["Location"] == f"/api/v1/rules/{made.data['id']}"
    run_jobs()
    assert planned(scene.booking).filter(rule=made.data["id"]).count() == 1
    got = program.ask("get", made["Location"]).data
    assert (got["offset"], got["channels"], got["useful_for"], got["active"]) == (-7200, ["email"], None, True)


def test_what_has_changed_since_it_was_looked_at_is_not_saved(program: Caller) -> None:
    shop()
    seen = program.ask("post", "rules?dry_run=true", NEW).data["fingerprint"]
    make_booking(known_customer(external_id="c-2"))
    refused = program.ask("post", f"rules?seen={seen}", NEW)
    assert (refused.status_code, "changed since" in refused.data["detail"]) == (409, True)
    assert not ReminderRule.objects.filter(name=NEW["name"]).exists()


def test_only_what_is_named_is_changed(program: Caller) -> None:
    scene, pk = shop(), rule().pk
    looked = program.ask("patch", f"rules/{pk}?dry_run=true", {"active": False}).data
    assert looked["effects"] == [{"kind": "withdrawn", "reason": "the rule is switched off", "number": 1}]
    assert rule().active
    ReminderRule.objects.filter(pk=pk).update(quiet_from=time(22), quiet_until=time(7))
    told = program.ask("patch", f"rules/{pk}", {"active": False, "useful_for": 1800}).data
    assert (told["active"], told["useful_for"], told["offset"], told["quiet_from"]) == (False, 1800, -3600, "22:00:00")
    run_jobs()
    assert planned(scene.booking).count() == 2
    assert program.ask("patch", f"rules/{pk}", {"useful_for": None}).data["useful_for"] is None
    assert program.ask("patch", f"rules/{pk}", {}).status_code == 422


BAD = {
    "no name": ({"name": ""}, "name", "1"),
    "an anchor of messages to many": ({"anchor": "bulk_message"}, "anchor", "booking_start"),
    "three years": ({"offset": -3 * 365 * 86_400}, "offset", "greater"),
    "a duration in words": ({"offset": "-PT1H"}, "offset", "integer"),
    "a clock that is none": ({"at_time": "25:00"}, "at_time", "pattern"),
    "quiet hours without an end": ({"quiet_from": "22:00"}, "", "both a beginning and an end"),
    "a series without an interval": ({"repeat_times": 3}, "", "interval"),
    "101 times": ({"repeat_times": 101}, "repeat_times", "100"),
    "no words": ({"message": "hello"}, "message", "no words"),
    "no channels": ({"channels": ["fax"]}, "channels.0", "email"),
    "a channel twice": ({"channels": ["sms", "sms"]}, "channels", "each once"),
    "none a day": ({"per_day": 0}, "per_day", "greater"),
    "a huge level": ({"level": 40_000}, "level", "less"),
    "a change's": ({"bulk": 1}, "bulk", "not permitted"),
}


@pytest.mark.parametrize("wrong, field, told", BAD.values(), ids=BAD)
def test_bad_input_names_its_field_and_what_to_do(program: Caller, wrong: Any, field: str, told: str) -> None:
    response = program.ask("post", "rules", NEW | wrong)
    assert response.status_code == 422, response.content
    assert response.data["errors"][0]["field"] == field
    assert told in response.data["errors"][0]["message"]
    assert not Job.objects.filter(task="notifications.apply_rule").exists()


def test_two_rules_of_one_name_are_refused(program: Caller) -> None:
    assert program.ask("post", "rules", NEW | {"name": rule().name}).status_code == 409
    assert program.ask("patch", f"rules/{rule().pk}", {"name": "24 hours before a booking"}).status_code == 409


def test_an_override_is_looked_at_made_changed_and_dropped(program: Caller) -> None:
    scene, path = shop(), f"rules/{rule().pk}/overrides"
    off = {"customer": scene.customer.pk, "service": "Haircut", "active": False}
    looked = program.ask("post", f"{path}?dry_run=true", off).data
    assert looked["effects"] == [{"kind": "withdrawn", "reason": "the rule is switched off", "number": 1}]
    made = program.ask("post", path, off)
    assert (made.status_code, made.data["customer"], made.data["offset"]) == (201, scene.customer.pk, None)
    assert program.ask("post", path, off).status_code == 409
    assert [one["id"] for one in program.ask("get", path).data["items"]] == [made.data["id"]]
    run_jobs()
    assert planned(scene.booking).count() == 2
    mine = f"{path}/{made.data['id']}"
    assert program.ask("put", f"{mine}?dry_run=true", {"offset": -1800}).data["effects"][0]["kind"] == "planned"
    told = program.ask("put", mine, {"offset": -1800}).data
    assert (told["active"], told["offset"], told["customer"]) == (None, -1800, scene.customer.pk)
    run_jobs()
    assert planned(scene.booking).get(rule=rule()).send_at == scene.booking.starts_at - HOUR / 2
    assert program.ask("delete", f"{mine}?dry_run=true").data["effects"][0]["kind"] == "moved"
    assert program.ask("delete", mine).status_code == 204
    assert program.ask("delete", mine).status_code == 404
    run_jobs()
    assert planned(scene.booking).get(rule=rule()).send_at == scene.booking.starts_at - HOUR


@pytest.mark.parametrize(
    "wrong, field",
    [
        ({"active": False}, "customer"),
        ({"customer": 999}, "customer"),
        ({"service": "x" * 201}, "service"),
        ({"service": "Haircut", "message": "hello"}, "message"),
        ({"service": "Haircut", "channels": ["sms", "sms"]}, "channels"),
        ({"service": "Haircut", "tenant": "x" * 101}, "tenant"),
    ],
)
def test_an_override_that_says_nothing_is_refused(program: Caller, wrong: Any, field: str) -> None:
    response = program.ask("post", f"rules/{rule().pk}/overrides", wrong)
    assert (response.status_code, response.data["errors"][0]["field"]) == (422, field)
    assert not RuleOverride.objects.exists()


def test_a_tenant_reads_shared_rules_and_changes_only_its_own(caller: Make) -> None:
    two_shops()
    mine, theirs = caller(scopes=ALL, tenants=["north"]), caller(scopes=ALL, tenants=["south"])
    shared = rule()
    assert mine.ask("get", f"rules/{shared.pk}").status_code == 200
    assert mine.ask("patch", f"rules/{shared.pk}", {"active": False}).status_code == 403
    made = mine.ask("post", "rules", NEW)
    assert (made.status_code, made.data["tenant"]) == (201, "north")
    assert theirs.ask("get", f"rules/{made.data['id']}").status_code == 404
    assert theirs.ask("patch", f"rules/{made.data['id']}", {"active": False}).status_code == 404
    assert made.data["id"] not in [one["id"] for one in theirs.ask("get", "rules").data["items"]]
    assert mine.ask("post", "rules", NEW | {"name": "x", "tenant": "south"}).status_code == 422
    assert mine.ask("post", "rules", NEW | {"name": "x", "tenant": ""}).status_code == 422
    assert caller(scopes=ALL, tenants=[""]).ask("post", "rules", NEW | {"name": "x"}).status_code == 403


def test_a_tenant_overrides_a_shared_rule_for_itself_alone(caller: Make) -> None:
    north, south = two_shops()
    mine, theirs = caller(scopes=ALL, tenants=["north"]), caller(scopes=ALL, tenants=["south"])
    path = f"rules/{rule().pk}/overrides"
    off = {"service": "Haircut", "active": False}
    looked = mine.ask("post", f"{path}?dry_run=true", off).data
    assert (looked["looked_at"], looked["effects"][0]["number"]) == (1, 1)  # nothing of the other tenant's
    made = mine.ask("post", path, off)
    assert (made.status_code, made.data["tenant"]) == (201, "north")
    run_jobs()
    assert (planned(north.booking).count(), planned(south.booking).count()) == (2, 3)
    assert theirs.ask("get", path).data["items"] == []
    assert theirs.ask("delete", f"{path}/{made.data['id']}").status_code == 404
    for_all = RuleOverride.objects.create(rule=rule(), service="Haircut", useful_for=timedelta(hours=1))
    assert mine.ask("put", f"{path}/{for_all.pk}", {"active": True}).status_code == 403
    assert mine.ask("post", path, off | {"customer": south.customer.pk}).status_code == 422


@pytest.mark.parametrize("path, queries", [("rules", 2), ("rules/{pk}", 2), ("rules/{pk}/overrides", 3)])
@pytest.mark.parametrize("many", [1, 5])
def test_reading_costs_the_same_however_much_there_is(
    program: Caller, django_assert_num_queries: Any, path: str, queries: int, many: int
) -> None:
    for n in range(many):
        RuleOverride.objects.create(rule=rule(), service=f"Service {n}", active=False)
    program.ask("get", "rules")
    pk = rule().pk
    with django_assert_num_queries(queries):
        assert program.ask("get", path.format(pk=pk)).status_code == 200
