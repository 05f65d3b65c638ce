"""/jobs/orders: one verb for all that match: a preview that changes nothing, an order that says how far it is."""

from typing import Any

import pytest
from django.utils import timezone

from jobs.models import Job, JobEvent, Order
from tests.api.callers import Make
from tests.conftest import InProcessWorker
from tests.factories import DAY, HOUR, make_job

pytestmark = pytest.mark.django_db
WHICH = {"queue": "default"}


def give(asks: Any, verb: str = "cancel", which: Any = None, **said: Any) -> Any:
    body = {"verb": verb, "which": WHICH if which is None else which, "reason": "venue shut"} | said
    return asks.post("/jobs/orders", body)


def test_a_dry_run_counts_by_state_and_changes_nothing(caller: Make) -> None:
    make_job(), make_job("running"), make_job("succeeded"), make_job(queue="messages")
    answer = give(caller(), dry_run=True)
    assert answer.status_code == 200
    assert answer.data["counts"] == {"running": 1, "scheduled": 1, "succeeded": 1} and answer.data["total"] == 2
    assert not Order.objects.exists() and not Job.objects.filter(state="cancelled").exists()


def test_an_order_is_carried_out_and_tells_what_became_of_the_jobs(caller: Make) -> None:
    job, _, other = make_job(), make_job("running"), make_job(queue="messages")
    asks = caller()
    answer = give(asks)
    assert answer.status_code == 202
    told = asks.get(answer["Location"]).data
    assert told["counts"] == {"cancelled": 1, "in flight": 1} and told["done"] == 2 and told["finished_at"]
    assert (told["by"], told["which"]) == (asks.name, WHICH)
    assert Job.objects.get(pk=job.pk).state == "cancelled" and Job.objects.get(pk=other.pk).state == "scheduled"
    assert JobEvent.objects.filter(order=told["id"], by=asks.name).count() == 2


def test_many_jobs_are_the_work_of_a_job_and_can_be_called_off(
    caller: Make, worker: InProcessWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobs.bulk_orders.AT_ONCE", 2)
    monkeypatch.setattr("jobs.bulk_orders.CHUNK", 2)
    for _ in range(5):
        make_job(due=DAY)
    asks = caller()
    first, second = give(asks).data, give(asks, which={"state": "delayed"}).data
    assert first["job_id"] and not first["finished_at"] and first["done"] == 0
    assert asks.post(f"/jobs/orders/{second['id']}/call-off").data["called_off_by"] == asks.name
    assert asks.post(f"/jobs/orders/{second['id']}/call-off").status_code == 409
    worker.run_due()
    assert asks.get(f"/jobs/orders/{first['id']}").data["counts"] == {"cancelled": 5}
    assert [one["id"] for one in asks.get("/jobs/orders?is_open=false").data["items"]] == [second["id"], first["id"]]
    assert asks.get("/jobs/orders?is_open=true").data["items"] == []


@pytest.mark.parametrize(
    ("verb", "said", "state", "check"),
    [
        ("retry", {}, "failed", lambda job: job.state == "scheduled"),
        ("retry", {"per_minute": 1}, "failed", lambda job: job.state == "scheduled"),
        ("run_now", {}, "scheduled", lambda job: job.run_at <= timezone.now()),
        ("postpone", {"delay": 7200}, "scheduled", lambda job: job.run_at > timezone.now() + 2 * HOUR),
        ("postpone", {"delay_ms": 7_200_000}, "scheduled", lambda job: job.run_at > timezone.now() + 2 * HOUR),
        ("postpone", {"run_at": "2031-01-01T00:00Z"}, "scheduled", lambda job: job.run_at.year == 2031),
        ("reprioritise", {"priority": "urgent"}, "scheduled", lambda job: job.priority == 20),
        ("reprioritise", {"priority": 10, "priority_scale": "ten"}, "scheduled", lambda job: job.priority == 1),
    ],
    ids=lambda said: "" if callable(said) else str(said),
)
def test_each_verb_does_what_it_says(caller: Make, verb: str, said: Any, state: str, check: Any) -> None:
    make_job(state, due=HOUR)
    assert give(caller(), verb, {"state": state}, **said).data["counts"] == {"done": 1}
    assert check(Job.objects.get())


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"which": {}}, "which"),
        ({"which": {"state": "funny"}}, "which.state"),
        ({"which": {"colour": "red"}}, "which.colour"),
        ({"reason": ""}, "reason"),
        ({"verb": "explode"}, "verb"),
        ({"dry_run": 1}, "dry_run"),
        ({"dry_run": "yes"}, "dry_run"),
        ({"delay": 5}, "delay"),
        ({"per_minute": 5}, "per_minute"),
        ({"verb": "postpone"}, "run_at"),
        ({"verb": "reprioritise"}, "priority"),
        ({"verb": "reprioritise", "priority": 5}, "priority_scale"),
    ],
    ids=str,
)
def test_what_is_no_order_is_refused_and_changes_nothing(caller: Make, said: Any, field: str) -> None:
    make_job()
    answer = caller().post("/jobs/orders", {"verb": "cancel", "which": WHICH, "reason": "x"} | said)
    assert answer.status_code == 422 and answer.data["errors"][0]["field"] == field, answer.data
    assert not Order.objects.exists() and Job.objects.get().state == "scheduled"


