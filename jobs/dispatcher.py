"""At its time: a scheduled job becomes a queued one, and a Celery message of its id.

Called by the clock every second; any number of dispatchers may run at once. It keeps at most `Queue.window` jobs of a
queue at the broker, so that priority, pause, cancel and move count until the last moment and a lost broker costs
little. The row is committed first and the message sent afterwards; a message that gets lost in between is found by
the row's lease or by the broker's epoch.
"""

import logging
from collections import Counter

from celery import current_app
from django.db.models import Count, Q
from django.db.models.functions import Now
from kombu.exceptions import OperationalError

from jobs import broker, durable, ledger, ticks
from jobs.executor import NUDGE
from jobs.models import Job, Queue

logger = logging.getLogger(__name__)


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
    tasks, sent = durable.names(), 0
    for queue, room in _rooms(now or Now()).items():
        if room > 0:
            sent += publish(ledger.dispatch(queue, tasks, room, epoch=epoch, now=now))
    return sent


def _rooms(now: ledger.Moment) -> dict[str, int]:
    """For each open queue, how many more jobs may be queued."""
    names = set(current_app.amqp.queues)
    rows = {queue.name: queue for queue in Queue.objects.all()}
    paused = Q(paused_at__isnull=False) & (Q(paused_until__isnull=True) | Q(paused_until__gt=now))
    closed = set(Queue.objects.filter(paused).values_list("name", flat=True)) if rows else set()
    counts = Job.objects.filter(state=Job.State.QUEUED).values_list("queue").annotate(Count("pk"))
    queued = Counter(dict(counts))
    return {name: rows.get(name, Queue(name=name)).window - queued[name] for name in sorted(names - closed)}


def publish(jobs: list[Job]) -> int:
    """Send one message for each job. What the broker does not take is released. Returns how many went out."""
    for sent, job in enumerate(jobs):
        try:
            _nudge(job)
        except OperationalError as exc:
            rest = [unsent.pk for unsent in jobs[sent:]]
            ledger.release(Job.objects.filter(pk__in=rest))
            logger.warning("broker refused, released=%s: %s", len(rest), exc)
            return sent
    return len(jobs)


def _nudge(job: Job) -> None:
    """The message: Celery's id is the job's, its arguments stay in the row."""
    options = dict(job.options)
    headers = options.pop("headers", {}) | {NUDGE: True}
    current_app.send_task(
        job.task,
        task_id=str(job.pk),
        queue=job.queue,
        headers=headers,
        ignore_result=True,
        retry=False,
        **options,
    )
