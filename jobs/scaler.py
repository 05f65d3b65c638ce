"""The scaler: brings a worker's pool to the size that its queues want, while it works.

Run by the stand-in's thread in the main process of every worker. Each tells what it has and reads what the others told
(`crews`); each then changes nothing but itself. The promise: no job is killed. A process that is not wanted any more
is handed nothing new and ends after the job that it has.
"""

import logging
import os
from typing import Any

from billiard.pool import RUN
from celery.concurrency.asynpool import AsynPool
from celery.worker import control
from celery.worker.control import control_command
from django.utils import timezone

from jobs import crews, memory

logger = logging.getLogger(__name__)

_celerys_shrink: Any = control.pool_shrink  # type: ignore[attr-defined]


class Scaler:
    """Of one worker: Celery's WorkController."""

    def __init__(self, worker: Any) -> None:
        self._worker, self._started_at = worker, timezone.now()
        self._wanted: int | None = None  # at the last look
        self._ours = False  # whether the pool's size is of our making

    def look(self) -> None:
        """Tell what this worker has; change it when two looks in a row want the same.

        Two, because workers that start together see each other one after the other: the first one would start the
        processes of all of them, and stop them again.
        """
        worker, queues = self._worker, list(self._worker.app.amqp.queues.consume_from)
        can = scalable(worker)
        held = memory.resident(pids(worker))
        crews.tell(worker.hostname, queues, size(worker), scalable=can, started_at=self._started_at, memory=held)
        if not can:
            return
        before, self._wanted = self._wanted, self._want(queues)
        if before is not None and before == self._wanted != worker.pool.num_processes:
            worker.consumer.call_soon(resize, worker, before)  # the pool belongs to the main thread

    def _want(self, queues: list[str]) -> int | None:
        """Where nobody says, what the worker was started with, once; then Flower's buttons are left alone."""
        wanted = crews.wanted(self._worker.hostname, queues)
        if wanted is None and self._ours:
            started: int = self._worker.concurrency
            self._ours = self._worker.pool.num_processes != started
            return started
        self._ours = wanted is not None
        return wanted

    def leave(self) -> None:
        crews.leave(self._worker.hostname)


def scalable(worker: Any) -> bool:
    """Prefork on an event loop, as with Redis and AMQP, and not Celery's own autoscaler's."""
    return isinstance(getattr(worker.pool, "_pool", None), AsynPool) and not worker.autoscaler


def size(worker: Any) -> int:
    """How many processes there are, those included that end after their job."""
    if scalable(worker):
        return len(worker.pool._pool._pool)
    processes: int = worker.pool.num_processes
    return processes


def pids(worker: Any) -> list[int]:
    """The main process and those of the pool; a pool of threads has none of its own."""
    processes = getattr(getattr(worker.pool, "_pool", None), "_pool", [])
    return [os.getpid(), *(process.pid for process in processes if getattr(process, "pid", None))]


# --- In the main thread, between two rounds of the worker's event loop --------------------------------------


def resize(worker: Any, wanted: int) -> None:
    """Start or end processes; ones that cannot end right now are left for the next look."""
    pool = worker.pool._pool
    if pool is None or pool._state != RUN:  # the worker is stopping
        return
    change: int = wanted - pool._processes
    if change > 0:
        worker.pool.grow(change)
        pool.maintain_pool()
    else:
        change = -_retire(pool, -change)
    if change:
        worker.consumer._update_prefetch_count(change)
        logger.info("pool resized by %+d to %s processes", change, pool._processes)


def _retire(pool: Any, many: int) -> int:
    """Let processes end, idle ones first; one always stays. Returns how many will.

    Celery's own pool.shrink sends SIGTERM to a process that has not yet reported that it began the job it was handed.
    Here it reads the pool's goodbye in its turn, after what it was handed before.
    """
    able = [process for process in pool._pool if process.inqW_fd in pool._all_inqueues - pool._active_writes]
    able.sort(key=lambda process: process.inqW_fd in pool._busy_workers)
    retired = 0
    for process in able[: max(min(many, pool._processes - 1), 0)]:
        try:
            process.inq.put(None)
        except BlockingIOError:  # its pipe is full
            continue
        pool._all_inqueues.discard(process.inqW_fd)  # nothing more is written to it
        pool._busy_workers.discard(process.inqW_fd)  # which the pool compares with the number of the others
        pool._processes -= 1
        pool._putlock.shrink()
        retired += 1
    return retired


@control_command(name="pool_shrink", args=[("n", int)], signature="[N=1]")
def pool_shrink(panel: Any, n: int = 1, **kwargs: Any) -> Any:
    """In the place of Celery's, for Flower's button. Where a queue has a desired number, that wins within seconds."""
    worker = panel.consumer.controller
    if not scalable(worker):
        return _celerys_shrink(panel, n, **kwargs)
    before = worker.pool.num_processes
    resize(worker, max(before - n, 1))
    return {"ok": f"{before - worker.pool.num_processes} processes end after their present job"}