def test_an_order_that_would_touch_more_than_was_said_is_refused(caller: Make) -> None:
    make_job(), make_job()
    answer = give(caller(), at_most=1)
    assert answer.status_code == 409 and answer.data["total"] == 2 and not Order.objects.exists()


def test_at_most_counts_as_far_as_it_says_and_a_dry_run_as_far_as_lists_do(
    caller: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobs.bulk_orders.MOST", 2)
    [make_job(due=DAY) for _ in range(5)]
    assert give(caller(), dry_run=True).data["total"] == 3  # more than 2
    assert give(caller(), at_most=4).status_code == 409 and not Order.objects.exists()
    assert give(caller(), at_most=5).status_code == 202


@pytest.mark.parametrize(
    "limits", [{"queues": ["default"]}, {"tasks": ["probe.ok"]}, {"tenants": ["a"]}], ids=["queue", "task", "tenant"]
)
def test_an_order_reaches_what_its_key_does_and_others_do_not_see_it(
    caller: Make, limits: Any, worker: InProcessWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when a job carries it out later, for whom there is no key."""
    monkeypatch.setattr("jobs.bulk_orders.AT_ONCE", 0)
    make_job(tenant="a", due=DAY)
    other = make_job(queue="messages", task="probe.fail", tenant="b", due=DAY)
    asks = caller(**limits)
    pk = give(asks, which={"state": "delayed"}).data["id"]
    worker.run_due()
    assert asks.get(f"/jobs/orders/{pk}").data["counts"] == {"cancelled": 1}
    assert Job.objects.get(pk=other.pk).state == "scheduled"
    assert caller(**limits).get(f"/jobs/orders/{pk}").status_code == 404
    assert caller(**limits).get("/jobs/orders").data["items"] == []
    assert caller().get(f"/jobs/orders/{pk}").status_code == 200


@pytest.mark.parametrize(
    ("verb", "scope", "said"),
    [
        ("cancel", "jobs:cancel", {}),
        ("retry", "jobs:retry", {}),
        ("run_now", "jobs:postpone", {}),
        ("postpone", "jobs:postpone", {"delay": 1}),
        ("reprioritise", "jobs:reprioritise", {"priority": "low"}),
    ],
)
def test_an_order_needs_the_scope_of_its_verb(caller: Make, verb: str, scope: str, said: Any) -> None:
    assert give(caller({scope}), verb, **said).status_code == 202
    answer = give(caller({"jobs:read", "jobs:enqueue"}), verb, **said)
    assert answer.status_code == 403 and scope in answer.data["detail"]


def test_what_an_order_searched_for_is_not_told(caller: Make) -> None:
    make_job(unique_key="alice@example.com")
    answer = give(caller(), which={"search": "alice@example.com"})
    assert answer.data["which"] == {"search": "•••"} and answer.data["done"] == 1
