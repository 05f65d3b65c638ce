"""At its time: a scheduled job becomes a queued one, and a Celery message of its id.

Called by the clock every second; any number of dispatchers may run at once. Which jobs go, and how many, is decided
by `windows`; here they are published. The row is committed first and the message sent afterwards; a message that gets
lost in between is found by the row's lease or by the broker's epoch.
"""

import logging
from datetime import datetime

from celery import current_app
from kombu.exceptions import OperationalError

from jobs import broker, durable, ledger, queues, windows
from jobs.executor import NUDGE
from jobs.models import Job

logger = logging.getLogger(__name__)


def dispatch_due(now: datetime | None = None) -> int:
    """Send what is due to the workers. Returns how many messages went out."""
    try:
        epoch = broker.epoch()
    except OperationalError as exc:
        logger.warning("broker unreachable, due jobs wait: %s", exc)
        return 0
    lost = ledger.release(Job.objects.filter(state=Job.State.QUEUED).exclude(epoch=epoch))
    if lost:
        logger.warning("the broker lost its messages: released=%s", lost)
    tasks, sent = durable.names(), 0
    for queue in queues.due(now):
        sent += publish(windows.fill(queue, tasks, epoch=epoch, now=now))
    return sent


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
