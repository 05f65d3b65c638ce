"""Every option of Celery on a durable job, against a real worker: it works, or it is refused with a message.

ARCHITECTURE.md has the table of them, with the test of each. The last tests compare that table with what this module
tests and with what Celery itself offers.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from celery import chain, chord, current_app, group, signals
from celery.app.routes import prepare
from celery.canvas import StampingVisitor  # type: ignore[attr-defined]
from celery.exceptions import MaxRetriesExceededError
from celery.result import AsyncResult, GroupResult
from django.contrib.auth.models import Group
from django.db import transaction
from django.utils import timezone

from jobs import rescuer
from jobs.durable import Durable
from jobs.models import Job, Queue, TaskRate
from jobs.payload import PayloadError
from tests.stack import option_probes
from tests.stack.live import Live, live

probes: Any = option_probes  # Celery's stubs have other types for the handles
add, echo, look, total = probes.add, probes.echo, probes.look, probes.total


@pytest.fixture(scope="module")
def worker(tmp_path_factory: Any, django_db_blocker: Any) -> Iterator[Live]:
    with live(tmp_path_factory.mktemp("live"), django_db_blocker) as made:
        yield made


def refused(says: str, **options: Any) -> None:
    """Such a call is refused with these words, and leaves no row."""
    before = Job.objects.count()
    with pytest.raises((TypeError, ValueError), match=says):
        echo.apply_async((1,), **options)
    assert Job.objects.count() == before


def undefined(says: str, **attributes: Any) -> None:
    """Such a task cannot be defined; the message says why."""

    def undefined() -> None: ...

    with pytest.raises((TypeError, ValueError), match=says):
        current_app.task(base=Durable, name="option.undefined", shared=False, lazy=False, **attributes)(undefined)
    current_app.tasks.pop("option.undefined", None)


# --- The call -------------------------------------------------------------------------------------------


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
    tomorrow = worker.row(add.schedule("tomorrow at 9am", 1, 2)).run_at
    assert tomorrow == (timezone.now() + timedelta(days=1)).replace(hour=9, minute=0, second=0, microsecond=0)
    refused("not understood as a time. Write for example", when="soon")
    refused("is in the past", when="2020-01-01T00:00Z")


# --- Canvas ---------------------------------------------------------------------------------------------


def test_signatures(worker: Live) -> None:
    assert worker.finish(add.s(1).clone((2,)).apply_async()).result == 3
    assert worker.finish(add.si(1, 2).set(queue="messages").delay()).queue == "messages"
    assert worker.finish(add.signature((1, 2), countdown=0.1).apply_async()).result == 3


def test_chain(worker: Live) -> None:
    result: Any = chain(add.s(1, 2), add.s(3), add.s(4)).apply_async()
    worker.until(lambda: result.ready(), "the chain's end")
    assert result.get(timeout=1) == 10 and result.parent.parent.get(timeout=1) == 3
    assert [child.id for child in result.parent.children] == [result.id]


def test_trail(worker: Live) -> None:
    last: Any = chain(add.s(1, 2), add.s(3), add.s(4)).apply_async()
    first = last.parent.parent
    worker.until(lambda: last.ready(), "the chain's end")
    assert [child.id for child in first.children] == [last.parent.id]
    assert [value for _, value in first.collect(timeout=1)] == [3, 6, 10]
    assert first.get_leaf() == 10 and len(first.graph) == 3
    assert [child.id for _, child in first.iterdeps()] == [first.id, last.parent.id, last.id]
    hidden = probes.untrailed.apply_async(link=echo.si())
    worker.finish(hidden)
    assert hidden.children == []


def test_group(worker: Live) -> None:
    result: Any = group(add.s(n, n) for n in range(4)).apply_async()
    assert isinstance(result, GroupResult)
    worker.until(lambda: result.ready(), "the group's end")
    assert result.get(timeout=1) == [0, 2, 4, 6]


def test_chord(worker: Live) -> None:
    result: Any = chord([add.s(n, n) for n in range(4)])(total.s())
    worker.until(lambda: result.ready(), "the chord's end")
    assert result.get(timeout=1) == 12
    with pytest.raises(TypeError, match="or none of them"):
        chord([add.s(1, 1)])(current_app.tasks["celery.accumulate"].s())


class Stamp(StampingVisitor):  # type: ignore[misc]
    def on_signature(self, sig: Any, **headers: Any) -> dict[str, Any]:
        return {"x-stamp": "red"}


def test_stamps(worker: Live) -> None:
    sig = look.s()
    sig.stamp(Stamp())
    job = worker.finish(sig.apply_async())
    assert (job.result["stamps"], job.result["stamped"]) == ({"x-stamp": "red"}, ["x-stamp"])


def test_map_and_chunks(worker: Live) -> None:
    for wrong in (lambda: add.map([1]), lambda: add.starmap([(1, 2)]), lambda: add.chunks([(1, 2)], 1)):
        with pytest.raises(TypeError, match="Call enqueue_many"):
            wrong()
    assert [worker.finish(pk).result for pk in add.enqueue_many([(1, 2), (3, 4)])] == [3, 7]


# --- The task's attributes ------------------------------------------------------------------------------


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
    handle = probes.sleep.delay(0.3)
    worker.reach(handle, "running")
    assert handle.state == "STARTED"
    worker.finish(handle)


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

        worker.until(lambda: "task-succeeded" in of(heard) and "task-succeeded" in of(long), "the events")
    assert {"task-received", "task-started", "task-succeeded"} <= of(heard).keys()
    assert not {"task-received", "task-started", "task-succeeded"} & of(unheard).keys()
    assert len(of(long)["task-succeeded"]["result"]) < 40


# --- Trying again ---------------------------------------------------------------------------------------


def test_retry(worker: Live) -> None:
    job = worker.finish(probes.again.delay({"countdown": 0, "exc": True}))
    assert (job.result["retries"], job.failures, job.attempts.get().error) == (1, 1, "Flaky: not yet")
    eta = (timezone.now() + probes.SOON).isoformat()
    job = worker.finish(probes.again.delay({"eta": eta}))
    assert job.result["retries"] == 1 and job.started_at and job.started_at.isoformat() >= eta
    job = worker.finish(probes.again.delay({"countdown": 0, "args": [{}, 0], "kwargs": {}}))
    assert job.args == [{}, 0] and job.state == "succeeded"


def test_retry_max_retries(worker: Live) -> None:
    handle = probes.again.delay({"countdown": 0, "max_retries": 1}, tries=9)
    assert (worker.finish(handle).state, worker.row(handle).failures) == ("failed", 2)
    with pytest.raises(MaxRetriesExceededError):
        handle.get(timeout=1)
    handle = probes.again.delay({"countdown": 0, "max_retries": 0, "exc": True}, tries=9)
    worker.finish(handle)
    with pytest.raises(probes.Flaky, match="not yet"):
        handle.get(timeout=1)


def test_retry_throw(worker: Live) -> None:
    job = worker.finish(probes.again.delay({"countdown": 0}, throw=False))
    assert (job.state, job.result["retries"], job.token) == ("succeeded", 1, 2)


def test_retry_options(worker: Live) -> None:
    said = {"countdown": 0, "time_limit": 33, "soft_time_limit": 22, "queue": "messages", "priority": 20, "shadow": "x"}
    job = worker.finish(probes.again.delay(said))
    assert (job.result["limits"], job.result["queue"], job.priority, job.name) == ([33, 22], "messages", 20, "x")
    job = worker.finish(probes.again.delay({"countdown": 0, "link": []}))
    assert job.state == "failed" and "retry of a durable task does not take link" in job.reason
    job = worker.finish(probes.again.delay({"countdown": 0, "eta": timezone.now().isoformat()}))
    assert job.state == "failed" and "both say when" in job.reason


def test_default_retry_delay(worker: Live) -> None:
    assert 5 < wait_after_failure(worker, probes.steady) <= 7


def wait_after_failure(worker: Live, task: Any, failures: int = 0) -> float:
    handle = task.delay()
    Job.objects.filter(pk=handle.id).update(failures=failures)
    worker.until(lambda: worker.row(handle).failures == failures + 1, "it fails")
    job = worker.row(handle)
    assert job.state in ("scheduled", "queued")  # of jitter nothing may be left
    return (job.run_at - timezone.now()).total_seconds()


def test_autoretry_for(worker: Live) -> None:
    Job.objects.filter(task="option.flaky").delete()
    handle = probes.flaky.delay()
    worker.until(lambda: worker.row(handle).failures == 1, "it fails")
    assert worker.row(handle).state == "scheduled" and handle.state == "RETRY"
    Job.objects.filter(pk=handle.id).update(run_at=timezone.now())
    assert worker.finish(handle).result == 1


def test_dont_autoretry_for(worker: Live) -> None:
    job = worker.finish(probes.flaky.delay(fatal=True))
    assert (job.state, job.failures) == ("failed", 1)


def test_retry_kwargs(worker: Live) -> None:
    job = worker.finish(probes.given.delay())
    assert (job.state, job.failures, job.max_attempts) == ("failed", 2, 2)


def test_retry_backoff(worker: Live) -> None:
    assert 95 < wait_after_failure(worker, probes.backing) <= 100
    assert 145 < wait_after_failure(worker, probes.backing, failures=1) <= 150


def test_retry_jitter(worker: Live) -> None:
    waits = [wait_after_failure(worker, probes.jittery) for _ in range(3)]
    assert all(-1 < wait <= 1000 for wait in waits) and len({round(wait) for wait in waits}) > 1


# --- Handlers and signals -------------------------------------------------------------------------------

ENDS = {
    "succeeds": ["on_success succeeds", "task_success", "after_return SUCCESS", "task_postrun"],
    "fails": ["on_failure broken", "task_failure", "after_return FAILURE", "task_postrun"],
    "ignores": ["task_postrun"],
    "rejects": ["task_postrun"],
}


@pytest.mark.parametrize("how", ENDS)
def test_handlers_and_signals(worker: Live, how: str) -> None:
    job = worker.finish(probes.hooked.delay(how))
    lines = [line.partition(" ")[2] for line in job.log]
    assert lines == ["task_prerun", f"before_start {job.pk}", *ENDS[how]]
    assert job.state == ("failed" if how in ("fails", "rejects") else "succeeded")


def test_on_retry(worker: Live) -> None:
    handle = probes.hooked.delay("retries")
    worker.finish(handle)
    log = worker.log.read_text()
    assert worker.row(handle).attempts.get().error == "Flaky: not yet"
    assert log.count(f"job={handle.id} task=option.hooked attempt=1 outcome=back_off") == 1


def test_publish_and_receive_signals(worker: Live) -> None:
    sent: list[str] = []

    def note(sender: str = "", headers: Any = None, body: Any = None, **_: Any) -> None:
        sent.append(f"{headers['id']} {body[0]}")

    signals.before_task_publish.connect(note)
    signals.after_task_publish.connect(note)
    try:
        handle = echo.delay("not in the message")
        worker.finish(handle)
    finally:
        signals.before_task_publish.disconnect(note)
        signals.after_task_publish.disconnect(note)
    assert sent == [f"{handle.id} ()"] * 2
    assert f"task_received {handle.id}" in worker.notes()


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
