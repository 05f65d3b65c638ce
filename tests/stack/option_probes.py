"""Tasks that show, from inside a real worker, what became of an option."""

import os
import signal
import time
from typing import Any

from celery import shared_task

from jobs.durable import Durable


@shared_task(base=Durable, bind=True, name="option.sleep", max_retries=1)
def sleep(self: Durable, seconds: float = 60) -> int:
    """Long, and at its second attempt short."""
    time.sleep(0 if self.request.retries else seconds)
    return self.request.retries


@shared_task(base=Durable, name="option.limited", time_limit=1, autoretry_for=(Exception,))
def limited() -> None:
    time.sleep(60)


@shared_task(base=Durable, bind=True, name="option.shared", batch_size=50, time_limit=2, soft_time_limit=1)
def shared(self: Durable, kind: str) -> Any:
    if self.request.retries:
        return "again"
    if kind == "stuck":
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                time.sleep(1)
            except Exception:  # it does not listen
                continue
    if kind == "slow":
        time.sleep(60)
    if kind == "poison":
        os.kill(os.getpid(), signal.SIGKILL)
    return kind
