"""How much memory processes hold. Linux tells it of all of them; elsewhere it is not known.

Used by each worker's scaler, and by the health of a web process.
"""

import os
from collections.abc import Iterable
from pathlib import Path

PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096


def resident(pids: Iterable[int]) -> int | None:
    """Bytes in memory of those that live. What they share is counted for each. None: not known here."""
    if not Path("/proc/self/statm").exists():
        return None
    return sum(_pages(pid) for pid in pids) * PAGE


def _pages(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):  # it ended just now
        return 0
