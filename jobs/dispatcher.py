"""At its time: a scheduled job becomes a queued one, and a Celery message of its id.

Called by the clock every second; any number of dispatchers may run at once. What may go is decided in `windows`, in
the database and for all dispatchers together. The row is committed first and the message sent afterwards; a message
that gets lost in between is found by the row's lease or by the broker's epoch.
"""

import logging
import time
from collections import defaultdict
from datetime import datetime, timedelta

from django.db import Error
from kombu.exceptions import OperationalError

from jobs import broker, connections, ledger, queues, rates, registry, ticks, windows
from jobs.messages import publish
from jobs.models import Job

logger = logging.getLogger(__name__)

REFILL_INTERVAL = timedelta(milliseconds=100)
_refilled: defaultdict[str, float] = defaultdict(float)  # monotonic seconds of this process's last refill


def dispatch_due(now: datetime | None = None, *, by: str = "") -> int:
    """Send what is due to the workers. Returns how many jobs went out. `by` counts it as a tick, see `ticks`."""
    if ticks.look(by).held_since:
        return 0
    try:
        epoch = broker.epoch()
    except OperationalError as exc:
        logger.warning("broker unreachable, due jobs wait: %s", exc)
        return 0
    lost = ledger.release(Job.objects.exclude(epoch=epoch))
    if lost:
        logger.warning("the broker lost its messages: released=%s", lost)
    return sum(_filled(queue, epoch, now) for queue in queues.due(now))


def _filled(queue: str, epoch: str, now: datetime | None) -> int:
    """One queue that cannot be sent from must not hold up the others."""
    try:
        return _fill(queue, epoch=epoch, now=now)
    except connections.AWAY:
        raise
    except Error:
        logger.exception("cannot dispatch queue=%s", queue)
        return 0


def _fill(queue: str, *, epoch: str, now: datetime | None = None) -> int:
    rated = rates.known()
    sent = publish(windows.fill(queue, [name for name in registry.names() if name not in rated], epoch=epoch, now=now))
    for task, rate in rated.items():
        sent += publish(rates.fill(queue, task, rate, epoch=epoch, now=now))
    return sent


def refill(queue: str) -> int:
    """The same for one queue, by a worker that has just finished something; at most ten times a second a process."""
    if time.monotonic() - _refilled[queue] < REFILL_INTERVAL.total_seconds():
        return 0
    _refilled[queue] = time.monotonic()
    try:
        if ticks.look().held_since:
            return 0
        return _fill(queue, epoch=broker.epoch())
    except (OperationalError, Error) as exc:
        logger.warning("no refill, the next tick will do it: %s", exc)
        return 0
