"""A revoke in Flower is a durable cancel, wherever the job is, and the admin says who wanted it and what came of it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from celery.app.control import Control as CelerysControl
from celery.result import AsyncResult
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from jobs import ledger
from jobs.models import Job, JobEvent
from tests.conftest import current_app
from tests.faults.conftest import until
from tests.stack import flower_probes as probes
from tests.stack.flower import becomes, revoke
from tests.stack.live import Live

pytestmark = pytest.mark.stack

WHO = "flower (Flower)"  # the user that the stack makes, and where he asked
PROCESSES = 4  # of the two workers
TERMINATE = pytest.param("true", id="terminate", marks=pytest.mark.faults)  # for its time
BOTH_WAYS = pytest.mark.parametrize("terminate", [pytest.param("false", id="revoke"), TERMINATE])


@pytest.fixture(autouse=True)
def _free_workers(running: Live) -> Iterator[None]:
    """No test leaves a process busy for the next."""
    yield
    left = [str(pk) for pk in Job.objects.filter(task__startswith="flower.").unfinished().values_list("pk", flat=True)]
    current_app.control.revoke(left, terminate=True)
    until(lambda: not Job.objects.filter(pk__in=left).unfinished().exists(), "everything has ended")


def asked(job: Any) -> list[tuple[str, str, str]]:
    """Who asked what became of it: (who, state before, receipt)."""
    return list(JobEvent.objects.filter(job=getattr(job, "id", job)).values_list("by", "before", "outcome"))


def answers(ids: list[str]) -> dict[str, str]:
    """Who says what to a revoke: the three workers, however long each takes, and the ledger."""
    with current_app.connection_for_write() as own:  # not of the pool: kombu leaves replies behind in it
        found = current_app.control.revoke(ids, reply=True, connection=own, timeout=120, limit=3)
    return {name: str(said["ok"]) for one in found for name, said in one.items()}


# --- Where the job is -----------------------------------------------------------------------------------


@BOTH_WAYS
def test_a_job_that_waits_is_cancelled_once_and_for_good(running: Live, terminate: str) -> None:
    job = probes.alone.apply_async(("ok",), countdown=86400)
    becomes(running.stack, job, "RECEIVED")
    revoke(running.stack, job, terminate=terminate)
    row = running.finish(job)
    assert (row.state, row.reason, row.token) == ("cancelled", "revoked", 0)
    assert asked(job) == [(WHO, "scheduled", "cancelled")]
    becomes(running.stack, job, "REVOKED")


@BOTH_WAYS
def test_a_queued_job_is_cancelled_and_never_runs(running: Live, terminate: str, tmp_path: Path) -> None:
    busy = probes.alone.enqueue_many([("obey",)] * 2 * PROCESSES)  # a worker also keeps one message for each process
    rows = Job.objects.filter(pk__in=busy)
    until(lambda: rows.filter(state="running").count() == PROCESSES, "all processes are busy")
    job = probes.alone.delay(f"write {tmp_path / 'ran'} 0")
    running.reach(job, "queued")
    revoke(running.stack, job, terminate=terminate)
    assert running.finish(job).state == "cancelled"
    assert asked(job) == [(WHO, "queued", "cancelled")]
    current_app.control.revoke([str(pk) for pk in busy])
    assert {running.finish(pk).state for pk in busy} == {"cancelled"}
    running.finish(probes.alone.delay("ok"))  # the worker has had the message by now
    assert not (tmp_path / "ran").exists()


def test_a_running_job_that_listens_stops(running: Live) -> None:
    job = probes.alone.delay("obey")
    running.reach(job, "running")
    revoke(running.stack, job)
    row = running.finish(job)
    assert (row.state, row.reason, row.failures) == ("cancelled", "cancelled while it ran", 0)
    assert asked(job) == [(WHO, "running", "in flight")]
    becomes(running.stack, job, "REVOKED")


def test_a_running_job_that_does_not_listen_comes_to_its_end(running: Live, tmp_path: Path) -> None:
    job = probes.alone.delay(f"wait {tmp_path / 'gate'}")
    running.reach(job, "running")
    revoke(running.stack, job)
    (tmp_path / "gate").touch()
    assert running.finish(job).state == "succeeded"
    assert asked(job) == [(WHO, "running", "in flight")]


@pytest.mark.parametrize("signal", ["SIGTERM", "SIGKILL"])
def test_a_running_job_is_ended_with_its_process(running: Live, tmp_path: Path, signal: str) -> None:
    job = probes.alone.delay(f"write {tmp_path / 'ran'} 600")
    running.reach(job, "running")
    revoke(running.stack, job, terminate="true", signal=signal)
    row = running.finish(job)
    assert (row.state, row.reason, row.failures, row.token) == ("cancelled", "cancelled while it ran", 0, 1)
    assert [attempt.outcome for attempt in row.attempts.all()] == ["stopped"]  # and not lost, when its lease was over
    becomes(running.stack, job, "REVOKED")
    running.finish(probes.alone.delay("ok"))  # the worker goes on
    assert running.row(job).state == "cancelled"
    assert not (tmp_path / "ran").exists()


def test_who_shares_the_message_of_a_job_that_is_ended_runs_again_uncharged(running: Live) -> None:
    before, job, after = probes.shared.enqueue_many([("ok",), ("sleep 600",), ("ok",)])
    becomes(running.stack, job, "STARTED")
    revoke(running.stack, job, terminate="true")
    rows = [running.finish(pk) for pk in (before, job, after)]
    assert [row.state for row in rows] == ["succeeded", "cancelled", "succeeded"]
    assert [(row.token, row.failures) for row in rows] == [(1, 0), (1, 0), (2, 0)]


def test_a_job_that_has_not_begun_in_its_message_is_ended_without_the_one_that_has(
    running: Live, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    first, job, after = probes.shared.enqueue_many([(f"wait {gate}",), ("sleep 600",), ("ok",)])
    becomes(running.stack, first, "STARTED")
    revoke(running.stack, job, terminate="true")
    gate.touch()
    rows = [running.finish(pk) for pk in (first, job, after)]
    assert [(row.state, row.token) for row in rows][:2] == [("succeeded", 1), ("cancelled", 1)]
    assert (rows[2].state, rows[2].failures) == ("succeeded", 0)


# --- What the admin shows, and a person's second thoughts ---------------------------------------------


def test_the_admin_shows_who_wanted_it_and_what_came_of_it(running: Live) -> None:
    job = probes.alone.delay("obey")
    running.reach(job, "running")
    revoke(running.stack, job)
    running.finish(job)
    client = Client()
    client.force_login(User.objects.get(is_superuser=True))
    page = client.get(reverse("admin:jobs_job_change", args=[job.id])).content.decode()
    assert f"{WHO} asked" in page
    assert "in flight" in page
    assert "cancelled while it ran" in page


def test_a_revoked_job_that_a_person_retries_is_refused_by_no_worker(running: Live) -> None:
    job = probes.alone.apply_async(("ok",), countdown=86400)
    revoke(running.stack, job)
    running.reach(job, "cancelled")
    ledger.retry([running.row(job).pk])
    assert running.reach(job, "succeeded").state == "succeeded"


# --- The other ways of Celery -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "how",
    [
        lambda job: AsyncResult(job.id).revoke(wait=False),
        lambda job: current_app.control.revoke([job.id]),
        lambda job: current_app.control.terminate(job.id, signal="SIGKILL"),
        lambda job: current_app.control.broadcast("terminate", arguments={"signal": "TERM", "task_id": [job.id]}),
    ],
    ids=["AsyncResult.revoke", "control.revoke", "control.terminate", "terminate on the command line"],
)
def test_each_way_of_revoking_is_done_when_it_returns(running: Live, how: Callable[[Any], Any]) -> None:
    job = probes.alone.apply_async(("ok",), countdown=86400)
    how(job)
    assert running.row(job).state == "cancelled"
    assert asked(job) == [("Celery's control", "scheduled", "cancelled")]


@pytest.mark.parametrize("command", ["revoke", "terminate"])
def test_a_revoke_by_somebody_who_knows_the_broker_only_is_a_durable_cancel_too(running: Live, command: str) -> None:
    """A Flower of another Celery application, say: its broadcast reaches three workers, and one records it."""
    foreign = CelerysControl(current_app)
    waits, runs = probes.alone.apply_async(("ok",), countdown=86400), probes.alone.delay("sleep 600")
    running.reach(runs, "running")
    words: dict[str, Any] = {"task_id": [waits.id, runs.id], "signal": "TERM", "terminate": True}
    foreign.broadcast(command, words)
    assert [running.finish(job).state for job in (waits, runs)] == ["cancelled"] * 2
    heard = "Celery's control, heard by a worker"
    assert [asked(job) for job in (waits, runs)] == [
        [(heard, "scheduled", "cancelled")],
        [(heard, "running", "in flight")],
    ]


def test_a_handle_ends_a_running_job_with_its_process(running: Live) -> None:
    job: Any = probes.alone.delay("sleep 600")
    running.reach(job, "running")
    assert job.revoke(terminate=True) == "in flight"
    assert running.finish(job).state == "cancelled"


def test_the_ledger_answers_with_a_receipt_for_each_job_and_the_workers_for_the_others(
    running: Live, tmp_path: Path
) -> None:
    scheduled, flying = probes.alone.apply_async(("ok",), countdown=86400), probes.alone.delay(f"wait {tmp_path / 'x'}")
    running.reach(flying, "running")
    said = answers([scheduled.id, flying.id, "no-uuid"])
    assert said.pop("ledger") == f"{scheduled.id}: cancelled; {flying.id}: in flight"
    assert len(said) == 3
    assert all("{'no-uuid'} flagged as revoked" in one for one in said.values())


@pytest.mark.parametrize("foreign", [False, True], ids=["ours", "foreign"])
def test_revoking_by_a_stamp_cancels_the_jobs_that_carry_it(running: Live, foreign: bool) -> None:
    def stamped(how: str, order: str, **options: Any) -> Any:
        call = probes.alone.s(how)
        call.stamp(order=order)
        return call.apply_async(**options)

    waits, runs = stamped("ok", "17", countdown=86400), stamped("sleep 600", "17")
    other = stamped("ok", "18", countdown=86400)
    running.reach(runs, "running")
    by = CelerysControl(current_app) if foreign else current_app.control
    by.revoke_by_stamped_headers({"order": "17"}, terminate=True)
    assert [running.finish(job).state for job in (waits, runs)] == ["cancelled"] * 2
    assert running.row(other).state == "scheduled"
    if not foreign:  # some worker may not have heard it yet
        assert running.finish(stamped("ok", "17")).state == "succeeded"


def test_a_task_that_is_no_job_is_revoked_as_celery_does(running: Live) -> None:
    task = probes.plain.apply_async((600,), queue="default")
    becomes(running.stack, task, "STARTED")
    revoke(running.stack, task, terminate="true")
    becomes(running.stack, task, "REVOKED")
    assert str(AsyncResult(task.id).state) == "REVOKED"


def test_of_a_task_that_is_no_job_flower_is_told_its_name_only(running: Live) -> None:
    task = probes.plain.apply_async((0.01,), {"secret": "hunter2"}, queue="default")
    seen = becomes(running.stack, task, "SUCCESS")
    assert (seen["name"], seen["args"], seen["kwargs"], seen["result"]) == ("flower.plain", "...", "...", "...")
