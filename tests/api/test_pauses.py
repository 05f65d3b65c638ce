"""/pauses: who stopped what and why, until when, and what one may stop."""

from typing import Any

import pytest
from django.utils import timezone

from jobs import dispatcher, pauses
from jobs.models import Pause
from tests.api.callers import Make
from tests.api.test_queues import SECOND
from tests.factories import make_job

pytestmark = pytest.mark.django_db


def test_a_pause_stops_sending_says_who_and_why_and_ends_by_itself(caller: Make) -> None:
    make_job("queued"), make_job()
    asks = caller()
    told = asks.post("/queues/default/pause", {"reason": "provider down", "seconds": 600}).data
    assert told["taken_back"] == 1
    assert (told["paused"]["by"], told["paused"]["reason"]) == (asks.name, "provider down")
    assert asks.get("/queues/default").data["paused"] == told["paused"]
    assert asks.get("/pauses").data["items"] == [told["paused"]]
    assert dispatcher.dispatch_due() == 0
    Pause.objects.update(until=timezone.now() - SECOND)
    assert asks.get("/queues/default").data["paused"] is None and asks.get("/pauses").data["items"] == []
    assert dispatcher.dispatch_due() == 2


@pytest.mark.parametrize("end", [{"seconds": 367 * 86400}, {"until": "2199-01-01T00:00:00Z"}], ids=["seconds", "until"])
@pytest.mark.parametrize("path", ["/queues/default/pause", "/pauses"])
def test_a_pause_of_more_than_a_year_is_refused(caller: Make, path: str, end: dict[str, Any]) -> None:
    body = {"reason": "x"} | end | ({"kind": "queue", "name": "default"} if path == "/pauses" else {})
    assert caller().post(path, body).status_code == 422
    assert not pauses.active().queues


def test_a_resume_lets_it_go_and_says_whether_it_was_paused(caller: Make) -> None:
    asks = caller()
    asks.post("/queues/default/pause", {"reason": "x"})
    assert asks.post("/queues/default/resume").data == {"was_paused": True}
    assert asks.post("/queues/default/resume").data == {"was_paused": False}
    make_job()
    assert dispatcher.dispatch_due() == 1


@pytest.mark.parametrize(
    ("kind", "name"), [("task", "probe.ok"), ("tenant", "a"), ("queue", "default"), ("tenant", "")]
)
def test_tasks_and_tenants_are_paused_as_well(caller: Make, kind: str, name: str) -> None:
    make_job(tenant=name if kind == "tenant" else "")
    asks = caller()
    assert asks.post("/pauses", {"kind": kind, "name": name, "reason": "x"}).status_code == 200
    assert dispatcher.dispatch_due() == 0
    assert asks.post("/pauses/resume", {"kind": kind, "name": name}).data == {"was_paused": True}
    assert dispatcher.dispatch_due() == 1


@pytest.mark.parametrize(
    ("limits", "kind", "name", "code"),
    [
        ({"queues": ["default"]}, "queue", "default", 200),
        ({"queues": ["default"]}, "queue", "messages", 403),
        ({"queues": ["default"]}, "task", "probe.ok", 403),
        ({"queues": ["default"]}, "tenant", "a", 403),
        ({"tenants": ["a"]}, "tenant", "a", 200),
        ({"tenants": ["a"]}, "tenant", "b", 403),
        ({"tenants": ["a"]}, "queue", "default", 403),
        ({"tasks": ["probe.ok"]}, "task", "probe.ok", 200),
        ({"tasks": ["probe.ok"]}, "task", "probe.fail", 403),
        ({"tasks": ["probe.ok"]}, "queue", "default", 403),
        ({"tasks": ["probe.ok"], "tenants": ["a"]}, "task", "probe.ok", 403),
        ({}, "task", "no.such", 422),
        ({}, "queue", "no-such", 422),
        ({"scopes": ["queues:read"]}, "queue", "default", 403),
    ],
    ids=str,
)
def test_one_pauses_only_what_is_all_ones_own(caller: Make, limits: Any, kind: str, name: str, code: int) -> None:
    answer = caller(**limits).post("/pauses", {"kind": kind, "name": name, "reason": "x"})
    assert answer.status_code == code, answer.data
    assert Pause.objects.exists() == (code == 200)


def test_pauses_of_others_are_not_told(caller: Make) -> None:
    pauses.pause("tenant", ["a", "b"], by="olga", reason="x")
    assert [one["name"] for one in caller(tenants=["a"]).get("/pauses").data["items"]] == ["a"]


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({}, "reason"),
        ({"reason": "x", "until": "2020-01-01T00:00Z"}, "until"),
        ({"reason": "x", "until": "2031-01-01T00:00"}, "until"),
        ({"reason": "x", "until": "2031-01-01T00:00Z", "seconds": 5}, "seconds"),
        ({"reason": "x", "seconds": 0}, "seconds"),
    ],
    ids=str,
)
def test_a_pause_without_a_reason_or_with_a_wrong_end_is_refused(caller: Make, said: Any, field: str) -> None:
    answer = caller().post("/queues/default/pause", said)
    assert answer.status_code == 422 and answer.data["errors"][0]["field"] == field and not Pause.objects.exists()
