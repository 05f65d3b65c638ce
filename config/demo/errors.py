"""A task that fails in each way in which a task can fail, to see what becomes of it. With DEBUG only.

POST /demo/simulate-error makes its jobs. Each really does what it says: the process of a crash is gone.
"""

import os
import signal
from datetime import UTC, datetime, timedelta
from typing import Literal

from celery import shared_task

from jobs.durable import Durable, Permanent, Snooze

Kind = Literal["transient", "permanent", "rate_limit", "crash"]
LATER = timedelta(seconds=5)
CRASHES = 2  # attempts: a job that kills its worker each time is not given to a third


@shared_task(
    base=Durable,
    bind=True,
    name="demo.simulate_error",
    internal=True,
    autoretry_for=(ConnectionError,),
    retry_backoff=2,
    retry_backoff_max=30,
    retry_jitter=False,
    max_retries=3,
)
def simulate(self: Durable, kind: Kind) -> str:
    """Returns what became of it, where it ends well."""
    attempt = self.running.job.token
    if kind == "transient" and self.request.retries < 2:
        raise ConnectionError("NETWORK_ERROR: nobody answers")  # counted, and tried again after a while
    if kind == "permanent":
        raise Permanent("INVALID_EMAIL: there is no such mailbox")  # never tried again: it waits for a person
    if kind == "rate_limit" and attempt == 1:
        raise Snooze(datetime.now(UTC) + LATER)  # RATE_LIMIT: not its fault, so it is not counted
    if kind == "crash":
        os.kill(os.getpid(), signal.SIGKILL)
    return f"done at attempt {attempt}"
