"""The attributes of a task on a durable job, against a real worker."""

from datetime import UTC, datetime
from typing import Any

import pytest
from celery import current_app
from django.contrib.auth.models import Group

from jobs.models import TaskRate
from jobs.payload import PayloadError
from tests.stack.live import Live
from tests.stack.options.refusals import echo, look, probes, undefined

pytestmark = pytest.mark.stack


def test_name_bind_and_base(worker: Live) -> None:
    job = worker.finish(look.delay())
    assert (job.task, job.result["host"].partition("@")[0]) == ("option.look", "worker")


def test_typing(worker: Live) -> None:
    job = worker.finish(probes.untyped.delay())
    assert job.state == "failed" and "positional argument" in job.reason
    with pytest.raises(TypeError, match="positional argument"):
        echo.delay(1, 2)


def test_pydantic(worker: Live) -> None:
    assert worker.finish(probes.modelled.delay(probes.Model(number=1))).result == {"number": 2}
    with pytest.raises(PayloadError, match="number"):
        probes.modelled.delay({"number": "one"})


def test_acks_late_and_reject_on_worker_lost(worker: Live) -> None:
    job = worker.finish(probes.late.delay())
    assert (job.state, job.result, job.failures, job.token) == ("succeeded", 1, 1, 2)
    assert "SIGKILL" in job.attempts.get().error
    assert not probes.late.acks_late, "the row is what is kept; its message is acknowledged early"
    undefined("name what is to be tried again in autoretry_for", acks_on_failure_or_timeout=False)


def test_max_retries_of_a_job_that_kills_its_worker(worker: Live) -> None:
    handle = probes.once.delay()
    job = worker.finish(handle)
    assert (job.state, job.token) == ("failed", 1) and "SIGKILL" in job.reason
    with pytest.raises(Exception, match="SIGKILL"):
        handle.get(timeout=1)
    undefined("less than none", max_retries=-1)


def test_rate_limit(worker: Live) -> None:
    ids = probes.rated.enqueue_many([()] * 5)
    moments = sorted(worker.finish(pk).queued_at or datetime.max.replace(tzinfo=UTC) for pk in ids)
    took = (moments[-1] - moments[0]).total_seconds()
    assert took >= 1.4, "two at once and two a second"
    current_app.control.rate_limit("option.rated", "1000/s", reply=True)
    assert TaskRate.objects.get(task="option.rated").ordered == "1000/s"
    undefined("Write for example 10/s", rate_limit="often")


def test_throws(worker: Live) -> None:
    expected, unexpected = probes.fail.delay("expected"), probes.fail.delay("unexpected")
    assert [worker.finish(handle).state for handle in (expected, unexpected)] == ["failed", "failed"]
    worker.until(lambda: f"[{unexpected.id}] raised unexpected" in worker.log.read_text(), "it is in the log")
    assert f"[{expected.id}] raised" not in worker.log.read_text()


def test_track_started(worker: Live) -> None:
    handle = probes.seen.delay()  # it runs until it is seen to
    worker.reach(handle, "running")
    assert handle.state == "STARTED"
    Group.objects.create(name=f"seen {handle.id}")
    assert worker.finish(handle).state == "succeeded"


def test_store_errors_even_if_ignored(worker: Live) -> None:
    handle = probes.fail.apply_async(ignore_result=True)
    worker.finish(handle)
    with pytest.raises(probes.Flaky, match="no"):
        handle.get(timeout=1)
    undefined("results are in the ledger", backend="redis://")


def test_strategy_and_request(worker: Live) -> None:
    handle = probes.strategic.delay()
    worker.finish(handle)
    assert f"strategy {handle.id}" in worker.notes()
    undefined("derive it from jobs.requests.JobRequest", Request="celery.worker.request:Request")


def test_events(worker: Live) -> None:
    with worker.events() as seen:
        heard, unheard, long = echo.delay(), probes.unheard.delay(), probes.long.delay()
        for handle in (heard, unheard, long):
            worker.finish(handle)

        def of(handle: Any) -> dict[str, Any]:
            return {event["type"]: event for event in list(seen) if event.get("uuid") == handle.id}

        whole = {"task-received", "task-started", "task-succeeded"}
        worker.until(lambda: whole <= of(heard).keys() and "task-succeeded" in of(long), "the events")
    assert not whole & of(unheard).keys()
    assert len(of(long)["task-succeeded"]["result"]) < 40
