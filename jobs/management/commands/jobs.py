"""`manage.py jobs VERB`: everything about jobs from the command line. `jobs VERB --help` tells more; docs/cli.md too.

    manage.py jobs list --state failed          show ID    types    stats    queues    workers    watch
    manage.py jobs enqueue TASK --data '{}'     schedule TASK "in 30 minutes"
    manage.py jobs cancel ID                    retry --state failed --task TASK    run-now    reschedule
    manage.py jobs pause queue messages         resume    drain    scale messages 8    clean succeeded --older 7d
    manage.py jobs export FILE                  import FILE    keep FILE    fetch ID FILE

Exit codes: 0 done; 1 an error, or not all of it could be done; 2 wrong usage, nothing was done; 3 nothing found, or not
(yet) done; 130 interrupted.
"""

import os
import sys
from argparse import ArgumentParser
from typing import Any

from celery import current_app
from django.core.management.base import CommandError, CommandParser

from jobs.connections import AWAY
from jobs.management import figures, filing, looking, making, moving, ordering, stopping, tidying, watching
from jobs.management.operator import OperatorCommand
from jobs.management.terminal import ERROR, Terminal
from jobs.management.verbs import Only

GROUPS = (looking, making, ordering, stopping, tidying, moving, filing, figures, watching)
INTERRUPTED = 130
CODES = (
    "On a terminal: tables and sentences. In a pipe, and with --json: one JSON object a line. Exit codes: 0 done; "
    "1 an error, or not all of it could be done; 2 wrong usage, nothing was done; 3 nothing found, or not (yet) done; "
    "130 interrupted."
)


class Command(OperatorCommand):
    help = "Look at jobs, make them, and tell them what to do."

    _asked = ""

    def run_from_argv(self, argv: list[str]) -> None:
        self._asked = argv[2] if len(argv) > 2 else ""
        super().run_from_argv(argv)

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        return super().create_parser(prog_name, subcommand, epilog=CODES, **kwargs)

    def add_arguments(self, parser: ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
        for group in GROUPS:
            group.add(Only(verbs, self._asked))
        if not verbs.choices:  # help, a word that is no verb, or a call by code: they need all
            for group in GROUPS:
                group.add(verbs)

    def handle(self, *args: Any, **options: Any) -> None:
        current_app.loader.import_default_modules()  # the tasks that workers know
        try:
            options["act"](options, Terminal(self, options))
        except BrokenPipeError:  # `jobs list | head`
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else the interpreter complains at its end
        except AWAY as exc:
            raise CommandError(f"The database failed: {exc}".strip(), returncode=ERROR) from exc
        except KeyboardInterrupt:
            raise CommandError("Interrupted.", returncode=INTERRUPTED) from None
