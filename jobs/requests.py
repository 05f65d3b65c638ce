"""The main process of a worker, when the process that ran a job is gone: its row ends or goes back at once.

Celery makes a request of each message in the worker's main process (`Task.Request`) and tells it there what the pool
process cannot tell any more: that it was killed for a time limit, by the kernel, or by a person. Without this the row
would wait for its lease to run out. The promise: only what still is held by the process that died is touched, and of a
shared message only the job that was running is blamed; the others go back and it costs them nothing.
"""

import logging
import os
import signal
from contextlib import suppress
from datetime import timedelta
from typing import Any

from billiard.einfo import ExceptionWithTraceback  # type: ignore[attr-defined]
from celery import bootsteps
from celery.exceptions import Terminated, TimeLimitExceeded
from celery.worker import state
from celery.worker.request import Request
from django.db import Error, connection

from jobs import connections, deadlines, flight, groups, ledger
from jobs.heartbeat import worker_name
from jobs.models import Attempt, Job
from jobs.verdict import path_of, stored

logger = logging.getLogger(__name__)

LOOK_EVERY = 0.25  # seconds


class JobRequest(Request):
    """One message with one job or several. Runs in the main process, whose loop waits for it: a few statements."""

    _args: Any  # attributes of Celery's that its stubs leave out, or get wrong
    _app: Any
    worker_pid: Any
    _is_over_time = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        hard, soft = self.time_limits
        hard = hard or self.task.time_limit or self._app.conf.task_time_limit
        soft = soft or self.task.soft_time_limit or self._app.conf.task_soft_time_limit
        # Celery starts the hard limit's clock when the soft limit has passed: one beyond the hard limit, such as the
        # settings' for a task with a short limit of its own, would put it off.
        self.time_limits = (hard, min(soft, hard) if soft and hard else soft)

    def on_timeout(self, soft: bool, timeout: float) -> None:
        hard, _ = self.time_limits
        if soft and hard and timeout >= hard:
            self._kill()
            return
        super().on_timeout(soft, timeout)

    def on_failure(self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False) -> Any:
        exc = exc_info.exception
        exc = exc.exc if isinstance(exc, ExceptionWithTraceback) else exc
        alive = return_ok  # the process lives and has recorded the outcome, unless its message was a shared one
        if alive and len(self._jobs) == 1:
            return super().on_failure(exc_info, send_failed_event, return_ok)
        asked = state.should_terminate or isinstance(exc, Terminated)  # nobody is to blame for what a person ends
        if not self._settle(exc, blame=not alive and not asked):
            return super().on_failure(exc_info, send_failed_event, return_ok)
        state.task_ready(self)
        self.send_event("task-retried", exception=repr(exc), traceback="")
        return None

    @property
    def _jobs(self) -> list[str]:
        """The ids of the message's jobs."""
        return self._args[0] if self.name == "jobs.run" else [self.id]

    def _kill(self) -> None:
        """It may hold a lock on the very row that is to be written, for as long as we would wait for it."""
        self._is_over_time = True
        if self.worker_pid and self.worker_pid != os.getpid():
            with suppress(ProcessLookupError):
                os.kill(self.worker_pid, signal.SIGKILL)

    def _settle(self, exc: BaseException, *, blame: bool) -> bool:
        """Returns whether the one job of the message will be tried again."""
        over_time = self._is_over_time or isinstance(exc, TimeLimitExceeded) or "(SIGALRM)" in str(exc)
        if over_time:
            self._kill()
        try:
            connections.refresh()
            return self._end(exc, over_time=over_time, blame=blame)
        except Error as error:  # its lease is the net
            logger.warning("not settled, the rescuer will do it: jobs=%s error=%s", len(self._jobs), error)
            return False
        finally:
            connection.close()  # the next pool process is forked from here and must not inherit it

    def _end(self, exc: BaseException, *, over_time: bool, blame: bool) -> bool:
        ids = self._jobs
        guilty = ids if len(ids) == 1 else flight.suspects(self.worker_pid, ids)[: 1 if over_time else None]
        held = Job.objects.filter(pk__in=ids, state=Job.State.RUNNING, worker=worker_name(self.worker_pid))
        rows, again = list(held), False
        for seen in rows:
            if seen.cancel_requested:
                ledger.rescue(seen, killed=f"ended with its process: {exc}")
            elif not blame or str(seen.pk) not in guilty:
                again = ledger.give_back(seen)
            elif over_time:
                self._end_over_time(seen)
            else:
                rescued = ledger.rescue(seen, killed=f"its process was lost: {exc}")
                again = rescued is not None and rescued.state == Job.State.SCHEDULED
        ledger.release(Job.objects.filter(pk__in=ids))  # of a process that died before it claimed them
        groups.settle(rows)
        return again and len(ids) == 1

    def _end_over_time(self, seen: Job) -> None:
        limit: Any = deadlines.of(self._app.tasks[seen.task])[1] if len(self._jobs) > 1 else self.time_limits[0]
        exc = TimeLimitExceeded(limit)
        attempt = Attempt(outcome=Attempt.Outcome.ERRORED, duration=timedelta(seconds=limit))
        attempt.error, attempt.exception = f"time limit: killed after {limit:g} s", path_of(exc)
        ledger.give_up(seen, attempt, stored(exc))


class Watch(bootsteps.StartStopStep):
    """Looks for dead pool processes a few times a second.

    The kernel tells of a process that it closed its files just before it says how it ended. When Celery asks in
    between it hears nothing, and asks again five seconds later.
    """

    requires = ("celery.worker.components:Pool",)

    def register_with_event_loop(self, worker: Any, hub: Any) -> None:
        """Called at the start, and again whenever the broker was lost and its timers with it."""
        hub.call_repeatedly(LOOK_EVERY, worker.pool.maintain_pool)
