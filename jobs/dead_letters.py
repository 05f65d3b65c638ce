"""What failed for good and waits for a person: told in the log by every worker that starts, by task.

Started by Celery in the main process of each worker (a bootstep, see config/celery.py), because nobody looks at a page
of failed jobs that does not call. One statement, by the index of failed jobs, and `MOST` of them at most.
"""

import logging
from collections import Counter
from typing import Any

from celery import bootsteps
from django.db import Error, connection

from jobs.expressions import indexed
from jobs.models import Job

logger = logging.getLogger(__name__)

MOST = 10_000


def by_task() -> Counter[str]:
    """The failed jobs, the newest `MOST`."""
    failed = Job.objects.filter(indexed(Job.State.FAILED)).order_by("-pk")
    return Counter(failed.values_list("task", flat=True)[:MOST])


def tell() -> None:
    """One line. A database that is away now is no reason not to start: nobody is harmed by a line that is missing."""
    try:
        found = by_task()
    except Error as exc:
        logger.warning("dead letters could not be counted: %s", exc)
        return
    finally:
        connection.close()  # the processes that are forked from here must not share it
    if not found:
        logger.info("dead letters: none")
        return
    more = "at least " if found.total() >= MOST else ""
    told = " ".join(f"{task}={number}" for task, number in found.most_common())
    logger.warning("dead letters: %s%s failed jobs wait for a person: %s", more, found.total(), told)


class Look(bootsteps.StartStopStep):
    requires = ("celery.worker.components:Pool",)

    def start(self, parent: Any) -> None:
        tell()

    def stop(self, parent: Any) -> None:
        """Nothing goes on."""

    terminate = stop
