"""What a piece of work costs: seconds on the clock, seconds of this process, statements to the database.

Used by the benches that measure verbs. The seconds of this process are those that others on the machine do not make
longer. Call it when Django is set up.
"""

import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass
class Cost:
    seconds: float
    own: float
    statements: int


class _Statements:
    """Counts without keeping them."""

    def __init__(self) -> None:
        self.number = 0

    def __call__(self, execute: Any, *args: Any) -> Any:
        self.number += 1
        return execute(*args)


def cost(act: Callable[[], T]) -> tuple[T, Cost]:
    """What it answered, and what it cost."""
    from django.db import connection

    statements = _Statements()
    began, used = time.monotonic(), time.process_time()
    with connection.execute_wrapper(statements):
        answer = act()
    return answer, Cost(time.monotonic() - began, time.process_time() - used, statements.number)


def peak() -> float:
    """Megabytes that this process has held at the most.

    From Linux, where it says so: getrusage counts those of the process that it was forked from as well.
    """
    status = Path("/proc/self/status")
    if status.exists():
        return int(status.read_text().partition("VmHWM:")[2].split()[0]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024**2 if sys.platform == "darwin" else 1024)
