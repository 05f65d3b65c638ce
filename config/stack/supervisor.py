"""Start processes in order, keep them alive, stop them in reverse order. Knows nothing of Punctual.

Used by stack.py (`make run`, the demo, the fault tests). One thread starts every child and lives as
long as they do, because the kernel ties a child's life to the thread that forked it (see child.py).
Promise: when the supervisor is gone, stopped or killed, none of its processes is left.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from config.stack import leftovers

CHILD = Path(__file__).with_name("child.py")
TICK = 0.05  # seconds between two looks at the children
BACKOFF = (0.5, 10.0)  # first and longest pause before a died process starts again
STEADY = 30.0  # a process that lived this long starts its backoff anew
TRIES = 3  # deaths before ever being ready, after which the start is given up
LONGEST_START = 240.0  # seconds until all are ready; longer than each may take, so that it is the one that is named
LAST_WORDS = 1.0  # seconds in which a dead process is heard out; who inherited its output may hold it open
HURRIED_GRACE = 3.0  # what a second Ctrl-C leaves a process after its last signal

Log = Callable[[str, str], None]  # process name, line


class NotReadyError(Exception):
    """A process did not become ready. The message says which, why, and shows its last lines."""


@dataclass(frozen=True)
class Process:
    """One program to keep running."""

    name: str
    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    ready: Callable[[int], bool] = lambda pid: True  # asked with its pid, in a thread, until it says yes
    after: Sequence[str] = ()  # start once these are ready
    stop: Sequence[tuple[signal.Signals, float]] = ((signal.SIGTERM, 10.0),)  # with grace; then SIGKILL
    timeout: float = 180.0  # to become ready at the first start, of a machine with much else to do


class Child:
    """What the supervisor knows of one Process. Moments are monotonic seconds."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.popen: subprocess.Popen[bytes] | None = None
        self.pump: threading.Thread | None = None  # reads what it says
        self.tail: deque[str] = deque(maxlen=20)
        self.first_started_at = 0.0
        self.started_at = 0.0
        self.start_at = 0.0
        self.starts = 0
        self.pause = BACKOFF[0]
        self.ready_pid = 0
        self.was_ready = False
        self.noted_ready_pid = 0
        self.held = False  # stays down after its next death, until up()
        self.before_restart: Callable[[], None] | None = None

    @property
    def alive(self) -> bool:
        return self.popen is not None and self.popen.poll() is None

    @property
    def ready(self) -> bool:
        return self.popen is not None and self.popen.pid == self.ready_pid and self.alive

    def hear_out(self) -> None:
        """Once it is dead: what is noted of its end comes after its last words."""
        if self.pump:
            self.pump.join(LAST_WORDS)

    def describe_exit(self) -> str:
        code = self.popen.returncode if self.popen else None
        if code is not None and code < 0:
            return f"signal {-code} ({signal.Signals(-code).name})"
        return f"exit code {code}"


