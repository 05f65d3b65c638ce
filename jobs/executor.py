"""The worker's side: a message comes in, its row is claimed, run by Celery's own tracer, and the outcome recorded.

Celery calls `Nudged` where it would call a task's tracer (see `Durable.__trace__`). The tracer itself is Celery's, so
task signals, autoretry, Sentry, OpenTelemetry and Flower's events work as for any other task; it tells the outcome
that is recorded here. A second message for a row that is gone, cancelled or taken is dropped: it is only a nudge.
"""

import json
import logging
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from billiard.einfo import ExceptionInfo
from celery import states
from celery.app.trace import TraceInfo, trace_ok_t
from celery.exceptions import Ignore, Retry
from django.db import Error, close_old_connections, connection

from jobs import ledger
from jobs.heartbeat import heartbeat, worker_name
from jobs.models import Attempt, Job

if TYPE_CHECKING:
    from jobs.durable import Durable

logger = logging.getLogger(__name__)

NUDGE = "jobs_nudge"  # the header of a message that the dispatcher sent
CARRIED = frozenset({"headers", "shadow", "time_limit", "soft_time_limit"})  # options kept on the row for the message
RECORDING_TRIES = 5


class Snooze(Retry):
    """A task raises it to run again at `until` (aware), without counting a failure."""

    def __init__(self, until: datetime) -> None:
        super().__init__(f"until {until.isoformat()}", when=until)
        self.until = until

    def __reduce__(self) -> Any:  # Retry's own would call __init__ with Retry's arguments, in the worker's parent
        return Snooze, (self.until,)


class Stop(Ignore):
    """A task raises it when it finds that it was asked to stop: the job ends as cancelled."""


class Nudged:
    """What a worker calls for a message of a durable task."""

    def __init__(self, task: "Durable", tracer: Callable[..., Any]) -> None:
        self.task, self.tracer = task, tracer

    def __call__(self, uuid: str, args: Any, kwargs: Any, request: dict[str, Any] | None = None) -> Any:
        request = dict(request or {})
        close_old_connections()
        if NUDGE not in request:
            return self._adopt(uuid, args, kwargs)
        try:
            job = ledger.claim(uuid, worker_name())
        except Error as exc:
            logger.warning("claim failed job=%s task=%s error=%s", uuid, self.task.name, exc)
            connection.close()
            return _dropped("the database did not answer; the rescuer brings the job back")
        if job is None:
            return _dropped("the row is not queued: taken, cancelled, or moved")
        return self._run(job, request)

    def _run(self, job: Job, request: dict[str, Any]) -> Any:
        started = time.monotonic()
        with heartbeat.holding(job):
            verdict = self.tracer(str(job.pk), job.args, job.kwargs, request | {"retries": job.failures, "job": job})
            took = timedelta(seconds=time.monotonic() - started)
            outcome = _insist(lambda: self._record(job, took, *verdict[:2]))
        logger.info(
            "job=%s task=%s attempt=%s outcome=%s ms=%.0f",
            job.pk,
            job.task,
            job.token,
            outcome,
            took.total_seconds() * 1e3,
        )
        return verdict

    def _record(self, job: Job, took: timedelta, value: Any, info: Any) -> str:
        """Write the tracer's verdict into the row."""
        if info is None or (info.state == states.IGNORED and not isinstance(info.retval, Stop)):
            return "succeeded" if ledger.succeed(job, _kept(value) if info is None else None) else "late"
        attempt = Attempt(duration=took, outcome=Attempt.Outcome.ERRORED, worker=job.worker)
        attempt.error, attempt.traceback = _error(info.retval), str(getattr(value, "traceback", ""))
        attempt.exception = _path(info.retval)
        if isinstance(info.retval, Stop):
            return "stopped" if ledger.stop(job, attempt) else "late"
        if info.state == states.RETRY:
            return self._again(job, attempt, info.retval)
        if info.state == states.REJECTED and info.retval.requeue:
            return "backed off" if ledger.back_off(job, timedelta(), attempt) else "late"
        return "failed" if ledger.give_up(job, attempt) else "late"

    def _again(self, job: Job, attempt: Attempt, retry: Retry) -> str:
        if isinstance(retry, Snooze):
            attempt.outcome = Attempt.Outcome.SNOOZED
            return "snoozed" if ledger.snooze(job, retry.until, attempt) else "late"
        attempt.error, attempt.exception = _error(retry.exc or retry), _path(retry.exc or retry)
        changes = getattr(retry, "changes", {})
        return "backed off" if ledger.back_off(job, _delay(retry.when), attempt, **changes) else "late"

    def _adopt(self, uuid: str, args: Any, kwargs: Any) -> Any:
        """A message that somebody sent past `apply_async` (send_task, Flower): it becomes a row like any other."""
        self.task.apply_async(args, kwargs, task_id=uuid)
        return _dropped("sent without a row; now it has one")


def _dropped(why: str) -> Any:
    """The answer for a message that led to no run; the worker acknowledges it and reports nothing."""
    try:
        raise Ignore(why)
    except Ignore as exc:
        return trace_ok_t(ExceptionInfo(internal=True), TraceInfo(states.IGNORED, exc), 0.0, None)


def _insist(record: Callable[[], str]) -> str:
    """Record through a database restart. Safe to repeat: the token lets an outcome be written once.

    What cannot be recorded at all is found by the rescuer when the lease is over, as if the worker had died.
    """
    for tried in range(RECORDING_TRIES):
        try:
            return record()
        except Error as exc:
            logger.warning("recording the outcome failed, try %s of %s: %s", tried + 1, RECORDING_TRIES, exc)
            connection.close()
            time.sleep(0.2 * 2**tried)
    return "unrecorded"


def _delay(when: Any) -> timedelta | datetime:
    return when if isinstance(when, datetime) else timedelta(seconds=float(when or 0))


def _error(exc: Any) -> str:
    return f"{type(exc).__name__}: {exc}"[:2000]


def _path(exc: Any) -> str:
    return f"{type(exc).__module__}.{type(exc).__qualname__}"[:255]


def _kept(value: Any) -> Any:
    """A task's return value as the row keeps it: as JSON, or as its repr where JSON has no word for it."""
    try:
        return json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError):
        return repr(value)[:2000]
