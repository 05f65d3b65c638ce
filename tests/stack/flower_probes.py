"""Tasks whose life Flower shows, run by real workers."""

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from celery import shared_task

from jobs.durable import Durable, Snooze


class Flaky(Exception):
    pass


@shared_task(base=Durable, name="flower.alone", bind=True, autoretry_for=(Flaky,), max_retries=1, default_retry_delay=0)
def alone(self: Durable, how: str) -> str:
    return behave(self, how)


@shared_task(
    base=Durable,
    name="flower.shared",
    bind=True,
    batch_size=50,
    autoretry_for=(Flaky,),
    max_retries=1,
    default_retry_delay=0,
)
def shared(self: Durable, how: str) -> str:
    return behave(self, how)


@shared_task(name="flower.plain")
def plain(seconds: float, secret: str = "") -> str:
    """A Celery task that is no job."""
    time.sleep(seconds)
    return f"the secret is {secret}"


def behave(task: Durable, how: str) -> str:
    word, _, rest = how.partition(" ")
    if word == "flaky" and not task.request.retries:
        raise Flaky("not yet")
    if word == "fail":
        raise ValueError("never")
    if word == "snooze" and not task.request.retries and task.running.job.token == 1:
        raise Snooze(datetime.now(UTC) + timedelta(milliseconds=10))
    while word == "wait" and not Path(rest).exists():  # until the test makes this file
        time.sleep(0.05)
    if word == "sleep":
        time.sleep(float(rest))
    if word == "obey":  # until it is asked to stop
        while True:
            task.running.check_cancelled()
            time.sleep(0.05)
    if word == "write":  # a line for each time it ran to the end
        path, _, seconds = rest.partition(" ")
        time.sleep(float(seconds))
        with Path(path).open("a") as file:
            file.write("ran\n")
    return how
