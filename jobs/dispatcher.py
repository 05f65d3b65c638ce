"""At its time: a scheduled job becomes a queued one, and a Celery message of its id.

Called by the clock every second; any number of dispatchers may run at once. It keeps at most `Queue.window` jobs of a
queue at the broker, so that priority, pause, cancel and move count until the last moment and a lost broker costs
little. The row is committed first and the message sent afterwards; a message that gets lost in between is found by
the row's lease or by the broker's epoch.
"""

import logging
import time
from collections import Counter, defaultdict
from datetime import timedelta

from celery import current_app
from django.db import Error
from django.db.models import Count, Q
from django.db.models.functions import Now
from kombu.exceptions import OperationalError

from jobs import broker, ledger, registry, ticks
from jobs.messages import publish
from jobs.models import Job, Queue

logger = logging.getLogger(__name__)

REFILL_INTERVAL = timedelta(milliseconds=100)
_refilled: defaultdict[str, float] = defaultdict(float)  # monotonic seconds of this process's last refill


def dispatch_due(now: ledger.Moment | None = None, *, by: str = "") -> int:
    """Send what is due to the workers. Returns how many messages went out. `by` counts it as a tick, see `ticks`."""
    if ticks.look(by).held_since:
        return 0
    try:
        epoch = broker.epoch()
    except OperationalError as exc:
        logger.warning("broker unreachable, due jobs wait: %s", exc)
        return 0
    lost = ledger.release(Job.objects.filter(state=Job.State.QUEUED).exclude(epoch=epoch))
    if lost:
        logger.warning("the broker lost its messages: released=%s", lost)
    tasks, sent = registry.names(), 0
    for queue, room in _rooms(now or Now()).items():
        if room > 0:
            sent += publish(ledger.dispatch(queue, tasks, room, epoch=epoch, now=now))
    return sent


def refill(queue: str) -> int:
    """The same for one queue, by a worker that has just finished something; at most ten times a second a process."""
    if time.monotonic() - _refilled[queue] < REFILL_INTERVAL.total_seconds():
        return 0
    _refilled[queue] = time.monotonic()
    try:
        if ticks.look().held_since:
            return 0
        room = _rooms(Now()).get(queue, 0)
        return publish(ledger.dispatch(queue, registry.names(), room, epoch=broker.epoch())) if room > 0 else 0
    except (OperationalError, Error) as exc:
        logger.warning("no refill, the next tick will do it: %s", exc)
        return 0


def _rooms(now: ledger.Moment) -> dict[str, int]:
    """For each open queue, how many more jobs may be queued."""
    names = set(current_app.amqp.queues)
    rows = {queue.name: queue for queue in Queue.objects.all()}
    paused = Q(paused_at__isnull=False) & (Q(paused_until__isnull=True) | Q(paused_until__gt=now))
    closed = set(Queue.objects.filter(paused).values_list("name", flat=True)) if rows else set()
    counts = Job.objects.filter(state=Job.State.QUEUED).values_list("queue").annotate(Count("pk"))
    queued = Counter(dict(counts))
    return {name: rows.get(name, Queue(name=name)).window - queued[name] for name in sorted(names - closed)}
