"""Many due jobs, and a window to fill with them."""

from datetime import timedelta

from django.utils import timezone

from jobs import windows
from jobs.models import Job, Queue
from tests.factories import MINUTE

TASKS = ["probe.ok", "probe.fail"]
SECOND = timedelta(seconds=1)


def set_queue(name: str = "default", **fields: object) -> None:
    Queue.objects.update_or_create(name=name, defaults=fields)


def many(number: int, **fields) -> None:
    rows = {"task": "probe.ok", "queue": "default", "run_at": timezone.now() - MINUTE} | fields
    Job.objects.bulk_create(Job(**rows) for _ in range(number))


def fill(queue: str = "default", **options) -> list[Job]:
    return windows.fill(queue, TASKS, **options)
