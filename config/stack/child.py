"""The first code of every process that the supervisor starts: `python -P config/stack/child.py COMMAND ...`.

Ties the process to its supervisor, then becomes the command (exec). Celery and gunicorn run in this very
interpreter: what they fork is tied to them, and worker and beat write their pid into READY_FILE once they
really work. Promise: who kills the supervisor, however hard, has killed all of this process too (on Linux;
elsewhere the next start sweeps, see leftovers.py).
"""

import ctypes
import os
import signal
import sys
from pathlib import Path

PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


def die_with_parent() -> None:
    """Have the kernel kill this process when its parent (the thread that forked it) is gone.

    SIGKILL, not SIGTERM: this is the crash path, and a worker told to stop warmly would sit on a long task
    with its broker gone. The ledger rescues what a killed worker held.
    """
    if LIBC:
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def report_ready(**_: object) -> None:
    if file := os.environ.get("READY_FILE"):
        Path(file).write_text(str(os.getpid()))


def run_here(command: list[str]) -> None:
    """Run Celery or gunicorn in this interpreter, as their own start scripts would."""
    os.register_at_fork(after_in_child=die_with_parent)  # pool processes, gunicorn's workers
    sys.path.insert(0, str(Path.cwd()))
    sys.argv = command
    if command[0] == "gunicorn":
        from gunicorn.app.wsgiapp import run  # type: ignore[import-untyped]

        run()
    else:
        from celery import signals
        from celery.__main__ import main

        signals.worker_ready.connect(report_ready)
        signals.beat_init.connect(report_ready)
        main()


if __name__ == "__main__":
    die_with_parent()
    if os.getppid() != int(os.environ["SUPERVISOR_PID"]):  # it died before we asked
        sys.exit("The supervisor is gone.")
    if sys.argv[1] in ("celery", "gunicorn"):
        run_here(sys.argv[1:])
    else:
        os.execvp(sys.argv[1], sys.argv[1:])  # noqa: S606 - the stack's own command, no shell wanted
