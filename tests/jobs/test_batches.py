"""Batches: progress in one query, an end that is noticed once, and one cancel for all."""

from typing import Any

import pytest
from celery.canvas import Signature

from jobs import batches, groups, rescuer
from jobs.models import Job
from tests import probes
from tests.probes import add, fail, small, told

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _nothing_ran() -> None:
    probes.RAN.clear()


def heard() -> list[Any]:
    return [value for kind, value in probes.RAN if kind == "told"]


def test_a_batch_tells_how_far_it_is_in_one_query(worker, django_assert_num_queries) -> None:
    batch = batches.start("invoices of May", [add.s(n, 1) for n in range(3)] + [fail.s()])
    assert batches.progress(batch.pk) == batches.Progress(4, {"scheduled": 4})
    worker.drain()
    with django_assert_num_queries(1):
        progress = batches.progress(batch.pk)
    assert (progress.finished, progress.states) == (4, {"failed": 1, "succeeded": 3})


def test_its_callbacks_are_called_once_each_with_its_id(worker) -> None:
    calls = [fail.s(), fail.s(), add.s(1, 1)]
    batch = batches.start("three", calls, on_finished=told.s("finished"), on_failed=told.s("failed"))
    worker.drain()
    rescuer.rescue_lost()
    worker.drain()
    assert not groups.end(batch.pk)  # whoever settles it late
    assert heard() == [str(batch.pk)] * 2
    assert sorted(job.args[1] for job in Job.objects.filter(task="probe.told")) == ["failed", "finished"]


def test_a_batch_without_a_failure_only_finishes(worker) -> None:
    batch = batches.start("fine", [small.s(0), small.s(1)], on_finished=told.s(), on_failed=told.s("failed"))
    worker.drain()
    assert heard() == [str(batch.pk)]


def test_an_empty_batch_is_finished_at_once(worker) -> None:
    batch = batches.start("nothing", [], on_finished=told.s())
    worker.drain()
    assert heard() == [str(batch.pk)]


def test_cancelling_a_batch_cancels_what_has_not_finished(worker) -> None:
    calls = [add.s(1, 1), add.s(2, 2).set(countdown=60), add.s(3, 3).set(countdown=60)]
    batch = batches.start("three", calls, on_finished=told.s())
    worker.run_due()
    assert sorted(batches.cancel(batch.pk, "wrong month").values()) == ["cancelled", "cancelled", "finished"]
    worker.drain()
    assert heard() == [str(batch.pk)]


@pytest.mark.parametrize(
    ("calls", "end", "says"),
    [
        ([add.s(1, 1)], probes.plain.s(), "not durable"),
        ([add.s(1, 1) | add.s(1)], None, "single calls"),
        ([Signature(add, (1, 1), options={"unique_key": "x"})], None, "unique_key"),
    ],
)
def test_what_a_batch_cannot_count_on_is_refused(calls: Any, end: Any, says: str) -> None:
    with pytest.raises(TypeError, match=says):
        batches.start("no", calls, on_finished=end)
    assert not Job.objects.exists()
