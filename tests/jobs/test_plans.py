"""A crowd of jobs that wait for later costs nothing: each search goes by its index and reads what it finds.

The table is large enough for the planner to have a choice, and its statistics are as autovacuum leaves them.
"""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from bench.plans import explained
from bench.rows import analyze, copies
from jobs import (
    bulk_orders,
    dead_letters,
    errors,
    holding,
    lanes,
    ledger,
    listing,
    pruner,
    queues,
    rescuer,
    throughput,
    windows,
)
from jobs.listing import Selection
from jobs.models import Job, Queue
from jobs.scopes import ALL
from tests.factories import HOUR, MINUTE

pytestmark = pytest.mark.django_db

TASKS = ["probe.ok", "probe.fail"]
MANY, DUE, HELD = 60_000, 400, 40
RARE = {"task": "probe.fail", "queue": "messages", "tenant": "practice 7", "correlation_id": "booking:17"}


@pytest.fixture(scope="module", autouse=True)
def _crowd(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    now = timezone.now()
    job = {"task": "probe.ok", "queue": "default", "run_at": now, "created_at": now}
    lease = {"lease_until": now + HOUR}
    with django_db_blocker.unblock():
        copies(Job(**job, useful_until=now + timedelta(days=90)), MANY, seconds="86400 + i")
        copies(Job(**job, state="succeeded", finished_at=now), MANY)
        copies(Job(**job, state="failed", finished_at=now, signature="Flaky: <n>"), HELD)
        copies(Job(**job | RARE, failures=1), HELD, seconds="3600")
        copies(Job(**job), DUE, seconds="-60")
        copies(Job(**job, state="queued", **lease), HELD)
        copies(Job(**job, state="running", token=1, worker="me:1", **lease), HELD)
        queues.due()  # adds the rows of the queues
        analyze()
    yield
    with django_db_blocker.unblock():
        Job.objects.all()._raw_delete(Job.objects.db)
        Queue.objects.all().delete()


def some(state: str) -> list[Any]:
    return list(Job.objects.filter(state=state).values_list("pk", flat=True)[:HELD])


def held() -> list[Job]:
    return list(Job.objects.filter(state="running"))


def shut() -> dict[str, Any]:
    return {"queue": "default", "tasks": TASKS, "shut": lanes.Shut(), "now": timezone.now()}


def page(**chosen: str) -> None:
    client = Client()
    client.force_login(User.objects.create_superuser("olga"))
    assert client.get(reverse("admin:jobs_job_changelist"), chosen).status_code == 200


SEARCHES: dict[str, tuple[Callable[[], Any], str]] = {
    "what is due": (queues.due, "job_due"),
    "which queues have jobs": (queues.waiting, "job_due"),
    "all that is due, if little": (lambda: lanes.oldest(**shut()), "job_due"),
    "the first lanes": (lambda: lanes.first(**shut()), "job_lanes"),
    "their heads": (lambda: lanes.heads("default", lanes.first(**shut()), timezone.now(), room=50), "job_lanes"),
    "the crowd by lanes": (lambda: lanes.crowd(**shut(), room=50, widest=1), "job_lanes"),
    "a window": (lambda: windows.fill("default", TASKS), "job_lanes"),
    "how much is held": (lambda: windows._held("default"), "job_held"),
    "lost workers": (lambda: list(rescuer.lost(timezone.now())), "job_held"),
    "lost messages": (lambda: ledger.release(Job.objects.filter(lease_until__lt=timezone.now())), "job_held"),
    "what came too late": (ledger.expire, "job_expiry"),
    "what nobody knows": (lambda: ledger.reject(TASKS, ["default"], MINUTE / 2), "job_due"),
    "what was done lately": (lambda: throughput.measured(timezone.now()), "job_over"),
    "what may be cleaned": (lambda: pruner.clean(pruner.over(Job.objects.all(), "failed", -HOUR), 10), "job_over"),
    "the admin's list": (lambda: page(state__exact="failed"), "job_state"),
}
BY_ID: dict[str, Callable[[], Any]] = {
    "claim": lambda: ledger.claim_many(some("queued"), "me:1"),
    "succeed": lambda: ledger.succeed_many(held()),
    "beat": lambda: holding.beat(some("running"), "me:1"),
    "cancel": lambda: ledger.cancel(some("running"), "why not"),
}


@pytest.mark.parametrize("name", SEARCHES)
def test_a_search_goes_by_its_index_and_reads_what_it_finds(name: str) -> None:
    search, index = SEARCHES[name]
    with explained() as plans:
        search()
    assert plans
    assert index in {used for plan in plans for used in plan.indexes}, [plan.text for plan in plans]
    for plan in plans:
        assert not plan.whole, plan.sql + plan.text
        # A row that changes its state costs about three pages for each index that has it; the whole table and its
        # indexes have many times that.
        assert plan.pages < 30 * DUE, plan.sql + plan.text


@pytest.mark.parametrize("name", BY_ID)
def test_rows_that_are_known_by_id_are_found_by_id(name: str) -> None:
    """However many were in the same state a moment ago: dead rows stay in an index until they are vacuumed away."""
    with explained() as plans:
        BY_ID[name]()
    updates = [plan for plan in plans if plan.sql.startswith("UPDATE")]
    assert updates
    for plan in updates:
        wanted = {"jobs_job_pkey"} if connection.vendor == "postgresql" else {"sqlite_autoindex_jobs_job_1"}
        assert plan.indexes == wanted, plan.sql + plan.text


def listed(**chosen: Any) -> listing.Page:
    return listing.page(Selection(**chosen), Job.objects.defer("args"), 50)


def last_page(**chosen: Any) -> listing.Page:
    """The one that OFFSET would have to count its way to."""
    first = Job.objects.order_by("pk").values_list("pk", flat=True)[0]
    return listing.page(Selection(**chosen), Job.objects.all(), 50, before=str(first))


def order(**chosen: Any) -> bulk_orders.Preview:
    return bulk_orders.preview("cancel", Selection(**chosen), ALL)


SOON = timezone.now() + timedelta(minutes=50)
LISTS: dict[str, tuple[Callable[[], Any], str | None]] = {
    "all": (listed, None),
    "the last page of all": (last_page, None),
    "a state": (lambda: listed(state="failed"), "job_state"),
    "tried again": (lambda: listed(state="retrying"), "job_retrying"),
    "overdue": (lambda: listed(state="overdue"), "job_when"),
    "waiting": (lambda: listed(state="waiting"), "job_when"),
    "delayed": (lambda: listed(state="delayed"), "job_when"),
    "stalled": (lambda: listed(state="stalled"), "job_state"),
    "of some tasks": (lambda: listed(state="failed", tasks=("probe.ok",)), None),
    "dead letters": (dead_letters.by_task, None),
    "a queue": (lambda: listed(queue="messages"), "job_of_queue"),
    "a task": (lambda: listed(task="probe.fail"), "job_of_task"),
    "a tenant": (lambda: listed(tenant="practice 7"), "job_of_tenant"),
    "a tag": (lambda: listed(tag="booking:17"), "job_of_tag"),
    "a window of time": (lambda: listed(run_from=SOON, run_until=SOON + timedelta(minutes=20)), "job_when"),
    "a window and a state": (lambda: listed(run_from=SOON, state="scheduled"), "job_when"),
    "an error": (lambda: listed(signature="Flaky: <n>"), "job_errors"),
    "a search for a tag": (lambda: listed(search="booking:17"), "job_of_tag"),
    "a search for a key": (lambda: listed(search="nobody's"), "job_unique_key"),
    "errors by kind": (lambda: errors.groups(Job.objects.all()), None),
    "an order by tag": (lambda: order(tag="booking:17"), "job_of_tag"),
    "an order to a crowded queue": (lambda: order(queue="default"), "job_of_queue"),
    "an order to a crowded task": (lambda: order(task="probe.ok"), "job_of_task"),
    "an order to a crowded state": (lambda: order(state="succeeded"), "job_state"),
    "an order to all that wait": (lambda: order(state="delayed"), "job_when"),
}


@pytest.mark.parametrize("name", LISTS)
def test_each_filter_of_the_list_goes_by_an_index(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """What is counted, is counted up to so many, here to as many as this table's size allows to tell apart."""
    monkeypatch.setattr(bulk_orders, "MOST", 300)
    search, index = LISTS[name]
    search()  # PostgreSQL looks once at each row that the tests before have rolled back, and then knows
    with explained() as plans:
        search()
    assert plans
    if index:
        assert index in {used for plan in plans for used in plan.indexes}, [plan.text for plan in plans]
    for plan in plans:
        assert not plan.whole, plan.sql + plan.text
        assert plan.pages < 1_000, plan.sql + plan.text
        assert "OFFSET" not in plan.sql


def test_the_table_is_large_enough_to_tell() -> None:
    """A search through all rows is noticed, here as in the tests above."""
    with explained() as plans:
        list(Job.objects.filter(reason="nowhere"))
    (plan,) = plans
    assert plan.whole and (plan.pages > 1_500 or connection.vendor == "sqlite")
