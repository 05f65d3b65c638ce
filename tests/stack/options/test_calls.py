"""What a call may say, on a durable job and against a real worker: it works, or it is refused with a message."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from celery import current_app
from celery.app.routes import prepare
from django.db import transaction
from django.utils import timezone

from jobs import rescuer
from jobs.models import Job, Queue
from jobs.payload import PayloadError
from tests.stack.live import Live
from tests.stack.options.refusals import add, echo, look, probes, refused, undefined

pytestmark = pytest.mark.stack


def test_delay(worker: Live) -> None:
    job = worker.finish(look.delay(1, b="two"))
    assert (job.state, job.result["args"], job.result["kwargs"]) == ("succeeded", [1], {"b": "two"})
    assert job.result["id"] == str(job.pk) and not job.result["eager"] and not job.result["direct"]
    assert worker.finish(look.delay_on_commit(1)).state == "succeeded"
    with transaction.atomic():
        handle = look.apply_async_on_commit((2,))
        assert worker.row(handle).state == "scheduled"
    assert worker.finish(handle).state == "succeeded"


def test_arguments(worker: Live) -> None:
    with pytest.raises(TypeError, match="positional argument"):
        add.delay(1)
    with pytest.raises(PayloadError, match="integer"):
        add.delay(1, "two")
    assert worker.finish(add.apply_async(args=(1,), kwargs={"b": 2})).result == 3


def test_countdown(worker: Live) -> None:
    job = worker.finish(echo.apply_async(countdown=0.4))
    assert job.started_at and job.started_at - job.created_at >= timedelta(seconds=0.35)
    assert worker.finish(echo.apply_async(countdown=-5)).state == "succeeded"
    refused("not a number of seconds", countdown="10")
    refused("not a number of seconds", countdown=float("nan"))


def test_eta(worker: Live) -> None:
    eta = timezone.now() + probes.SOON
    job = worker.finish(echo.apply_async(eta=eta))
    assert job.started_at and job.started_at >= eta
    refused("names no time zone", eta=datetime(2030, 1, 1))  # noqa: DTZ001
    refused("countdown and eta both say", eta=eta, countdown=1)


def test_expires(worker: Live) -> None:
    handles = [echo.apply_async(countdown=60, expires=0.05), echo.apply_async(countdown=60, expires=timezone.now())]
    handles += [probes.own.apply_async(countdown=60)]
    worker.until(lambda: rescuer.rescue_lost() and worker.row(handles[0]).state == "expired", "it expires")
    worker.until(lambda: rescuer.rescue_lost() and worker.row(handles[2]).state == "expired", "the task's own too")
    assert [handle.state for handle in handles] == ["REVOKED"] * 3
    assert Job.objects.filter(pk__in=[handle.id for handle in handles], token=0).count() == 3
    assert worker.finish(probes.own.apply_async(expires=60)).state == "succeeded"


def test_queue(worker: Live) -> None:
    for queue in ("messages", current_app.amqp.queues["messages"]):
        assert worker.finish(look.apply_async(queue=queue)).result["queue"] == "messages"
    assert worker.row(probes.own.apply_async(countdown=60)).queue == "messages"
    refused("Unknown queue 'nobody'. Known: clock, default, messages", queue="nobody")


def test_task_routes(worker: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    router: Any = current_app.amqp.router
    monkeypatch.setattr(router, "routes", prepare([{"option.look": {"queue": "messages"}}]))
    assert worker.finish(look.delay()).result["queue"] == "messages"
    assert worker.finish(look.apply_async(queue="default")).result["queue"] == "default"


def test_priority(worker: Live) -> None:
    queue, _ = Queue.objects.update_or_create(name="messages", defaults={"concurrency": 1})
    with transaction.atomic():  # nobody sees one of them before the other is there: workers refill by themselves
        low, high = (echo.apply_async(queue="messages", priority=said) for said in (1, "high"))
    assert (worker.row(high).priority, worker.row(probes.own.apply_async(countdown=60)).priority) == (10, 10)
    first, second = worker.finish(high).started_at, worker.finish(low).started_at
    assert first and second and first < second
    Queue.objects.filter(pk=queue.pk).update(concurrency=None)
    refused("There is no priority 'soonish'", priority="soonish")


def test_task_id(worker: Live) -> None:
    mine = "0190f0c0-0000-7000-8000-00000000abcd"
    handles = [look.apply_async((n,), task_id=mine) for n in (1, 2)]
    job = worker.finish(handles[0])
    assert [handle.id for handle in handles] == [mine, mine]
    assert (job.result["id"], job.result["args"]) == (mine, [1])
    refused("To name a job yourself, pass unique_key=", task_id="welcome-7")


def test_link(worker: Live) -> None:
    handle = add.apply_async((1, 2), link=[add.s(10), look.si("told")])
    worker.finish(handle)
    children = handle.children
    assert worker.finish(children[0]).result == 13
    assert worker.finish(children[1]).result["parent"] == handle.id


def test_link_error(worker: Live) -> None:
    handle = probes.fail.apply_async(link_error=look.s())
    worker.finish(handle)
    assert worker.finish(Job.objects.get(task="option.look", args=[handle.id]).pk).state == "succeeded"
    refused("failed job's id", link_error=look_nothing())


def look_nothing() -> Any:
    return probes.look_up.s()


def test_headers(worker: Live) -> None:
    assert worker.finish(look.apply_async(headers={"x-told": "you"})).result["headers"] == {"x-told": "you"}
    refused("Celery's own headers are", headers={"id": "other"})
    refused("not a mapping", headers=["x"])


def test_time_limit(worker: Live) -> None:
    of_task, of_call = probes.limited.delay(), probes.sleep.apply_async(time_limit=1)
    for handle in (of_task, of_call):
        job = worker.finish(handle)
        assert (job.state, job.failures, job.reason) == ("failed", 1, "time limit: killed after 1 s")
        assert handle.state == "FAILURE"
        with pytest.raises(Exception, match="TimeLimitExceeded"):
            handle.get(timeout=1)
    refused("limits nothing", time_limit=0)
    undefined("limits nothing", time_limit=-1)


def test_soft_time_limit(worker: Live) -> None:
    assert worker.finish(probes.softly.delay()).result == "cleaned up"
    job = worker.finish(probes.sleep.apply_async(soft_time_limit=0.5))
    assert (job.state, job.attempts.get().exception) == ("failed", "billiard.exceptions.SoftTimeLimitExceeded")
    refused("would come after", soft_time_limit=5, time_limit=1)
    undefined("would come after", soft_time_limit=5, time_limit=1)


@pytest.mark.parametrize("kind", ["slow", "stuck", "poison"])
def test_a_shared_message_blames_the_job_that_was_running(worker: Live, kind: str) -> None:
    ids = probes.shared.enqueue_many([(name,) for name in ("a", "b", kind, "c", "d")])
    jobs = [worker.finish(pk) for pk in ids]
    bad = jobs.pop(2)
    assert [(job.state, job.failures) for job in jobs] == [("succeeded", 0)] * 4
    assert bad.failures == 1
    told = {"slow": "SoftTimeLimitExceeded", "stuck": "time limit: killed after 2 s", "poison": "SIGKILL"}[kind]
    assert told in bad.attempts.get().error
    assert bad.state == ("succeeded" if kind == "poison" else "failed")
    undefined("ends a process", time_limit=5, batch_size=10, concurrency=5)


def test_shadow(worker: Live) -> None:
    job = worker.finish(echo.apply_async(shadow="the monthly report"))
    assert (job.state, job.name, job.task) == ("succeeded", "the monthly report", "option.echo")
    assert worker.finish(probes.named.delay("may")).name == "option.named may"
    assert {worker.row(pk).name for pk in probes.named.enqueue_many([("june",), ("july",)], countdown=60)} == {
        "option.named june",
        "option.named july",
    }


def test_ignore_result(worker: Live) -> None:
    of_task, of_call = probes.quiet.delay(), echo.apply_async(("not kept",), ignore_result=True)
    assert [worker.finish(handle).result for handle in (of_task, of_call)] == [None, None]
    assert [handle.get(timeout=1) for handle in (of_task, of_call)] == [None, None]
    assert worker.finish(probes.quiet.apply_async(ignore_result=False)).result == "not kept"


def test_publishing_options(worker: Live) -> None:
    for said in ({"retry": True}, {"retry": False}, {"producer": object()}, {"publisher": None}, {"router": None}):
        assert worker.finish(echo.apply_async(**said)).state == "succeeded"
    for name in ("connection", "retry_policy", "timeout", "confirm_timeout", "declare"):
        refused("the dispatcher does, and tries until", **{name: {"max_retries": 3}})
    for name in ("delivery_mode", "mandatory", "immediate"):
        refused("a message is only a nudge", **{name: 1})
        undefined("a message is only a nudge", **{name: 1})
    refused("pass expires=", expiration=5)


def test_serializer_and_compression(worker: Live) -> None:
    assert worker.finish(echo.apply_async(serializer="json")).state == "succeeded"
    for name, value in {"serializer": "pickle", "compression": "zlib"}.items():
        refused("never travel", **{name: value})
        undefined("never travel", **{name: value})
    for name in ("content_type", "content_encoding", "body", "argsrepr", "kwargsrepr"):
        refused("never travel", **{name: "x"})


def test_exchange_and_routing_key(worker: Live) -> None:
    job = worker.finish(look.apply_async(queue="messages", exchange="messages", routing_key="messages"))
    assert job.result["queue"] == "messages"
    for name in ("exchange", "routing_key"):
        refused("pass queue=", **{name: "other"})
        undefined("pass queue=", **{name: "other"})


def test_parentage(worker: Live) -> None:
    handle = probes.parent.delay()
    child = worker.finish(worker.finish(handle).result)
    assert (child.result["parent"], child.result["root"]) == (handle.id, handle.id)
    said = {"root_id": handle.id, "parent_id": handle.id, "replaced_task_nesting": 2}
    job = worker.finish(look.apply_async(**said, origin="here", add_to_parent=False))
    assert (job.result["parent"], job.result["root"], job.result["nesting"]) == (handle.id, handle.id, 2)
    assert job.result["origin"] != "here"
    refused("keeps each job's parent", add_to_parent=True)


def test_what_is_not_the_callers_to_say(worker: Live) -> None:
    for name in ("retries", "max_retries", "rate_limit", "reply_to", "result_cls", "task_type", "route_name"):
        refused(f"is durable: its calls do not take {name}", **{name: "1/s"})
    refused("there is no such option", contdown=5)


def test_schedule(worker: Live) -> None:
    for when in ("in 0.3 seconds", timedelta(seconds=0.3), timezone.now() + probes.SOON, "PT0.3S"):
        job = worker.finish(add.schedule(when, 1, b=2))
        assert (job.state, job.result) == ("succeeded", 3)
        assert job.started_at and job.started_at >= job.run_at
    days = [timezone.now()]
    tomorrow = worker.row(add.schedule("tomorrow at 9am", 1, 2)).run_at
    days.append(timezone.now())  # it may be midnight
    assert tomorrow in [(day + timedelta(days=1)).replace(hour=9, minute=0, second=0, microsecond=0) for day in days]
    refused("not understood as a time. Write for example", when="soon")
    refused("is in the past", when="2020-01-01T00:00Z")
