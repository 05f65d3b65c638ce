"""Sample tasks for stacks whose workers are scaled or stopped: how long they take, and that they were not disturbed."""

import time

from celery import shared_task

from jobs.durable import Durable


@shared_task(base=Durable, name="faults.slow")
def slow(seconds: float) -> None:
    time.sleep(seconds)


@shared_task(base=Durable, name="faults.slow_one_of_many", batch_size=5)
def slow_one_of_many(seconds: float) -> None:
    time.sleep(seconds)
