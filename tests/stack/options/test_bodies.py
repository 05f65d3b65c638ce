"""What the body of a durable job may call, and what its handle can do, against a real worker."""

from typing import Any

import pytest
from celery import chord, current_app
from celery.result import AsyncResult
from django.contrib.auth.models import Group
from django.utils import timezone

from jobs.models import Job
from jobs.payload import PayloadError
from tests.stack.live import Live
from tests.stack.options.refusals import add, echo, look, probes, total

pytestmark = pytest.mark.stack

# --- What the body may call -----------------------------------------------------------------------------


def test_replace(worker: Live) -> None:
    for by, value in {"one": 3, "chain": 6, "group": [0, 2, 4]}.items():
        handle = probes.replaced.apply_async((by,), link=echo.s())
        worker.finish(handle)
        worker.until(handle.ready, f"what replaced it by a {by}")
        assert handle.get(timeout=1) == value
        assert worker.row(handle).reason.startswith("replaced by ")
        worker.until(Job.objects.filter(task="option.echo", args=[value]).exists, "its link")
    result: Any = (probes.replaced.si("one") | add.s(10)).apply_async()
    worker.until(lambda: result.ready(), "the chain that it was part of")
    assert result.get(timeout=1) == 13
    result = chord([probes.replaced.s("one"), add.s(1, 1)])(total.s())
    worker.until(lambda: result.ready(), "the chord that it was part of")
    assert result.get(timeout=1) == 5


def test_update_state(worker: Live) -> None:
    handle = probes.telling.delay()
    with worker.events() as seen:
        worker.until(lambda: handle.state == "PROGRESS", "its own state")
        assert handle.info == {"done": 3}
        Group.objects.create(name=f"seen {handle.id}")
        assert worker.finish(handle).result == "told"
        worker.until(lambda: any(event["type"] == "task-told" for event in list(seen)), "its own event")
    assert handle.state == "SUCCESS"
    with pytest.raises(ValueError, match="for the ledger to say"):
        echo.update_state(state="SUCCESS")


def test_add_to_chord(worker: Live) -> None:
    with pytest.raises(TypeError, match="start a batch"):
        echo.add_to_chord(echo.s())


def test_direct_calls_and_apply(worker: Live) -> None:
    before = Job.objects.count()
    assert (add(1, 2), add.apply((1, 2)).get(), look()["direct"]) == (3, 3, True)
    assert Job.objects.count() == before


def test_always_eager(worker: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(current_app.conf, "task_always_eager", True)
    before = Job.objects.count()
    result = add.apply_async((1, 2), unique_key="x", countdown=60, when=None, link=echo.s())
    assert (result.get(), result.state) == (3, "SUCCESS")
    assert probes.modelled.delay(probes.Model(number=1)).get() == {"number": 2}
    assert look.delay().get()["eager"]
    with pytest.raises(PayloadError, match="integer"):
        add.delay(1, "two")
    with pytest.raises(TypeError, match="there is no such option"):
        add.apply_async((1, 2), contdown=5)
    assert len(add.enqueue_many([(1, 2), (3, 4)])) == 2
    assert Job.objects.count() == before


def test_atomic(worker: Live) -> None:
    for moment in ("", "before", "after", "retry"):
        handle = probes.transfer.apply_async((f"done {moment}", moment), link=echo.s())
        job = worker.finish(handle)
        assert (job.state, job.result) == ("succeeded", moment)
        assert job.token == (2 if moment in ("before", "retry") else 1)
        assert list(Group.objects.filter(name__startswith=f"done {moment} ").values_list("name", flat=True)) == [
            f"done {moment} 0"
        ]
        assert worker.finish(handle.children[0]).result == moment
    job = worker.finish(probes.transfer.delay("undone", "raise"))
    assert job.state == "failed" and not Group.objects.filter(name__startswith="undone").exists()


# --- The handle -----------------------------------------------------------------------------------------


def test_result(worker: Live) -> None:
    handle = add.apply_async((1, 2), countdown=3600)
    assert (handle.state, handle.ready(), handle.task_id) == ("PENDING", False, handle.id)
    Job.objects.filter(pk=handle.id).update(run_at=timezone.now())
    worker.finish(handle)
    assert (handle.status, handle.result, handle.info, handle.wait(timeout=1)) == ("SUCCESS", 3, 3, 3)
    assert (handle.ready(), handle.successful(), handle.failed()) == (True, True, False)
    assert (handle.name, handle.args, handle.kwargs, handle.retries, handle.queue) == (
        "option.add",
        [1, 2],
        {},
        0,
        "default",
    )
    assert handle.date_done and handle.worker and AsyncResult(handle.id).get(timeout=1) == 3
    assert add.AsyncResult("0190f0c0-0000-7000-8000-00000000ffff").state == "UNKNOWN"
    with pytest.raises(TypeError, match="does not forget"):
        handle.forget()


def test_result_of_a_failure(worker: Live) -> None:
    handle = probes.fail.delay("broken")
    worker.finish(handle)
    assert handle.failed() and "raise" in handle.traceback
    assert isinstance(handle.get(timeout=1, propagate=False), probes.Flaky)
    with pytest.raises(probes.Flaky, match="broken"):
        handle.maybe_throw()


def test_get_within_a_job(worker: Live) -> None:
    job = worker.finish(probes.waits.delay(echo.delay().id))
    assert job.state == "failed" and "Never call result.get() within a task" in job.reason


def test_revoke(worker: Live) -> None:
    waiting, running = echo.apply_async(countdown=60), probes.sleep.delay()
    worker.reach(running, "running")
    assert (waiting.revoke(), waiting.state) == ("cancelled", "REVOKED")
    assert running.revoke(terminate=True) == "in flight"
    job = worker.finish(running)
    assert (job.state, running.state) == ("cancelled", "REVOKED")
    worker.until(lambda: f"task_revoked {running.id}" in worker.notes(), "the signal")
    with pytest.raises(TypeError, match="Cancel the jobs"):
        running.revoke_by_stamped_headers({"x": "y"})


def test_a_message_past_apply_async(worker: Live) -> None:
    sent = current_app.send_task("option.look", args=(5,), queue="messages", headers={"x-told": "you"}, time_limit=44)
    worker.until(lambda: Job.objects.filter(pk=sent.id).exists(), "it becomes a row")
    job = worker.finish(sent)
    assert (job.queue, job.result["headers"], job.result["limits"]) == ("messages", {"x-told": "you"}, [44, None])
