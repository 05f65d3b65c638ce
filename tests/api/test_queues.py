"""/queues, /limits, /workers: how queues are doing, and what one may change of them."""

import os
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from jobs import crews, memory, throughput
from jobs.models import Group, Job, KeyLimit, Queue, QueueWorker, TaskRate, UniqueKey
from tests.api.callers import Make
from tests.factories import DAY, HOUR, MINUTE, make_job
from tests.virtual import one_moment as one_moment

pytestmark = pytest.mark.django_db
SECOND = timedelta(seconds=1)


@pytest.fixture
def busy() -> None:
    """Something of everything, in two queues and of two tenants."""
    for name in ("default", "messages"):
        Queue.objects.create(name=name)
    for tenant in ("a", "b"):
        make_job(due=-HOUR, tenant=tenant), make_job(due=-MINUTE, tenant=tenant), make_job(due=DAY, tenant=tenant)
        make_job("queued", tenant=tenant), make_job("running", tenant=tenant)
        make_job("failed", tenant=tenant)
        make_job("failed", tenant=tenant, finished_at=timezone.now() - DAY)
        for n in range(1, 101):
            end = timezone.now() - 10 * SECOND
            start = end - n * SECOND / 100
            make_job("succeeded", tenant=tenant, run_at=start - n * SECOND, started_at=start, finished_at=end)
    make_job(queue="messages", tenant="a", due=DAY)


def test_a_queue_tells_what_waits_what_runs_what_failed_and_how_fast(caller: Make, busy: None) -> None:
    told = caller().get("/queues/default").data
    figures = ("waiting", "active", "delayed", "overdue", "failed", "completed_lately", "failed_lately")
    assert [told[name] for name in figures] == [6, 2, 2, 4, 4, 200, 2]
    assert 3595 < told["oldest_due_seconds"] < 3700
    assert told["per_minute"] == pytest.approx(200 / 60, rel=0.01)
    assert told["wait_seconds"] == {"p50": 50.0, "p95": 95.0, "p99": 99.0}
    assert told["run_seconds"]["p95"] == pytest.approx(0.95)
    assert told["limits"] == {
        **{"window": 500, "concurrency": None, "rate_count": None, "rate_period": 1.0, "rate_burst": None},
    }
    other = caller().get("/queues/messages").data
    assert (other["delayed"], other["waiting"], other["per_minute"], other["wait_seconds"]["p50"]) == (1, 0, 0, None)


def test_queues_cost_a_fixed_number_of_queries(caller: Make, busy: None, django_assert_max_num_queries: Any) -> None:
    asks = caller()
    with django_assert_max_num_queries(13) as seen:
        asks.get("/queues")
    before = len(seen)
    for n in range(5):
        Queue.objects.create(name=f"more-{n}"), make_job(queue=f"more-{n}")
    with django_assert_max_num_queries(before):
        assert len(asks.get("/queues").data["items"]) == 7


def test_a_tenants_key_sees_the_figures_of_its_own_jobs(caller: Make, busy: None) -> None:
    told = caller(tenants=["a"]).get("/queues/default").data
    assert [told[name] for name in ("waiting", "active", "delayed", "failed", "completed_lately")] == [3, 1, 1, 2, 100]


def test_of_more_than_are_read_the_span_is_shorter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throughput, "MOST", 10)
    now = timezone.now()
    for n in range(20):
        make_job("succeeded", started_at=now - n * MINUTE, finished_at=now - n * MINUTE)
    found = throughput.measured(now)
    assert found.span == 9 * MINUTE and found.of("default").succeeded == 10
    assert found.a_minute("default") == pytest.approx(10 / 9)


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ([], (None, None, None)),
        ([7.0], (7, 7, 7)),
        ([1.0, 2.0], (1, 2, 2)),
        ([float(n) for n in range(100, 0, -1)], (50, 95, 99)),
    ],
    ids=["none", "one", "two", "a hundred"],
)
def test_percentiles(values: list[float], wanted: Any) -> None:
    assert tuple(throughput.percentiles(values).values()) == wanted


@pytest.mark.parametrize(
    ("limits", "names", "code"),
    [({"queues": ["messages"]}, ["messages"], 404), ({"tasks": ["probe.ok"]}, None, 403)],
    ids=["another queue", "some tasks"],
)
def test_queues_that_are_not_ones_own_are_not_there(
    caller: Make, busy: None, limits: Any, names: Any, code: int
) -> None:
    asks = caller(**limits)
    assert asks.get("/queues/default").status_code == code
    if names:
        assert [one["name"] for one in asks.get("/queues").data["items"]] == names
        assert asks.post("/queues/default/pause", {"reason": "x"}).status_code == 404
        assert asks.post("/queues/default/clean", {"state": "failed", "older_than": 0}).status_code == 404