class Supervisor:
    """Owns the children, in a thread of its own. Public methods may be called from any other thread."""

    def __init__(self, log: Log, *, cwd: Path, pid_file: Path | None = None) -> None:
        self._thread = threading.Thread(target=self._run, name="supervisor", daemon=True)
        self.env: dict[str, str] = {}  # for every process, above our own environment
        self.failure: NotReadyError | None = None
        self._log = log
        self._cwd = cwd
        self._pid_file = pid_file
        self._children: dict[str, Child] = {}
        self._stop_level = 0  # 1: stop; 2: hurry; 3: kill

    # --- What others call ------------------------------------------------------------------------------

    def start(self) -> None:
        self._thread.start()

    def join(self, timeout: float | None = None) -> bool:
        """True when everything has stopped."""
        if self._thread.ident is not None:  # else never started
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def add(self, processes: Iterable[Process]) -> None:
        """Add processes; they start in this order, each as soon as what it comes `after` is ready."""
        self._children = self._children | {process.name: Child(process) for process in processes}

    def request_stop(self) -> None:
        """Begin to stop; each further call hurries. Safe in a signal handler: takes no lock."""
        self._stop_level += 1

    @property
    def stopping(self) -> bool:
        return self._stop_level > 0

    def wait_ready(self, names: Iterable[str] | None = None, timeout: float = LONGEST_START) -> bool:
        """True when all (or these) are ready, False when a stop came first; raises NotReadyError."""
        wanted = list(self._children if names is None else names)
        deadline = time.monotonic() + timeout
        while late := [name for name in wanted if not self._children[name].ready]:
            if self.failure:
                raise self.failure
            if self.stopping or not self._thread.is_alive():
                return False
            if time.monotonic() > deadline:
                raise NotReadyError(f"Not ready after {timeout:.0f} s: {', '.join(late)}.")
            time.sleep(TICK)
        return True

    def is_ready(self, name: str) -> bool:
        return self._children[name].ready

    def pid(self, name: str) -> int:
        """The pid of the running process; LookupError while it is down."""
        return self._running(name).pid

    def restart_count(self, name: str) -> int:
        return max(self._children[name].starts - 1, 0)

    def kill(
        self, name: str, sig: signal.Signals = signal.SIGKILL, before_restart: Callable[[], None] | None = None
    ) -> None:
        """Send a signal to a process. `before_restart` runs between its death and its next start."""
        popen = self._running(name)
        self._children[name].before_restart = before_restart
        popen.send_signal(sig)

    def down(self, name: str, sig: signal.Signals = signal.SIGKILL) -> None:
        """Take a process away until `up`; returns when it is gone."""
        popen = self._running(name)
        self._children[name].held = True
        popen.send_signal(sig)
        while self._children[name].popen is popen:
            time.sleep(TICK)

    def up(self, name: str) -> None:
        """Let a process start again that was taken away."""
        self._children[name].start_at = 0.0
        self._children[name].held = False

    def _running(self, name: str) -> subprocess.Popen[bytes]:
        child = self._children[name]
        if child.popen is None or not child.alive:
            raise LookupError(f"{name} is not running")
        return child.popen

    # --- The loop --------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while not self.stopping:
                for child in self._children.values():
                    self._look_after(child)
                time.sleep(TICK)
        except NotReadyError as error:
            self.failure = error
            self._stop_level = max(self._stop_level, 1)
        finally:
            for child in reversed(self._children.values()):
                self._stop(child)

    def _look_after(self, child: Child) -> None:
        now = time.monotonic()
        if child.popen is None:
            if not child.held and now >= child.start_at and self._all_ready(child.process.after):
                self._start(child, now)
        elif not child.alive:
            self._died(child, now)
        elif child.ready and child.noted_ready_pid != child.ready_pid:
            child.noted_ready_pid = child.ready_pid
            self._note(child, f"ready after {now - child.started_at:.1f} s")
        elif not child.was_ready and now - child.first_started_at > child.process.timeout:
            raise self._not_ready(child, f"was not ready after {child.process.timeout:g} s")

    def _all_ready(self, names: Iterable[str]) -> bool:
        return all(self._children[name].ready for name in names if name in self._children)

    def _start(self, child: Child, now: float) -> None:
        child.starts += 1
        child.started_at = now
        child.first_started_at = child.first_started_at or now
        # A session of its own: the terminal's Ctrl-C reaches the supervisor alone, which keeps the order.
        popen = child.popen = subprocess.Popen(  # noqa: S603 - the stack's own commands
            [sys.executable, "-P", str(CHILD), *child.process.argv],
            env={**os.environ, **self.env, **child.process.env, "SUPERVISOR_PID": str(os.getpid())},
            cwd=self._cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        if self._pid_file:
            alive = (each.popen.pid for each in self._children.values() if each.popen)
            leftovers.write(self._pid_file, alive)
        child.pump, probe = (
            threading.Thread(target=target, args=(child, popen), daemon=True) for target in (self._pump, self._probe)
        )
        child.pump.start()
        probe.start()

    def _pump(self, child: Child, popen: subprocess.Popen[bytes]) -> None:
        assert popen.stdout is not None  # noqa: S101 - it is a pipe, see _start
        with popen.stdout as pipe:
            for raw in iter(lambda: pipe.readline(65_536), b""):
                if line := raw.decode(errors="replace").rstrip():
                    child.tail.append(line)
                    self._log(child.process.name, line)

    def _probe(self, child: Child, popen: subprocess.Popen[bytes]) -> None:
        while child.popen is popen and popen.returncode is None:
            if child.process.ready(popen.pid):
                child.ready_pid, child.was_ready = popen.pid, True
                return
            time.sleep(TICK)

    def _died(self, child: Child, now: float) -> None:
        how = child.describe_exit()
        if child.popen:
            leftovers.kill_group(child.popen.pid)
        child.hear_out()
        if not child.was_ready and child.starts >= TRIES:
            raise self._not_ready(child, f"died {TRIES} times before it was ready ({how})")
        if now - child.started_at > STEADY:
            child.pause = BACKOFF[0]
        if child.before_restart:
            child.before_restart()
            child.before_restart = None
        child.start_at = now + child.pause
        self._note(child, f"died: {how}; " + ("held down" if child.held else f"again in {child.pause:g} s"))
        child.pause = min(child.pause * 2, BACKOFF[1])
        child.popen = None  # last: it lets `down` return

    def _not_ready(self, child: Child, why: str) -> NotReadyError:
        lines = "\n".join(f"    {line}" for line in child.tail) or "    (it printed nothing)"
        return NotReadyError(f"{child.process.name} {why}. Its last lines:\n{lines}")

    def _note(self, child: Child, text: str) -> None:
        self._log(child.process.name, f"-- {text}")

    # --- Stopping --------------------------------------------------------------------------------------

    def _stop(self, child: Child) -> None:
        """The process's own signals with their graces, in order; then SIGKILL, for its whole group."""
        popen, started = child.popen, time.monotonic()
        if popen is None or not child.alive:
            return
        signals = child.process.stop
        for sig, grace in signals:
            popen.send_signal(sig)
            if self._wait_dead(popen, grace, last=sig == signals[-1][0]):
                break
            self._note(child, f"still here {time.monotonic() - started:.1f} s after {sig.name}")
        leftovers.kill_group(popen.pid)
        popen.wait()
        child.hear_out()
        self._note(child, f"stopped: {child.describe_exit()}, {time.monotonic() - started:.1f} s")

    def _wait_dead(self, popen: subprocess.Popen[bytes], grace: float, *, last: bool) -> bool:
        deadline = time.monotonic() + grace
        while popen.poll() is None:
            now = time.monotonic()
            if self._stop_level == 2:
                deadline = min(deadline, now + (HURRIED_GRACE if last else 0.0))
            if self._stop_level > 2 or now > deadline:
                return False
            time.sleep(TICK)
        return True
