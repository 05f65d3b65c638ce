"""The stand-in: what every worker does when the clock has stopped, so that beat and its worker may die.

Started by Celery in the main process of each worker (a bootstep, see config/celery.py), in a thread, because the event
loop must not wait for a database. It looks at the last tick every few seconds; when that is too old it dispatches and
rescues itself, each second, until somebody else ticks again. The same thread looks at the size of the pool (`scaler`).
"""

import logging
import os
import threading
from collections.abc import Callable
from typing import Any

from celery import bootsteps
from django.db import connection

from jobs import dispatcher, rescuer, ticks
from jobs.announcer import announcer
from jobs.heartbeat import worker_name
from jobs.scaler import Scaler

logger = logging.getLogger(__name__)

LOOK_EVERY, TICK_EVERY, RESCUE_EVERY = 4.0, 1.0, 5.0  # seconds
PATIENCE = 5.0  # seconds that a fork, or the end, waits for the statement that runs


class StandIn:
    def __init__(self, scaler: Scaler | None = None) -> None:
        self._name, self._scaler = worker_name(), scaler
        self._stop = threading.Event()
        self._busy, self._forking = threading.Lock(), False
        self._standing = False
        self._rescued_at = self._scaled_at = 0.0

    def start(self) -> None:
        # A pool process that is forked in the middle of a statement would inherit the connection.
        os.register_at_fork(before=self._before_fork, after_in_parent=self._after_fork, after_in_child=self._after_fork)
        threading.Thread(target=self._run, name="jobs-standin", daemon=True).start()

    def stop(self) -> None:
        self._stop.set()
        if self._scaler and self._busy.acquire(timeout=PATIENCE):  # a last look would say that the worker is there
            self._try(self._scaler.leave, "say that this worker stops")
            self._busy.release()

    def _run(self) -> None:
        pause = LOOK_EVERY
        while not self._stop.wait(pause):
            with self._busy:
                pause = TICK_EVERY if self._try(self.stand_in, "stand in for the clock") else LOOK_EVERY
                if self._scaler and ticks.steady() - self._scaled_at >= LOOK_EVERY:
                    self._scaled_at = ticks.steady()
                    self._try(self._scaler.look, "look at the size of the pool")

    def _try(self, act: Callable[[], Any], what: str) -> Any:
        try:
            return act()
        except Exception as exc:  # whatever it is: the thread must live, and the next look is near
            logger.warning("could not %s: %s", what, exc)
            return None
        finally:
            connection.close()

    def stand_in(self) -> bool:
        """Tick if nobody else does. Returns whether it did."""
        row = ticks.look()
        missed = ticks.missed(row)
        standing = missed or row.ticked_by == self._name
        if standing != self._standing:
            self._standing = standing
            last = f"last tick {row.ticked_at} by {row.ticked_by or 'nobody'}"
            logger.warning("%s for the clock: %s", "standing in" if standing else "no longer standing in", last)
        if not standing:
            return False
        dispatcher.dispatch_due(by=self._name)
        if ticks.steady() - self._rescued_at >= RESCUE_EVERY:
            self._rescued_at = ticks.steady()
            rescuer.rescue_lost()
        announcer.announce()
        return True

    def _before_fork(self) -> None:
        self._forking = self._busy.acquire(timeout=PATIENCE)

    def _after_fork(self) -> None:
        if self._forking:
            self._busy.release()


class Step(bootsteps.StartStopStep):
    """Where Celery starts it: once for each worker, after the pool was forked."""

    requires = ("celery.worker.components:Pool",)

    def __init__(self, parent: Any, **kwargs: Any) -> None:
        super().__init__(parent, **kwargs)
        self._stand_in: StandIn | None = None

    def start(self, parent: Any) -> None:
        self._stand_in = StandIn(Scaler(parent))
        self._stand_in.start()

    def stop(self, parent: Any) -> None:
        if self._stand_in:
            self._stand_in.stop()

    terminate = stop
