"""The pruner and groups: what a chord or a batch still needs stays, and what nobody needs any more goes."""

from datetime import timedelta
from typing import Any

import pytest
from celery import chord
from django.utils import timezone

from jobs import batches, pruner
from jobs.models import Group, Job
from tests import probes
from tests.conftest import InProcessWorker
from tests.factories import DAY, make_job

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _retention(settings: Any) -> None:
    settings.JOBS_KEEP_DAYS = {"succeeded": 7, "cancelled": 30, "expired": 30, "failed": 90}
    settings.JOBS_KEEP_COUNT = {"succeeded": 0, "cancelled": 0, "expired": 0}


def later(by: timedelta) -> None:
    for row in [*Job.objects.finished(), *Group.objects.all()]:
        row.finished_at = row.finished_at and row.finished_at - by
        row.created_at -= by
        row.save()


def test_a_chord_that_waits_for_three_weeks_is_called_with_all_results(worker: InProcessWorker) -> None:
    header = [probes.ok.s(1), probes.ok.s(2, note="late").set(countdown=21 * 86_400)]
    body: Any = chord(header)(probes.ok.s(note="body"))
    worker.run_due()
    later(8 * DAY)
    assert pruner.prune() == {}
    Job.objects.filter(state="scheduled").update(run_at=timezone.now())
    worker.drain()
    assert body.job.result == [1, 2]


def test_a_count_leaves_what_a_batch_waits_for(worker: InProcessWorker, settings: Any) -> None:
    settings.JOBS_KEEP_COUNT = {"succeeded": 1}
    later_call = probes.ok.s(9).set(countdown=3600)
    batch = batches.start("many", [*(probes.ok.s(n) for n in range(4)), later_call], on_finished=probes.told.s())
    worker.run_due()
    assert pruner.prune() == {}
    Job.objects.filter(state="scheduled").update(run_at=timezone.now())
    worker.drain()
    batch.refresh_from_db()
    assert batch.finished_at is not None


@pytest.mark.parametrize("size", [1, None], ids=["ended", "never whole"])
def test_a_group_goes_when_its_last_job_has_gone(size: int | None) -> None:
    ended = timezone.now() if size else None
    kept, gone = (Group.objects.create(size=size, finished_at=ended) for _ in range(2))
    make_job("failed", group_id=kept.pk)
    later(89 * DAY)
    assert pruner.prune() == {}
    Group.objects.update(created_at=timezone.now() - 91 * DAY, finished_at=ended and ended - 91 * DAY)
    assert pruner.prune() == {"groups": 1}
    assert set(Group.objects.values_list("pk", flat=True)) == {kept.pk} != {gone.pk}


def test_a_group_whose_jobs_are_all_to_come_stays() -> None:
    Group.objects.create(size=3, created_at=timezone.now() - 900 * DAY)
    assert pruner.prune() == {}
