"""Arguments: checked against the task's hints, stored as JSON, and read by later versions."""

from datetime import UTC, datetime
from typing import Any

import pytest
from celery import shared_task
from django.utils import timezone

from jobs import registry
from jobs.durable import Durable
from jobs.models import Job
from jobs.payload import PayloadError
from tests import probes
from tests.conftest import InProcessWorker
from tests.factories import make_job
from tests.jobs.test_durable import only

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _nothing_ran() -> None:
    probes.RAN.clear()


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: probes.ok.delay(object()), PayloadError, "Pass ids and plain values"),
        (lambda: probes.ok.delay(float("nan")), PayloadError, "JSON"),
        (lambda: probes.ok.delay("a\x00b"), PayloadError, "NUL"),
        (lambda: probes.ok.delay("\ud800"), PayloadError, "surrogate"),
        (lambda: probes.ok.delay("x" * 70_000), PayloadError, "Store the data"),
        (lambda: probes.ok.delay(1, 2, 3), TypeError, "positional argument"),
        (lambda: probes.ok.delay(unknown=1), TypeError, "unknown"),
        (lambda: probes.ok.apply_async(eta=datetime(2027, 1, 1)), ValueError, "names no time zone"),  # noqa: DTZ001
        (lambda: probes.ok.apply_async(expires=datetime(2027, 1, 1)), ValueError, "names no time zone"),  # noqa: DTZ001
        (lambda: probes.ok.apply_async(queue="nobody"), ValueError, "Known: clock, default, messages"),
        (lambda: probes.ok.apply_async(task_id="welcome-7"), ValueError, "unique_key"),
        (lambda: probes.ok.apply_async(link_error=probes.typed.s()), TypeError, "failed job's id"),
        (lambda: probes.ok.enqueue_many([(1,)], link=probes.ok.si()), TypeError, "belongs to one job"),
        (lambda: registry.named("probe.typo"), LookupError, "Known:"),
    ],
)
def test_bad_input_is_refused_before_it_is_stored(call, error, says) -> None:
    with pytest.raises(error, match=says):
        call()
    assert not Job.objects.exists()


def test_arguments_are_checked_against_the_tasks_hints_and_come_back_as_their_types(worker: InProcessWorker) -> None:
    when = datetime(2027, 3, 28, 1, 30, tzinfo=UTC)
    probes.typed.delay(7, when=when)
    assert only().args == [7] and only().kwargs == {"when": "2027-03-28T01:30:00Z"}
    worker.run_due()
    assert [("typed", (7, when))] == probes.RAN
    with pytest.raises(PayloadError, match="Argument number: Input should be a valid integer"):
        probes.typed.delay("seven", when=when)


def test_stored_arguments_that_do_not_fit_any_more_fail_with_the_reason(worker: InProcessWorker) -> None:
    make_job(task="probe.typed", args=["seven"], kwargs={"when": "2027-03-28T01:30:00Z"}, version=2)
    worker.run_due()
    assert only().state == "failed" and "Argument number" in only().reason
    assert probes.RAN == []


def test_arguments_of_an_older_version_are_brought_up_to_date(worker: InProcessWorker) -> None:
    make_job(task="probe.typed", args=[7, "2027-03-28"], version=1)
    worker.run_due()
    assert [("typed", (7, datetime(2027, 3, 28, tzinfo=UTC)))] == probes.RAN


def test_arguments_of_a_newer_version_are_left_to_a_worker_that_knows_them(worker: InProcessWorker) -> None:
    """In a rolling deploy both are at work; the older one would fail the job, or misread it."""
    make_job(task="probe.typed", args=["7"], kwargs={"since": 2027}, version=3)
    worker.run_due()
    job = only()
    assert (job.state, job.failures, probes.RAN) == ("scheduled", 0, [])
    assert job.run_at > timezone.now()


class Renamed(Durable):
    """Its first version counted in minutes."""

    abstract = True

    def upcast(self, version: int, args: list[Any], kwargs: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        return [args[0] * 60], kwargs


@shared_task(base=Renamed, bind=True, name="arguments.wait", version=2)
def wait(self: Durable, seconds: int, *, note: str = "") -> list[Any]:
    if not note:
        raise self.retry(kwargs={"note": "again"}, countdown=0)
    return [seconds, note]


def test_what_a_retry_says_otherwise_is_of_the_version_that_said_it(worker: InProcessWorker) -> None:
    make_job(task="arguments.wait", args=[2], version=1)
    worker.drain()
    assert (only().version, only().result) == (2, [120, "again"])
