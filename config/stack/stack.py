"""Punctual as one command: `python -m config.stack` is what `make run` runs; tests and the demo use Stack.

    with Stack(data_dir, without={"flower"}, log=path) as stack:
        stack.wait_ready()
        stack.kill("worker")

Promise: either all of it runs, or nothing does and the last line says why.
"""

import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from types import FrameType
from typing import IO, Self

from config.stack import broker, dotenv, leftovers
from config.stack.console import LogFile, Terminal
from config.stack.installation import Installation, InstallationError, closed_off, configured, without_password
from config.stack.ports import Held, PortError
from config.stack.programs import NAMES, broker_program, programs
from config.stack.supervisor import CHILD, LONGEST_START, TICK, Log, NotReadyError, Supervisor

BASE_DIR = Path(__file__).resolve().parents[2]
ABOVE = "`manage.py prepare` failed; its lines above say why."
DEBOUNCE = 0.5  # seconds; one Ctrl-C or `kill` may reach us twice, from the terminal and from make


class StackError(Exception):
    """It cannot start. The message says what to do."""


class Stack:
    """All processes of Punctual over one data directory, on free ports, closed off from `.env`.

    Database and broker are the directory's own unless their URLs are given. `env` are settings, as
    environment variables. `copies={"beat": 5}` starts beat, beat2 ... beat5. `ports="configured"` is
    what `make run` uses: ports and settings from `env_file` and the environment, questions on the terminal.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        env: Mapping[str, str] | None = None,
        ports: str = "free",
        log: Path | Log | None = None,
        without: Collection[str] = (),
        copies: Mapping[str, int] | None = None,
        database_url: str = "",
        broker_url: str = "",
        env_file: Path = BASE_DIR / ".env",
    ) -> None:
        if unknown := {*without, *(copies or {})} - {*NAMES}:
            raise ValueError(f"No such process: {', '.join(sorted(unknown))}. There are {', '.join(NAMES)}.")
        self.data_dir = data_dir.absolute()
        self._given = dict(env or {})
        self._given |= {k: v for k, v in (("DATABASE_URL", database_url), ("BROKER_URL", broker_url)) if v}
        self._configured = ports == "configured"
        self._without = set(without)
        self._copies = dict(copies or {})
        self._env_file = env_file
        self._log = LogFile(log).log if isinstance(log, Path) else log or Terminal().log
        self._held: list[IO[str] | Held] = []  # the lock, and the ports
        self._installation: Installation | None = None
        self._run_dir = self.data_dir / "run"
        self._pid_file = self._run_dir / "pids.json"
        self._supervisor = Supervisor(self._log, cwd=BASE_DIR, pid_file=self._pid_file)

    @property
    def installation(self) -> Installation:
        """Ports, environment and addresses, as decided by `start`."""
        if self._installation is None:
            raise RuntimeError("The stack has not been started.")
        return self._installation

    @property
    def urls(self) -> dict[str, str]:
        """Addresses of site, admin, flower, broker, database and mail."""
        return self.installation.urls

    @property
    def env(self) -> dict[str, str]:
        """What a process needs in its environment to be one of this stack (for `manage.py` in tests)."""
        return self.installation.env

    @property
    def admin(self) -> tuple[str, str]:
        """Name and password of the admin user; empty with `ports="configured"`."""
        return self.installation.admin

    # --- Starting and stopping -------------------------------------------------------------------------

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start everything, in order; `wait_ready` waits for it. Raises what START_ERRORS names."""
        try:
            self._take_lock()
            leftovers.sweep(self._pid_file)
            if self._configured:
                made = configured(self.data_dir, self._env_file, self._given, self._without)
            else:
                made = closed_off(self.data_dir, self._given, self._without)
            self._installation = made
            self._held += [made.ports.held] if made.ports.held else []
            self._supervisor.env = made.env
            self._supervisor.start()
            if "broker" not in made.without:
                self._supervisor.add([broker_program(self.data_dir / "valkey", made.ports.broker)])
            self._prepare(made)
            self._supervisor.wait_ready()
            # Together, not one after the other: each spends a second or two of its own on imports.
            self._supervisor.add(programs(self._run_dir, made, self._copies))
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop everything in reverse order; returns when it is gone."""
        if not self._supervisor.stopping:
            self._supervisor.request_stop()
        self._supervisor.join()
        while self._held:
            self._held.pop().close()

    def request_stop(self) -> None:
        """Begin to stop, from a signal handler; each further call hurries."""
        self._supervisor.request_stop()

    @property
    def stopping(self) -> bool:
        return self._supervisor.stopping

    @property
    def failure(self) -> NotReadyError | None:
        return self._supervisor.failure

    def join(self, timeout: float | None = None) -> bool:
        """True when it has stopped."""
        return self._supervisor.join(timeout)

    def wait_ready(self, names: Iterable[str] | None = None, timeout: float = LONGEST_START) -> bool:
        """True when all (or these) work, False when a stop came first; raises NotReadyError."""
        return self._supervisor.wait_ready(names, timeout)

    # --- Accidents, for tests --------------------------------------------------------------------------

    def pid(self, name: str) -> int:
        """The pid of the running process; LookupError while it is down."""
        return self._supervisor.pid(name)

    def is_ready(self, name: str) -> bool:
        return self._supervisor.is_ready(name)

    def restart_count(self, name: str) -> int:
        return self._supervisor.restart_count(name)

    def kill(self, name: str, sig: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal to the process; the supervisor starts it again when it dies."""
        self._supervisor.kill(name, sig)

    def down(self, name: str, sig: signal.Signals = signal.SIGKILL) -> None:
        """Take the process away until `up`; returns when it is gone."""
        self._supervisor.down(name, sig)

    def up(self, name: str) -> None:
        self._supervisor.up(name)

    def wipe_broker(self) -> None:
        """Kill the broker, delete all it stored; returns when the empty one answers."""
        self.down("broker")
        broker.wipe(self.data_dir / "valkey")
        self.up("broker")
        self.wait_ready(["broker"])

    # --- The steps of a start --------------------------------------------------------------------------

    def _take_lock(self) -> None:
        """Two stacks over one directory would write one AOF with two brokers."""
        try:
            self.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)  # customers' names are in there
            self._run_dir.mkdir(exist_ok=True)
            lock = (self._run_dir / "lock").open("a+")
        except OSError as error:
            raise StackError(f"{error}. Let this user write in DATA_DIR, or set another.") from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            owner = lock.read().strip() or "?"
            lock.close()
            advice = "Stop it, or set another DATA_DIR."
            raise StackError(f"Punctual already runs in {self.data_dir} (pid {owner}). {advice}") from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        self._held.append(lock)

    def _prepare(self, made: Installation) -> None:
        """Migrations, static files, admin user: `manage.py prepare`, which may ask on the terminal."""
        options = ["--no-static"] if "web" in made.without else []
        prepare = subprocess.Popen(  # noqa: S603 - our own command
            [sys.executable, "-P", str(CHILD), sys.executable, "manage.py", "prepare", *options],
            env={**os.environ, **made.env, "SUPERVISOR_PID": str(os.getpid())},
            cwd=BASE_DIR,
            stdin=None if self._configured else subprocess.DEVNULL,
            stdout=None if self._configured else subprocess.PIPE,
            stderr=None if self._configured else subprocess.STDOUT,
            text=True,
        )
        said: list[str] = []
        relay = threading.Thread(target=self._relay, args=(prepare.stdout, said), daemon=True)
        relay.start()
        while prepare.poll() is None:
            if self.stopping:
                prepare.terminate()
            time.sleep(TICK)
        if self.failure:
            raise self.failure
        if prepare.returncode and not self.stopping:
            relay.join(timeout=1.0)
            raise StackError("\n".join(["`manage.py prepare` failed. Its last lines:", *said[-5:]]) if said else ABOVE)

    def _relay(self, output: IO[str] | None, said: list[str]) -> None:
        for line in output or ():
            said.append(line.rstrip())
            self._log("prepare", said[-1])
        if output:
            output.close()


