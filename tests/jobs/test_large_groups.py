"""Chords and batches of many jobs: what each of their jobs costs does not grow with them, and none stops the others."""

from typing import Any

import pytest
from celery import chord, shared_task
from django.db import DataError, connection
from django.test.utils import CaptureQueriesContext

from jobs import batches, groups, rescuer
from jobs.durable import Durable
from jobs.models import Group, Job
from jobs.payload import LONGEST
from tests import probes
from tests.conftest import InProcessWorker
from tests.factories import make_job

pytestmark = pytest.mark.django_db


@shared_task(base=Durable, name="large.count")
def count(results: list[Any]) -> list[int]:
    return [len(results), sum(len(one) for one in results)]


def test_a_chord_is_called_with_more_results_than_one_job_may_have(worker: InProcessWorker) -> None:
    body: Any = chord([probes.ok.s("x" * 1_000) for _ in range(100)])(count.s())
    worker.drain()
    assert body.job.state == "succeeded" and body.job.result == [100, 100_000]
    assert body.job.result[1] > LONGEST


def test_while_a_group_waits_none_of_its_results_is_read_and_its_row_is_not_locked() -> None:
    group = Group.objects.create(size=3, body=dict(probes.told.s()))
    for n in range(2):
        done = make_job("succeeded", group_id=group.pk, group_index=n, result="large")
    make_job("scheduled", group_id=group.pk, group_index=2)
    with CaptureQueriesContext(
        connection,
    ) as asked:
        groups.settle([done])
    said = " ".join(query["sql"] for query in asked.captured_queries)
    assert len(asked) == 2 and "result" not in said and "FOR UPDATE" not in said
    assert not Group.objects.exclude(finished_at=None).exists()


def test_the_first_failure_is_told_at_once_and_the_next_ones_are_no_news(worker: InProcessWorker) -> None:
    calls = [probes.fail.s(), probes.fail.s(), probes.ok.s(1).set(countdown=3600)]
    batch = batches.start("bad", calls, on_failed=probes.told.s())
    worker.run_due()
    batch.refresh_from_db()
    assert batch.failed_at is not None and batch.finished_at is None
    assert Job.objects.filter(task="probe.told").count() == 1


def test_one_group_that_cannot_be_ended_does_not_keep_the_others_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = sorted(Group.objects.create(size=1).pk for _ in range(2))
    for pk in (first, second):
        make_job("succeeded", group_id=pk, group_index=0)
    real = groups.end

    def refuses_one(pk: Any) -> bool:
        if pk == first:
            raise DataError("value out of range")
        return real(pk)

    monkeypatch.setattr(groups, "end", refuses_one)
    assert rescuer.rescue_lost().settled == 1
    assert Group.objects.exclude(finished_at=None).get().pk == second