# --- Limits ---


def test_limits_change_by_what_is_said_and_nothing_else_does(caller: Make) -> None:
    Queue.objects.create(name="default", tokens=3, dispatched=17, concurrency=9)
    asks = caller()
    told = asks.ask("PATCH", "/queues/default/limits", {"rate_count": 5, "rate_period": 60, "concurrency": None}).data
    assert told == {"window": 500, "concurrency": None, "rate_count": 5, "rate_period": 60.0, "rate_burst": None}
    row = Queue.objects.get()
    assert (row.tokens, row.dispatched, row.rate_period) == (3, 17, MINUTE)
    assert asks.ask("PATCH", "/queues/default/limits", {}).data == told


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"concurrency": 0}, "concurrency"),
        ({"window": None}, "window"),
        ({"rate_period": 0}, "rate_period"),
        ({"tokens": 5}, "tokens"),
        ({"name": "other"}, "name"),
    ],
    ids=str,
)
def test_limits_that_are_none_are_refused(caller: Make, said: Any, field: str) -> None:
    answer = caller().ask("PATCH", "/queues/default/limits", said)
    assert answer.status_code == 422 and answer.data["errors"][0]["field"] == field


def test_how_many_of_a_key_run_at_once(caller: Make) -> None:
    asks = caller()
    assert asks.ask("PUT", "/limits/keys/venue:*", {"limit": 3}).data == {"key": "venue:*", "limit": 3}
    assert asks.ask("PUT", "/limits/keys/venue:*", {"limit": 4}).data["limit"] == 4
    assert asks.get("/limits/keys").data["items"] == [{"key": "venue:*", "limit": 4}]
    assert asks.delete("/limits/keys/venue:*").status_code == 204 and not KeyLimit.objects.exists()
    assert asks.delete("/limits/keys/venue:*").status_code == 404
    assert asks.ask("PUT", f"/limits/keys/{'x' * 101}", {"limit": 3}).status_code == 422


def test_how_often_a_task_may_run(caller: Make) -> None:
    asks = caller()
    assert asks.ask("PUT", "/limits/tasks/probe.ok", {"rate": "10/m"}).status_code == 200
    assert TaskRate.objects.get().ordered == "10/m"
    assert asks.get("/limits/tasks").data["items"] == [{"task": "probe.ok", "rate": "10/m"}]
    for wrong in ("often", "99999999999/s", "0.00001/s"):
        assert asks.ask("PUT", "/limits/tasks/probe.ok", {"rate": wrong}).status_code == 422, wrong
    assert asks.ask("PUT", "/limits/tasks/no.such", {"rate": "1/s"}).status_code == 404
    assert asks.delete("/limits/tasks/probe.ok").status_code == 204
    assert asks.get("/limits/tasks").data["items"] == []


@pytest.mark.parametrize("limits", [{"queues": ["default"]}, {"tenants": ["a"]}, {"tasks": ["probe.ok"]}], ids=str)
def test_limits_of_all_are_not_for_who_has_some(caller: Make, limits: Any) -> None:
    asks = caller(**limits)
    assert asks.get("/limits/keys").status_code == asks.get("/limits/tasks").status_code == 403
    assert asks.ask("PUT", "/limits/keys/a", {"limit": 3}).status_code == 403


# --- Cleaning ---


def clean(asks: Any, state: str, older_than: float = 0, **said: Any) -> Any:
    return asks.post("/queues/default/clean", {"state": state, "older_than": older_than} | said)


def test_cleaning_deletes_what_is_over_and_old_enough_and_keeps_its_keys(caller: Make) -> None:
    old = make_job("succeeded", unique_key="welcome-7", finished_at=timezone.now() - 2 * DAY)
    kept = [
        make_job("succeeded"),
        make_job("succeeded", queue="messages", finished_at=timezone.now() - 2 * DAY),
        make_job("failed", finished_at=timezone.now() - 2 * DAY),
        make_job(),
        make_job("running"),
    ]
    asks = caller()
    assert clean(asks, "completed", 86400, dry_run=True).data == {"count": 1, "more": False, "dry_run": True}
    assert Job.objects.count() == 6
    assert clean(asks, "completed", 86400).data == {"count": 1, "more": False, "dry_run": False}
    assert set(Job.objects.all()) == set(kept) and UniqueKey.objects.get().job == old.pk
    assert asks.post("/jobs", {"task": "probe.ok", "unique_key": "welcome-7"}).data["id"] == str(old.pk)


