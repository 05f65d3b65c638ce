"""`manage.py jobs`: orders to one job and to many."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from jobs import bulk_orders
from jobs.models import Job, JobEvent, Order
from tests.factories import DAY, HOUR, MINUTE, make_job
from tests.jobs.shell import Shell

pytestmark = pytest.mark.django_db

jobs = Shell("jobs")


def test_cancel_is_an_order_with_who_and_why() -> None:
    job, over = make_job(), make_job("succeeded")
    (told,) = jobs.lines("cancel", str(job.pk), str(over.pk), "--by", "olga", "--reason", "closed")
    order = Order.objects.get()
    assert told == {
        **{"verb": "cancel", "order": str(order.pk), "jobs": 1, "counts": {"cancelled": 1}},
        "left_alone": {"succeeded": 1},
    }
    assert (order.by, order.reason, order.open) == ("olga", "closed", False)
    job.refresh_from_db()
    assert (job.state, job.reason) == ("cancelled", "closed")
    assert JobEvent.objects.get().order == order


def test_what_runs_is_asked_to_stop_and_that_is_not_yet_done() -> None:
    job = make_job("running")
    code, said = jobs.refuses("cancel", str(job.pk))
    assert code == 3 and "1 of them run at this moment and are asked to stop" in said
    job.refresh_from_db()
    assert (job.state, job.cancel_requested) == ("running", True)


def test_a_filter_is_looked_at_first_and_needs_a_yes() -> None:
    [make_job("failed", task="probe.fail") for _ in range(3)], make_job("failed")
    which = ("retry", "--state", "failed", "--task", "probe.fail")
    assert jobs.lines(*which, "--dry-run") == [{"verb": "retry", "dry_run": True, "jobs": 3, "counts": {"failed": 3}}]
    code, said = jobs.refuses(*which)
    assert code == 2 and "retry 3 jobs (3 failed)? There is nobody to ask: say --yes" in said
    assert Job.objects.filter(state="failed").count() == 4
    assert "retry: 3 done." in jobs.screen(*which, "--yes")
    assert Job.objects.filter(state="scheduled", task="probe.fail").count() == 3


def test_all_jobs_that_there_are_have_to_be_asked_for_by_that_word() -> None:
    make_job(), make_job()
    assert jobs.refuses("cancel", "--yes")[0] == 2
    assert jobs.lines("cancel", "--every-job", "--yes")[0]["counts"] == {"cancelled": 2}


def test_a_retry_can_be_spread() -> None:
    [make_job("failed") for _ in range(3)]
    jobs.lines("retry", "--state", "failed", "--per-minute", "2", "--yes")
    first, *others = Job.objects.order_by("run_at").values_list("run_at", flat=True)
    assert [at - first for at in others] == [timedelta(seconds=30), timedelta(seconds=60)]


def test_run_now_and_reschedule_change_the_time_of_what_waits() -> None:
    job = make_job(due=DAY)
    jobs.lines("reschedule", str(job.pk), "--by-time", "2h")
    assert Job.objects.get().run_at - job.run_at == 2 * HOUR
    jobs.lines("reschedule", str(job.pk), "--to", "2099-01-31T09:00+01:00")
    assert Job.objects.get().run_at == datetime(2099, 1, 31, 8, tzinfo=UTC)
    jobs.lines("run-now", str(job.pk))
    assert abs(Job.objects.get().run_at - timezone.now()) < MINUTE


def test_unknown_ids_are_named_and_the_others_are_done() -> None:
    job = make_job()
    code, said = jobs.refuses("cancel", str(job.pk), "welcome-99")
    assert (code, said) == (3, "There is no job welcome-99.")
    assert Job.objects.get().state == "cancelled"


def test_a_large_order_is_carried_out_here_and_its_job_finds_nothing_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk_orders, "AT_ONCE", 2)
    [make_job("failed") for _ in range(5)]
    (told,) = jobs.lines("retry", "--state", "failed", "--yes")
    order = Order.objects.get()
    assert told["counts"] == {"done": 5} and not order.open and order.job_id
    assert bulk_orders.chunk(order.pk).done == 5


@pytest.mark.parametrize("at_once", [2, 1_000])
def test_ctrl_c_calls_an_order_off(monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    monkeypatch.setattr(bulk_orders, "AT_ONCE", at_once)
    monkeypatch.setattr(bulk_orders, "CHUNK", 2)
    [make_job() for _ in range(5)]
    chunk = bulk_orders.chunk
    done: list[Any] = []

    def interrupted(pk: Any) -> Order:
        if done:
            raise KeyboardInterrupt
        done.append(pk)
        return chunk(pk)

    monkeypatch.setattr(bulk_orders, "chunk", interrupted)
    code, said = jobs.refuses("cancel", "--queue", "default", "--state", "scheduled", "--yes", "--by", "olga")
    assert (code, said) == (3, "Called off after 2 of 5. What is done is done.")
    assert Order.objects.get().called_off_by == "olga"
    assert Job.objects.filter(task="probe.ok", state="cancelled").count() == 2
