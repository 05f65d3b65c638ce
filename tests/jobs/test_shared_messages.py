"""Small jobs share a message, and each keeps its own story."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from jobs.models import Job
from tests import probes
from tests.conftest import InProcessWorker
from tests.factories import make_job

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _nothing_ran() -> None:
    probes.RAN.clear()


def test_small_jobs_share_a_message_and_each_keeps_its_own_story(worker: InProcessWorker) -> None:
    from jobs import dispatcher

    probes.small.enqueue_many([(n,) for n in range(10)])
    dispatcher.dispatch_due()
    (message,) = worker.messages()
    assert message.headers["task"] == "jobs.run"
    worker.run(message)
    jobs = {job.args[0]: job for job in Job.objects.all()}
    assert jobs[3].state == "scheduled" and jobs[3].failures == 1  # it backs off alone
    assert jobs[4].state == "failed" and jobs[4].attempts.get().error == "ValueError: 4"
    assert {jobs[n].state for n in (0, 1, 2, 5, 6, 7, 8, 9)} == {"succeeded"}
    assert jobs[9].result == 18


def test_what_failed_before_travels_alone(worker: InProcessWorker) -> None:
    from jobs import dispatcher

    make_job(task="probe.small", args=[1], failures=1)
    make_job(task="probe.small", args=[2])
    make_job(task="probe.small", args=[5])
    dispatcher.dispatch_due()
    assert sorted(message.headers["task"] for message in worker.messages()) == ["jobs.run", "probe.small"]


def test_a_second_shared_message_runs_nothing_twice(worker: InProcessWorker) -> None:
    from jobs import dispatcher

    probes.small.enqueue_many([(0,), (1,)])
    dispatcher.dispatch_due()
    (message,) = worker.messages()
    worker.run(message)
    worker.run(message)
    assert len(probes.RAN) == 2


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has no connection to lose")
def test_a_database_that_restarts_costs_a_shared_message_one_attempt(worker: InProcessWorker) -> None:
    probes.cut_off.enqueue_many([(n,) for n in range(4)])
    worker.run_due()
    states = {job.args[0]: job.state for job in Job.objects.all()}
    assert states == {0: "succeeded", 1: "failed", 2: "succeeded", 3: "succeeded"}


def test_jobs_of_a_shared_message_do_not_share_what_one_of_them_leaves_in_its_request(worker: InProcessWorker) -> None:
    probes.marked.enqueue_many([(n,) for n in range(3)])
    worker.run_due()
    assert probes.RAN == [("marked", {})] * 3


def test_a_job_of_a_shared_message_costs_no_statement_of_its_own(worker: InProcessWorker) -> None:
    from jobs import dispatcher

    def statements(jobs: int) -> int:
        probes.small.enqueue_many([(n + 10,) for n in range(jobs)])
        dispatcher.dispatch_due()
        (message,) = worker.messages()
        with CaptureQueriesContext(connection) as asked:
            worker.run(message)
        assert len(probes.RAN) == jobs
        probes.RAN.clear()
        return len(asked)

    assert statements(50) == statements(10)
