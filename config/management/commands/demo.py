"""`manage.py demo` (`make demo`): shows within a minute what Punctual does, and proves it. See config/demo/demo.py.

Runs twice: Django reads its settings before a command can choose a database, so the first run only makes the
throw-away directory and becomes (exec) the second, whose settings are that directory's and nobody else's.
"""

import os
import secrets
import shutil
import sys
import tempfile
from argparse import SUPPRESS, ArgumentParser
from datetime import timedelta
from pathlib import Path
from typing import Any, NoReturn

from django.core.management.base import CommandError
from rich.console import Console

from config.environment import BASE_DIR
from jobs.management.operator import OperatorCommand

# Settings of the user's own installation that must not reach the demo's.
FOREIGN = ("DATABASE_URL", "BROKER_URL", "EMAIL_URL", "PUBLIC_URL", "SECRET_KEY")


class Command(OperatorCommand):
    help = (
        "Start a stack of its own on a throw-away directory, import the sample files, cancel, move and pay something "
        "while reminders go out, and compare the database with the mails that arrived. Exit code 0: all is right."
    )
    requires_system_checks = []  # the user's own settings are not the demo's

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--seconds", type=float, default=30, help="how long it shows what happens (default: 30)")
        parser.add_argument("--chaos", action="store_true", help="kill the worker under way")
        parser.add_argument("--keep", action="store_true", help="keep the directory, with database and log")
        parser.add_argument("--directory", type=Path, help=SUPPRESS)  # set by the first of the two runs

    def handle(self, *args: Any, **options: Any) -> None:
        if not 10 <= options["seconds"] <= 3600:
            raise CommandError(f"--seconds {options['seconds']:g} is not between 10 and 3600.")
        if options["directory"] is None:
            _become_the_demo(options)
        else:
            _run(options)


def _become_the_demo(options: dict[str, Any]) -> NoReturn:
    try:
        directory = tempfile.mkdtemp(prefix="punctual-demo-")
    except OSError as error:
        raise CommandError(f"There is no room for a throw-away directory (TMPDIR): {error}") from error
    env = {name: value for name, value in os.environ.items() if name.removesuffix("_FILE") not in FOREIGN}
    env |= {"ENV_FILE": os.devnull, "DATA_DIR": directory, "SECRET_KEY": secrets.token_urlsafe(48)}
    flags = [f"--{name}" for name in ("chaos", "keep") if options[name]]
    command = [str(BASE_DIR / "manage.py"), "demo", f"--seconds={options['seconds']:g}", *flags]
    sys.stdout.flush()
    os.execve(sys.executable, [sys.executable, *command, f"--directory={directory}"], env)  # noqa: S606 - ourselves


def _run(options: dict[str, Any]) -> None:
    from config.demo.demo import DEMO_ERRORS, Demo, Interrupted, Options

    console, directory = Console(), options["directory"]
    keep = options["keep"]
    try:
        kept = Demo(Options(directory, timedelta(seconds=options["seconds"]), options["chaos"]), console).run()
        keep = keep or not kept  # there is something to find out
    except (Interrupted, KeyboardInterrupt):
        raise CommandError("Interrupted.", returncode=130) from None
    except DEMO_ERRORS as error:
        raise CommandError(str(error)) from error
    finally:
        if keep:
            console.print(f"\nDatabase and log are kept in {directory}", markup=False, soft_wrap=True, highlight=False)
        else:
            shutil.rmtree(directory, ignore_errors=True)
    if not kept:
        raise CommandError("The demo did not go as promised.")