def test_cleaning_takes_no_more_than_its_limit_the_oldest_first(caller: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobs.pruner.BATCH", 2)
    made = [make_job("failed", finished_at=timezone.now() - n * HOUR) for n in range(5)]
    asks = caller()
    assert clean(asks, "failed", limit=3).data == {"count": 3, "more": True, "dry_run": False}
    assert set(Job.objects.all()) == set(made[:2])
    assert clean(asks, "failed", limit=3).data == {"count": 2, "more": False, "dry_run": False}


def test_cleaning_leaves_what_an_unfinished_group_waits_for(caller: Make) -> None:
    group = Group.objects.create(size=2)
    make_job("succeeded", group_id=group.pk, group_index=0)
    assert clean(caller(), "completed").data["count"] == 0
    Group.objects.update(finished_at=timezone.now())
    assert clean(caller(), "completed").data["count"] == 1


def test_cleaning_reaches_ones_own_jobs_only(caller: Make) -> None:
    make_job("failed", tenant="a"), make_job("failed", tenant="b"), make_job("failed", tenant="a", task="probe.fail")
    assert clean(caller(tenants=["a"], tasks=["probe.ok"]), "failed").data["count"] == 1
    assert Job.objects.count() == 2


@pytest.mark.parametrize(
    "said",
    [
        {"state": "running", "older_than": 0},
        {"state": "failed"},
        {"state": "failed", "older_than": -1},
        {"state": "failed", "older_than": "0"},
        {"state": "failed", "older_than": 0, "dry_run": 0},
    ],
    ids=str,
)
def test_cleaning_says_what_and_how_old(caller: Make, said: Any) -> None:
    assert caller().post("/queues/default/clean", said).status_code == 422
    assert caller({"queues:read", "queues:change"}).post("/queues/default/clean", said).status_code == 403


# --- Workers ---


@pytest.mark.usefixtures("one_moment")
def test_workers_with_their_queues_processes_and_memory(caller: Make) -> None:
    crews.tell("w@a", ["default", "messages"], 3, scalable=True, started_at=timezone.now(), memory=1000)
    crews.tell("w@b", ["default"], 2, scalable=False)
    QueueWorker.objects.filter(worker="w@b").update(seen_at=timezone.now() - MINUTE)
    told = caller().get("/workers").data
    assert told["processes"] == 3
    assert [(one["name"], one["queues"], one["here"], one["memory"]) for one in told["items"]] == [
        ("w@a", ["default", "messages"], True, 1000),
        ("w@b", ["default"], False, None),
    ]
    assert 60 <= told["items"][1]["seen_seconds"] < HOUR.total_seconds()
    assert [one["queues"] for one in caller(queues=["messages"]).get("/workers").data["items"]] == [["messages"]]


def test_the_memory_of_processes_is_measured() -> None:
    held = memory.resident([os.getpid()])
    assert held is None or held > 10_000_000
    assert memory.resident([2**22 + 1]) in (0, None)


@pytest.mark.usefixtures("one_moment")
def test_a_queue_is_scaled_with_a_reason(caller: Make, settings: Any) -> None:
    crews.tell("w@a", ["default"], 3, scalable=True)
    asks = caller()
    told = asks.post("/queues/default/scale", {"processes": 8, "reason": "newsletter"}).data
    assert told == {"queue": "default", "desired": 8, "actual": 3, "scalable": True}
    row = Queue.objects.get()
    assert (row.desired_processes, row.desired_by, row.desired_reason) == (8, asks.name, "newsletter")
    assert asks.post("/queues/default/scale", {"processes": None, "reason": "over"}).data["desired"] is None
    for wrong in ({"processes": 0, "reason": "x"}, {"processes": 33, "reason": "x"}, {"processes": 3, "reason": ""}):
        assert asks.post("/queues/default/scale", wrong).status_code == 422
    assert caller(tenants=["a"]).post("/queues/default/scale", {"processes": 1, "reason": "x"}).status_code == 403
    assert asks.post("/queues/nowhere/scale", {"processes": 1, "reason": "x"}).status_code == 404
    assert asks.post("/queues/clock/scale", {"processes": 1, "reason": "x"}).status_code == 404
