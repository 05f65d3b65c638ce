"""What a task returned that is nothing to JSON, and empty besides: the job is done, and done once."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from celery import shared_task

from jobs.durable import Durable, PayloadError
from jobs.models import Job
from tests import probes
from tests.conftest import InProcessWorker

pytestmark = pytest.mark.django_db


class Undecided:
    """As an array of numbers: neither true nor false."""

    def __bool__(self) -> bool:
        raise ValueError("the truth value is ambiguous")

    def __repr__(self) -> str:
        return "undecided"


NOTHING: dict[str, Any] = {
    "set": set(),
    "frozen": frozenset(),
    "decimal": Decimal(0),
    "bytes": b"",
    "duration": timedelta(),
    "view": {}.keys(),
    "undecided": Undecided(),
}


@shared_task(base=Durable, name="odd.nothing")
def nothing(kind: str) -> Any:
    return NOTHING[kind]


@shared_task(base=Durable, name="odd.nothing_of_many", batch_size=10)
def nothing_of_many(kind: str) -> Any:
    return NOTHING[kind]


@pytest.mark.parametrize("kind", NOTHING)
def test_an_empty_value_that_json_does_not_know_is_kept_as_its_repr(worker: InProcessWorker, kind: str) -> None:
    nothing.delay(kind)
    worker.run_due()
    job = Job.objects.get()
    assert (job.state, job.result) == ("succeeded", repr(NOTHING[kind]))


def test_it_costs_the_others_of_its_message_nothing(worker: InProcessWorker) -> None:
    nothing_of_many.enqueue_many([(kind,) for kind in NOTHING])
    worker.run_due()
    assert set(Job.objects.values_list("state", flat=True)) == {"succeeded"}


@pytest.mark.parametrize("value", [set(), b"", Decimal(0)], ids=["set", "bytes", "decimal"])
def test_as_an_argument_it_is_refused_before_it_is_stored(value: Any) -> None:
    with pytest.raises(PayloadError, match="cannot be stored as JSON"):
        probes.ok.delay(value)
    assert not Job.objects.exists()
