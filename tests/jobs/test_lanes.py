"""A window filled from a single lane, a few and a crowd: the same jobs go."""

from typing import Any

import pytest
from django.utils import timezone

from jobs import lanes, ledger, pauses, queues, turns
from jobs.models import Priority, Queue
from tests.factories import HOUR, MINUTE, make_job
from tests.jobs.filling import SECOND, TASKS, fill, many, set_queue

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _rows() -> None:
    queues.due()  # as the dispatcher does before it fills


def test_of_a_single_lane_the_oldest_go_and_no_more_than_there_is_room(monkeypatch) -> None:
    monkeypatch.setattr(lanes, "FEW", 10)
    set_queue(window=20)
    now = timezone.now()
    jobs = [make_job(run_at=now - n * MINUTE, tenant="one").pk for n in range(30)]
    make_job(tenant="paused", due=-HOUR), make_job(task="gone", due=-HOUR), make_job(due=HOUR, tenant="later")
    pauses.pause("tenant", ["paused"], by="olga")
    ledger.cancel([jobs[-1]], "no")
    assert [job.pk for job in fill()] == jobs[-2:-22:-1]
    assert fill() == []
    assert Queue.objects.get(pk="default").dispatched == 20


def test_a_single_lane_with_a_key_keeps_the_keys_limit(monkeypatch) -> None:
    monkeypatch.setattr(lanes, "FEW", 10)
    many(30, concurrency_key="venue:7")
    assert len(fill()) == 1


def test_a_crowd_a_few_lanes_and_all_rows_lead_to_the_same_choice(monkeypatch) -> None:
    now = timezone.now()
    for n in range(120):
        tenant, priority = "abc"[n % 7 % 3], [1, 5, 20][n % 5 % 3]
        make_job(tenant=tenant, priority=priority, run_at=now - n * SECOND, task=TASKS[n % 2])
    make_job(due=HOUR, tenant="later")
    make_job(tenant="paused"), make_job(task="gone"), make_job(concurrency_key="full")
    make_job(tenant="a", useful_until=now - MINUTE), make_job(tenant="b", cancel_requested=True)
    shut = lanes.Shut(tenants=["paused"], keys=[("", "full"), ("other", "key")])
    whole = lanes.oldest("default", TASKS, lanes.Shut(tenants=["paused"]), now)
    crowd = lanes.crowd("default", TASKS, shut, now, room=20, widest=1)
    assert whole is not None and lanes.first("default", TASKS, shut, now) == []  # 18 are not few
    monkeypatch.setattr(lanes, "LANES", 18)
    few = lanes.first("default", TASKS, shut, now)
    heads = lanes.heads("default", few, now, room=20)
    chosen = [turns.choose(found, 20, now, key_rooms={("", "full"): 0}) for found in (whole, crowd, heads)]
    assert len(few) == 18 and len(chosen[0]) == 20
    assert chosen[0] == chosen[1] == chosen[2]


@pytest.mark.parametrize("number", [lanes.LANES, lanes.LANES + 1])
def test_a_window_is_filled_from_as_many_lanes_as_there_are(monkeypatch, number: int) -> None:
    monkeypatch.setattr(lanes, "FEW", 10)
    set_queue(window=30)
    for n in range(number):
        many(10, priority=[1, 5, 10, 20][n % 4], task=TASKS[n % 2], tenant=f"tenant {n // 8}")
    assert len(fill()) == 30


@pytest.mark.parametrize("read", ["whole", "by a few lanes", "by a crowd"])
@pytest.mark.parametrize(
    "fields",
    [{"cancel_requested": True}, {"useful_until": timezone.now() - SECOND}],
    ids=["asked to stop", "of no use any more"],
)
def test_what_may_not_go_takes_no_place(monkeypatch, fields: dict[str, Any], read: str) -> None:
    monkeypatch.setattr(lanes, "FEW", 10_000 if read == "whole" else 0)
    monkeypatch.setattr(lanes, "LANES", 0 if read == "by a crowd" else 8)
    monkeypatch.setattr(lanes, "DEEP", 4 if read == "whole" else 0)
    set_queue(window=1)
    make_job(priority=Priority.URGENT, due=-HOUR, **fields)
    other = make_job()
    assert [job.pk for job in fill()] == [other.pk]


def test_what_is_not_yet_due_takes_no_place_in_its_lane(monkeypatch) -> None:
    monkeypatch.setattr(lanes, "FEW", 0)
    set_queue(window=2)
    urgent, other = make_job(priority=Priority.URGENT), make_job()
    make_job(priority=Priority.URGENT, due=HOUR)
    assert [job.pk for job in fill()] == [urgent.pk, other.pk]
