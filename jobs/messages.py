"""What travels through the broker: which rows to look at, and nothing else.

Used by the dispatcher, after the commit that marked the rows as queued. A job that travels alone lends its message
its own task name and id; small jobs of one kind share a message of `jobs.run`.
"""

import logging
from collections.abc import Iterator
from itertools import groupby
from typing import Any

from celery import current_app
from kombu.exceptions import OperationalError

from jobs import deadlines, ledger, registry
from jobs.events import MASKED, events
from jobs.models import Job
from jobs.options import CARRIED

logger = logging.getLogger(__name__)

NUDGE = "jobs_nudge"  # the header of a message that the dispatcher sent


def publish(jobs: list[Job]) -> int:
    """Send the messages. The jobs of those that the broker does not take are released. Returns how many jobs went."""
    sent = 0
    _tell(jobs)
    with current_app.producer_or_acquire() as producer:
        for message in _messages(jobs):
            try:
                _send(message, producer)
            except OperationalError as exc:
                rest = [job.pk for job in jobs[sent:]]
                ledger.release(Job.objects.filter(pk__among=rest))
                logger.warning("broker refused, released=%s: %s", len(rest), exc)
                return sent
            except Exception:
                # One message that cannot be made must not hold up the others; its rows come back with their lease.
                logger.exception("no message for jobs=%s", [str(job.pk) for job in message])
            sent += len(message)
    return sent


def _tell(jobs: list[Job]) -> None:
    """Before they are sent: a job may be over sooner than we could say so afterwards, and an end has to come last."""
    for job in jobs if events.on else ():
        if job.token:
            # It ran before: only a retry lets Flower forget how that ended.
            events.tell("retried", job, retries=job.failures)
        events.tell("sent", job, queue=job.queue, retries=job.failures)
    events.flush()


def _messages(jobs: list[Job]) -> Iterator[list[Job]]:
    """Group neighbours of one kind, up to its batch size. What failed before travels alone: it may be poison."""
    for (name, alone), some in groupby(
        jobs, key=lambda job: (job.task, bool(job.failures or CARRIED & {*job.options}))
    ):
        size = 1 if alone else registry.named(name).batch_size
        neighbours = list(some)
        yield from (neighbours[start : start + size] for start in range(0, len(neighbours), size))


def _send(jobs: list[Job], producer: Any) -> None:
    """One message. A job that travels alone lends it its name and id; its arguments stay in the row."""
    known: dict[str, Any]
    if len(jobs) > 1:
        ids = [str(job.pk) for job in jobs]
        # Each job keeps its own limit (deadlines.py); this is the net, for a process that is stuck before it is set.
        hard = deadlines.of(registry.named(jobs[0].task))[1]
        net = hard and len(jobs) * (hard + 1)
        known = {"queue": jobs[0].queue, "time_limit": net, "soft_time_limit": net, "retry": False}
        current_app.send_task("jobs.run", args=(ids,), producer=producer, **known)
        return
    (job,) = jobs
    options: dict[str, Any] = {"root_id": str(job.pk)}
    options |= {name: value for name, value in job.options.items() if name in CARRIED | {"root_id", "parent_id"}}
    # Celery would take the dispatcher's tick for the job's parent.
    options["headers"] = options.get("headers", {}) | {
        NUDGE: True,
        "task": job.task,
        "parent_id": job.options.get("parent_id"),
    }
    known = {"task_id": str(job.pk), "queue": job.queue, "ignore_result": True, "retry": False}
    known |= {"argsrepr": MASKED, "kwargsrepr": MASKED, "retries": job.failures}  # for Flower
    current_app.send_task(job.name, producer=producer, **known, **options)