START_ERRORS = (StackError, InstallationError, PortError, NotReadyError, broker.NoBrokerError)


# --- make run ------------------------------------------------------------------------------------------


def main() -> int:
    """Run until a signal. 0 after a clean stop, 1 when it could not start."""
    terminal, began = Terminal(), time.monotonic()
    env_file = Path(os.environ.get("ENV_FILE", BASE_DIR / ".env"))
    try:
        if dotenv.write_when_missing(env_file):
            terminal.say(f"Wrote {env_file} with new secrets.")
        values = {**dotenv.read(env_file), **os.environ}
    except OSError as error:
        terminal.say(f"{error}. Let this user read and write that file, or set ENV_FILE to another.")
        return 1
    data_dir = Path(values.get("DATA_DIR") or BASE_DIR / "data")
    stack = Stack(data_dir, ports="configured", log=terminal.log, env_file=env_file)
    stop_on_signals(stack)
    try:
        with stack:
            if stack.wait_ready():
                _show(stack, terminal, time.monotonic() - began)
            while not stack.join(timeout=1.0):
                pass
    except START_ERRORS as error:
        terminal.say(f"\n{error}")
        return 1
    return 1 if stack.failure else 0


def stop_on_signals(stack: Stack) -> None:
    """Ctrl-C and `kill` stop it, and hurry it when they come again."""
    last = 0.0

    def stop(signum: int, frame: FrameType | None) -> None:
        nonlocal last
        if time.monotonic() - last > DEBOUNCE:
            stack.request_stop()
        last = time.monotonic()

    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(signum) is not signal.SIG_IGN:  # nohup stays nohup
            signal.signal(signum, stop)


def _show(stack: Stack, terminal: Terminal, seconds: float) -> None:
    urls = stack.urls
    rows = {
        "Site": urls["site"],
        "Admin": urls["admin"],
        "Flower": f"{urls['flower']}  ({stack.installation.flower_login})",
        "Mail": without_password(urls["mail"]),
        "Broker": without_password(urls["broker"]),
        "Database": without_password(urls["database"]),
    }
    terminal.table(f"Punctual is ready after {seconds:.1f} s. Ctrl-C stops it.", rows)
