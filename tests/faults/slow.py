"""Sample tasks for stacks whose workers are scaled or stopped: how long they take, and that they were not disturbed."""

import os
import time
from pathlib import Path

from celery import shared_task

from jobs.durable import Durable


@shared_task(base=Durable, name="faults.slow")
def slow(seconds: float, gate: str = "") -> None:
    """`gate`: a file that the test makes, before which the seconds do not begin."""
    while gate and not Path(gate).exists():
        time.sleep(0.05)
    time.sleep(seconds)


@shared_task(base=Durable, name="faults.slow_one_of_many", batch_size=5)
def slow_one_of_many(seconds: float) -> None:
    time.sleep(seconds)


@shared_task(base=Durable, name="faults.noted", batch_size=50)
def noted(number: int, path: str) -> None:
    """A line in a file outside of the database, as a witness."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(handle, f"{number}\n".encode())
    finally:
        os.close(handle)
