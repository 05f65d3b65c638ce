"""The worker's side: a message comes in, its rows are claimed, each is run by Celery's own tracer, and recorded.

A message of one job carries that job's name and id; Celery calls `Nudged` where it would call the task's tracer (see
`Durable.__trace__`). Small jobs share a message of `run_batch`. The tracer is Celery's either way, so task signals,
autoretry, Sentry and OpenTelemetry work as for any other task. A second message for a row that is gone, cancelled or
taken is dropped: it is only a nudge.
"""

import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from billiard.einfo import ExceptionInfo
from celery import Task, shared_task, states
from celery.app.task import Context
from celery.app.trace import TraceInfo, trace_ok_t
from celery.exceptions import Ignore
from celery.signals import task_revoked
from django.db import Error, connection

from jobs import (
    atomic,
    bulk,
    canvas,
    connections,
    deadlines,
    dispatcher,
    flight,
    groups,
    ledger,
    options,
    registry,
    subject,
)
from jobs.events import MASKED, events
from jobs.heartbeat import heartbeat, worker_name
from jobs.messages import NUDGE
from jobs.models import Attempt, Job
from jobs.recorder import Recorder, insist, record
from jobs.running import Running
from jobs.verdict import Snooze, Verdict, judge

if TYPE_CHECKING:
    from jobs.durable import Durable

logger = logging.getLogger(__name__)

ROLLING = timedelta(seconds=10)  # before a worker of the newer code is asked


class Nudged:
    """What a worker calls for a message of one durable job."""

    def __init__(self, task: "Durable", tracer: Callable[..., Any]) -> None:
        self.task, self.tracer = task, tracer

    def __call__(self, uuid: str, args: Any, kwargs: Any, request: dict[str, Any] | None = None) -> Any:
        request = dict(request or {})
        connections.refresh()
        if NUDGE not in request:
            # Sent past apply_async (send_task, Flower): it becomes a row like any other.
            queue = (request.get("delivery_info") or {}).get("routing_key")
            said = {"task_id": uuid, "queue": queue, **options.of_message(request)}
            insist(partial(self.task.apply_async, args, kwargs, **said))  # the message is all that there is of it
            return _dropped("sent without a row; now it has one")
        claimed = _claim([uuid])
        if not claimed:
            _announce(self.task, uuid, request)
            return _dropped("the row is not queued: taken, cancelled, or moved")
        with heartbeat.holding(claimed), subject.of(claimed[0], worker_name()), deadlines.of_a_body():
            answer, verdict = _trace(claimed[0], self.task, self.tracer, request)
            _log(verdict, record(verdict))
        groups.settle([verdict.job])
        dispatcher.refill(verdict.job.queue)
        return answer


@shared_task(
    name="jobs.run",
    base=Task,
    bind=True,
    Request="jobs.requests:JobRequest",
    send_events=False,
    store_errors_even_if_ignored=False,
)
def run_batch(self: Any, ids: list[str]) -> None:
    """Run the jobs of one message, one after the other or, where their task says so, some at a time."""
    connections.refresh()
    flight.board(ids)
    jobs = _claim(ids)
    if not jobs:
        return
    events.flow()
    places = {pk: place for place, pk in enumerate(ids)}
    jobs.sort(key=lambda job: places[str(job.pk)])
    with heartbeat.holding(jobs), Recorder() as recorder:
        message = _Message(jobs, self.request, recorder)
        concurrency = min(len(jobs), max(kind.task.concurrency for kind in message.kinds.values()))
        if concurrency == 1:
            for job in jobs:
                message.run(job)
        else:
            with ThreadPoolExecutor(concurrency, "jobs-batch") as pool:
                for done in [pool.submit(_on_thread, message, job) for job in jobs]:
                    done.result()
    groups.settle(jobs)
    events.flush()
    dispatcher.refill(jobs[0].queue)


def _on_thread(message: "_Message", job: Job) -> None:
    try:
        message.run(job)
    finally:
        connection.close()  # the thread ends with its message


class _Kind(NamedTuple):
    task: "Durable"
    tracer: Callable[..., Any]
    limits: deadlines.Limits


