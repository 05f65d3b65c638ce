"""Find and end what a killed supervisor left behind. Used by supervisor.py and stack.py.

On Linux the kernel has already done it (child.py); macOS has no such call, so the pids are kept in a file
and swept at the next start. Promise: a pid that meanwhile belongs to somebody else is never touched.
"""

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path


def birth(pid: int) -> str:
    """When the process was born, as the system says it; empty if there is none. With the pid: its identity."""
    if Path("/proc/self/stat").exists():
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
            boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        except OSError:
            return ""
        state, *rest = stat.rpartition(")")[2].split()  # the name before it may hold spaces and brackets
        return "" if state == "Z" else f"{boot} {rest[18]}"
    command = ["ps", "-o", "lstart=", "-p", str(pid)]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()  # noqa: S603


def write(pid_file: Path, pids: Iterable[int]) -> None:
    pid_file.write_text(json.dumps({pid: birth(pid) for pid in pids}))


def kill_group(pid: int) -> None:
    """Kill what is left of the process group that `pid` led: pool processes outlive a killed worker a while."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):  # macOS says the latter of zombies
        return


def sweep(pid_file: Path, timeout: float = 5.0) -> list[int]:
    """Kill the processes named in the file that still live; returns their pids once they are gone."""
    try:
        known = {int(pid): born for pid, born in json.loads(pid_file.read_text()).items()}
    except (OSError, ValueError):
        return []
    left = [pid for pid, born in known.items() if born and birth(pid) == born]
    for pid in left:
        kill_group(pid)
    deadline = time.monotonic() + timeout
    while any(birth(pid) == known[pid] for pid in left) and time.monotonic() < deadline:
        time.sleep(0.02)
    return left
