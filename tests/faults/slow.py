"""Sample tasks for stacks whose workers are scaled or stopped: how long they take, and that they were not disturbed.

And what is to be killed in the middle, however fast it is: while there is a file `held` in DATA_DIR, no export and no
forgetting gets further than a part of its rows.
"""

import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from celery import shared_task
from django.conf import settings

from jobs.durable import Durable
from jobs.library import exports
from notifications import forgetting


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


# --- To be killed in the middle ---------------------------------------------------------------------------

EXPORTED, FORGOTTEN = 0.8, 25_000  # of all rows, and customers
_chunks: Any = exports._Writer._chunks
_forget: Any = forgetting.forget
_forgotten = 0  # by this process


def while_held() -> None:
    while (Path(settings.DATA_DIR) / "held").exists():
        time.sleep(0.05)


def chunks(self: Any, place: Any) -> Iterable[list[Any]]:
    rows = place.rows
    for chunk in _chunks(self, place):
        if rows >= EXPORTED * place.total:
            while_held()
        rows += len(chunk)
        yield chunk


def forget(*asked: Any) -> Any:
    global _forgotten
    if _forgotten >= FORGOTTEN:
        while_held()
    many = _forget(*asked)
    _forgotten += many
    return many


exports._Writer._chunks = chunks  # type: ignore[method-assign]
forgetting.forget = forget  # type: ignore[assignment]
