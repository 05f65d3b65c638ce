"""Time limits of a job that shares its message with others: each has its own, as if it travelled alone.

Used by the executor. For a message of one job Celery's main process keeps the time; it knows nothing of the jobs inside
a shared one. Here the process keeps it itself, with the kernel's alarm. The soft limit raises SoftTimeLimitExceeded in
the job. The hard one leaves the alarm to the kernel, which ends the process though it be stuck outside of Python; the
main process notices at once, see `requests`.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from billiard.process import current_process
from celery import current_app
from celery.exceptions import SoftTimeLimitExceeded

if TYPE_CHECKING:
    from jobs.durable import Durable


Limits = tuple[float | None, float | None]  # (soft, hard) in seconds


def of(task: "Durable") -> Limits:
    """The task's own, or the settings'."""
    conf = current_app.conf
    return task.soft_time_limit or conf.task_soft_time_limit, task.time_limit or conf.task_time_limit


_over = False  # the body has come to its end: its soft limit has nothing to stop any more


@contextmanager
def of_a_body() -> Iterator[None]:
    """The block is one job: its body until `body_is_over` is called, and then what is recorded of it.

    A soft limit that passes while the outcome is being written would lose it, and the job would run again.
    """
    global _over
    if threading.current_thread() is not threading.main_thread():  # signals come to the main one
        yield
        return
    heard = signal.getsignal(signal.SIGUSR1)  # by which Celery's main process tells of it
    try:
        yield
    finally:
        _over = False
        signal.signal(signal.SIGUSR1, heard)


def body_is_over() -> None:
    global _over
    if threading.current_thread() is threading.main_thread():
        _over = True
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)


@contextmanager
def kept(limits: Limits) -> Iterator[None]:
    """The block is one run of a task that has these limits."""
    soft, hard = limits
    if not (soft or hard) or not _is_killable():
        yield
        return

    def is_soft(*_: Any) -> None:
        if hard:
            _arm(signal.SIG_DFL, max(hard - (soft or 0), 0.001))
        if _over:
            return
        raise SoftTimeLimitExceeded(soft)

    _arm(is_soft, soft) if soft and not (hard and hard <= soft) else _arm(signal.SIG_DFL, hard or 0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _is_killable() -> bool:
    """Whether this is the main thread of a pool process. Of threads none can be ended alone."""
    pooled = getattr(current_process(), "index", None) is not None
    return pooled and threading.current_thread() is threading.main_thread()


def _arm(handler: Any, seconds: float) -> None:
    signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, seconds)
