"""Dispatchers, pauses, groups and the pruner at the same time: nothing is taken twice, nothing is lost between them."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from jobs import batches, buckets, bulk_orders, groups, lanes, pauses, pruner, queues, rates, turns, windows
from jobs.ids import new_id
from jobs.listing import Selection
from jobs.models import Job, JobEvent, KeyLimit, Order, Queue, TaskRate
from jobs.scopes import ALL
from tests import probes
from tests.factories import HOUR, make_job
from tests.jobs.test_interleavings import retry
from tests.races import PATIENCE, Held, elsewhere, needs_postgresql, race, until_it_waits

pytestmark = [needs_postgresql, pytest.mark.django_db(transaction=True, serialized_rollback=True)]


# --- Windows, limits and pauses ------------------------------------------------------------------------


def fill(queue: str = "default") -> int:
    return len(windows.fill(queue, ["probe.ok"]))


def test_two_dispatchers_fill_one_window_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second comes when the first has counted and not yet marked anything."""
    queues.due()
    Queue.objects.update(window=3)
    for _ in range(8):
        make_job()
    counted = Held(monkeypatch, lanes, "oldest")
    with counted.while_there(fill) as first:
        assert fill() == 0
    assert first.result() == 3
    assert Job.objects.filter(state="queued").count() == 3


def test_a_queue_that_a_dispatcher_holds_is_passed_by() -> None:
    queues.due()
    make_job()
    with transaction.atomic():
        assert queues.locked("default")
        with elsewhere(fill) as (other, _):
            assert other.result(PATIENCE) == 0  # while the first still holds the queue
    assert fill() == 1


def test_two_queues_do_not_use_the_place_of_one_key_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second comes when the first has counted and not yet marked anything."""
    queues.due()
    KeyLimit.objects.create(key=KeyLimit.ALL)  # the row that is the lock
    for queue in ("default", "messages"):
        make_job(queue=queue, concurrency_key="venue:7")
    counted = Held(monkeypatch, turns, "choose")
    with counted.while_there(fill) as first:
        began = elsewhere(lambda: fill("messages"))
        second, process = began.__enter__()
        until_it_waits(second, process)
    began.__exit__(None, None, None)
    assert (first.result(), second.result()) == (1, 0)


def test_two_queues_do_not_draw_the_tokens_of_one_task_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second comes when the first has looked into the bucket and not yet drawn anything."""
    queues.due()
    TaskRate.objects.create(task="probe.ok")  # the row that is the bucket, and the lock
    for queue in ("default", "messages"):
        make_job(queue=queue)

    def drawn(queue: str) -> int:
        return len(rates.fill(queue, "probe.ok", buckets.Rate(1, HOUR, 1)))

    looked = Held(monkeypatch, lanes, "oldest")
    with looked.while_there(lambda: drawn("default")) as first:
        assert drawn("messages") == 0
    assert first.result() == 1
    assert Job.objects.filter(state="queued").count() == 1


def test_a_pause_takes_back_what_a_dispatcher_at_work_has_marked() -> None:
    queues.due()
    make_job(tenant="venue-7")
    assert race(fill, lambda: pauses.pause("tenant", ["venue-7"], by="olga")) == (1, 1)
    assert Job.objects.get().state == "scheduled"


# --- Groups and the pruner -----------------------------------------------------------------------------


def test_two_that_settle_one_group_call_its_end_once() -> None:
    batch = batches.start("two", [probes.add.s(1, 1), probes.add.s(2, 2)], on_finished=probes.told.s())
    Job.objects.update(state="succeeded", finished_at=timezone.now())
    assert race(lambda: groups.end(batch.pk), lambda: groups.end(batch.pk)) == (True, False)
    assert Job.objects.filter(task="probe.told").count() == 1


def prune() -> int:
    return pruner.prune()["cancelled"]


@pytest.mark.parametrize("first", ["retry", "prune"])
def test_what_a_person_runs_again_is_not_deleted_at_the_same_moment(first: str) -> None:
    job = make_job("cancelled", finished_at=timezone.now() - timedelta(days=900))
    acts: list[Callable[[], Any]] = [lambda: retry(job), prune]
    if first == "retry":
        assert race(*acts) == (True, 0)
        assert Job.objects.get().state == "scheduled"
    else:
        assert race(*acts[::-1]) == (1, False)
        assert not Job.objects.exists()


@pytest.mark.parametrize("most", [0, 1_000], ids=["by a job", "at once"])
def test_an_order_that_is_given_twice_at_once_is_given_once(monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    """Two clicks on one page: they bring the same id, and neither finds that the other has given it."""
    monkeypatch.setattr(bulk_orders, "AT_ONCE", most)
    make_job("failed", failures=3)
    pk, chosen = new_id(), Selection(queue="default")
    seen = bulk_orders.preview("retry", chosen, ALL)

    def click() -> bool:
        try:
            bulk_orders.start(bulk_orders.Wish("retry", chosen, ALL, "olga", "mended"), seen, pk)
        except IntegrityError:
            return False
        return True

    assert race(click, click) == (True, False)
    assert Order.objects.count() == 1
    assert (Job.objects.filter(task=bulk_orders.TASK).count(), JobEvent.objects.count()) == (
        (1, 0) if most == 0 else (0, 1)
    )