class _Message:
    """What the jobs of one message have in common, looked up once: for each job it took as long as the job."""

    def __init__(self, jobs: list[Job], request: Any, recorder: Recorder) -> None:
        tasks = [registry.named(name) for name in {job.task for job in jobs}]
        self.kinds = {task.name: _Kind(task, task.__trace__.tracer, deadlines.of(task)) for task in tasks}
        self.recorder, self.told, self.worker = recorder, events.on, worker_name()
        self._request = {"hostname": request.hostname, "delivery_info": request.delivery_info, "is_eager": False}

    def run(self, job: Job) -> None:
        """One job of a batch: as a message of its own would run it."""
        with subject.of(job, self.worker):
            self._run(job)

    def _run(self, job: Job) -> None:
        if self.told:
            events.tell("received", job, args=MASKED, kwargs=MASKED, retries=job.failures, eta=None, expires=None)
        if heartbeat.asked_to_stop(job):
            verdict = Verdict(job, "stop", timedelta(), attempt=Attempt(error="cancelled before it started"))
        else:
            verdict = self._traced(job)
        if self.told:
            _tell(verdict)
        self.recorder.add(verdict)
        _log(verdict, verdict.verb)
        if verdict.attempt is not None or connection.errors_occurred:
            connections.refresh()  # else a database that restarted would fail all that are left

    def _traced(self, job: Job) -> Verdict:
        if self.told:
            events.tell("started", job)
        task, tracer, limits = self.kinds[job.task]
        pk = str(job.pk)
        request = {**self._request, "id": pk, "task": job.name, "correlation_id": pk}
        if not job.options:
            request["headers"] = {}  # else Celery takes what it does not know for headers, at some cost
        with flight.running(pk), deadlines.of_a_body(), deadlines.kept(limits):
            return _trace(job, task, tracer, request)[1]


def _tell(verdict: Verdict) -> None:
    """Of an error before it is written: the next attempt may be over before we could say that there will be one."""
    job, attempt = verdict.job, verdict.attempt
    if attempt is None:
        events.tell("succeeded", job, result=repr(verdict.result)[:200], runtime=verdict.took.total_seconds())
    elif verdict.verb != "stop":  # the announcer tells of cancelled ones
        kind = "failed" if verdict.verb == "give_up" else "retried"
        events.tell(kind, job, exception=attempt.error, traceback=attempt.traceback)
        events.flush()


def _claim(ids: list[str]) -> list[Job]:
    try:
        return ledger.claim_many(ids, worker_name())
    except Error as exc:
        # The rows stay queued; the rescuer takes them back when their lease is over.
        logger.warning("claim failed jobs=%s error=%s", len(ids), exc)
        connection.close()
        return []


def _trace(job: Job, task: "Durable", tracer: Callable[..., Any], request: dict[str, Any]) -> tuple[Any, Verdict]:
    """Run the job. Arguments that do not fit the task any more fail like the task would."""
    started = time.monotonic()
    running, ignored = Running(job), job.options.get("ignore_result", task.ignore_result)
    try:
        args, kwargs = job.args, job.kwargs
        if job.version > task.version:  # newer code stored them, and this worker is still to be replaced by it
            raise Snooze(bulk.database_now() + ROLLING)
        if job.version < task.version:
            args, kwargs = running.arguments = task.upcast(job.version, args, kwargs)
        args, kwargs = task.payload.load(args, kwargs)
    except Exception as exc:
        answer = trace_ok_t(ExceptionInfo(internal=True), TraceInfo(states.FAILURE, exc), 0.0, None)
    else:
        said = canvas.request(job) | {"retries": job.failures, "running": running}
        said["ignore_result"] = ignored
        answer = _answer(tracer, str(job.pk), args, kwargs, request | said)
    verdict = judge(job, timedelta(seconds=time.monotonic() - started), *answer[:2])
    if verdict.verb == "succeed" and ignored:
        verdict.result = None
    unstored = running.returned and answer[1] is not None and isinstance(answer[1].retval, connections.AWAY)
    if verdict.verb == "give_up" and unstored:
        verdict.verb = "rescue"  # it was done, and its next step could not be stored: as if its worker had died now
    atomic.end(running, verdict)
    return answer, verdict


def _answer(tracer: Callable[..., Any], pk: str, args: Any, kwargs: Any, request: dict[str, Any]) -> Any:
    try:
        answer = tracer(pk, args, kwargs, request)
        deadlines.body_is_over()
        request["running"].finish()
    except Exception as exc:  # not the task's: the tracer's own bookkeeping failed, as with a lost connection
        return trace_ok_t(ExceptionInfo(internal=True), TraceInfo(states.FAILURE, exc), 0.0, None)
    return answer


def _announce(task: "Durable", uuid: str, request: dict[str, Any]) -> None:
    """Celery's task_revoked for a job whose message came too late, as for a revoked message."""
    state = Job.objects.filter(pk=uuid).values_list("state", flat=True).first()
    if state in (Job.State.CANCELLED, Job.State.EXPIRED):
        told = {"terminated": False, "signum": None, "expired": state == Job.State.EXPIRED}
        task_revoked.send(sender=task, request=Context(request), **told)


def _log(verdict: Verdict, outcome: str) -> None:
    if logger.isEnabledFor(logging.INFO):
        job, ms = verdict.job, verdict.took.total_seconds() * 1e3
        logger.info("job=%s task=%s attempt=%s outcome=%s ms=%.0f", job.pk, job.name, job.token, outcome, ms)


def _dropped(why: str) -> Any:
    """The answer for a message that led to no run; the worker acknowledges it and reports nothing."""
    try:
        raise Ignore(why)
    except Ignore as exc:
        return trace_ok_t(ExceptionInfo(internal=True), TraceInfo(states.IGNORED, exc), 0.0, None)
