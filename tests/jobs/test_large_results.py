"""A result that is larger than a row keeps: the job is done, and says that its result is not there."""

from typing import Any

import pytest
from celery import group, shared_task

from jobs.durable import Durable
from jobs.models import Job
from jobs.payload import LONGEST
from jobs.verdict import NOT_KEPT
from tests.conftest import InProcessWorker

pytestmark = pytest.mark.django_db


@shared_task(base=Durable, name="large.text")
def text(size: int) -> str:
    return "x" * size


@shared_task(base=Durable, bind=True, name="large.by_a_group")
def by_a_group(self: Any) -> None:
    self.replace(group(text.s(50_000) for _ in range(4)))


@pytest.mark.parametrize("over", [0, 1], ids=["as large as may be", "one byte more"])
def test_what_is_not_kept_says_so_and_how_large_it_was(
    worker: InProcessWorker, caplog: pytest.LogCaptureFixture, over: int
) -> None:
    handle: Any = text.delay(LONGEST - 2 + over)
    worker.run_due()
    result = handle.get(timeout=60)
    if over:
        told = result[NOT_KEPT]
        assert (told["bytes"], told["most"], told["begins"][:3]) == (LONGEST + 1, LONGEST, "'xx")
        assert f"job={handle.id}" in caplog.text and "return its id" in caplog.text and "xxx" not in caplog.text
    else:
        assert len(result) == LONGEST - 2
    assert Job.objects.get().state == "succeeded"


def test_a_group_that_replaced_a_job_returns_more_than_one_job_may(worker: InProcessWorker) -> None:
    handle: Any = by_a_group.delay()
    worker.drain()
    assert [len(one) for one in handle.get(timeout=60)] == [50_000] * 4
