"""Jobs that replaced each other, many in a row: the first's handle answers for the last."""

import itertools
import uuid
from typing import Any

import pytest
from celery.result import AsyncResult

from jobs import replacing, results
from jobs.ids import new_id
from jobs.models import Job
from tests import probes
from tests.factories import make_job

pytestmark = pytest.mark.django_db


def line(length: int) -> str:
    ids = [new_id() for _ in range(length)]
    usual = make_job("succeeded", pk=ids[-1], result="the last")
    befores = itertools.pairwise(ids)
    Job.objects.bulk_create(
        Job(pk=pk, task=usual.task, queue="default", state="succeeded", run_at=usual.run_at, options=told)
        for pk, told in ((pk, {replacing.KEY: str(after)}) for pk, after in befores)
    )
    return str(ids[0])


def test_the_handle_answers_for_the_last_of_two_thousand() -> None:
    first = line(2000)
    handle: Any = AsyncResult(first)
    assert (handle.get(timeout=60), handle.id) == ("the last", first)


def test_one_whose_successor_is_not_there_yet_waits_for_it() -> None:
    job = make_job("succeeded", options={replacing.KEY: str(uuid.uuid4())})
    assert probes.ok.AsyncResult(str(job.pk)).state == "PENDING"


def test_a_line_without_an_end_is_an_error_and_no_endless_search(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "LONGEST_LINE", 3)
    with pytest.raises(LookupError, match="more than 3 times"):
        _ = AsyncResult(line(6)).state
