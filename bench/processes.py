"""What other processes have cost so far, in seconds of processor time and bytes of memory, as Linux counts it.

Used by the benches. Where others share the machine, the time by the clock says how much of it was left over; the
processor time says what the work costs. Elsewhere than on Linux all of it is nought.
"""

import os
from collections.abc import Iterable
from pathlib import Path

PROC = Path("/proc")


def family(pid: int) -> list[int]:
    """The process and its children, as they are now."""
    parents = {int(path.name): _stat(int(path.name)) for path in PROC.glob("[0-9]*")}
    return [pid, *(child for child, stat in parents.items() if stat and int(stat[1]) == pid)]


def seconds(pids: Iterable[int]) -> float:
    """Of these processes, and of children of theirs that have ended."""
    ticks = sum(int(part) for pid in pids for part in _stat(pid)[11:15])
    return ticks / os.sysconf("SC_CLK_TCK")


def memory(pids: Iterable[int]) -> int:
    """Resident memory of these processes that is theirs alone, in bytes."""
    lines = (line for pid in pids for line in _read(PROC / str(pid) / "smaps_rollup").splitlines())
    return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith(("Private_Clean", "Private_Dirty")))


def _stat(pid: int) -> list[str]:
    """What follows the name: state, parent, ..."""
    return _read(PROC / str(pid) / "stat").rpartition(")")[2].split()


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:  # it has ended, or there is no /proc
        return ""
