"""`manage.py send_test CHANNEL ADDRESS`: one message through a real channel, to see whether it works.

Shows what the provider said. It is on record as a test, and there are only a few a minute. Exit codes: 0 the provider
took it; 1 it did not, or nobody knows; 2 that is no address of the channel, nothing was sent; 3 too many for now.
"""

import getpass
import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError
from django.utils.translation import override

from jobs.management.operator import OperatorCommand
from notifications import trials
from notifications.channels import CHANNELS

ADDRESSES = "an email address, +491701234567, https://..., or for inbox the number of a customer"


def login() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container whose user has no name
        return "command line"


class Command(OperatorCommand):
    help = "Send one message by a channel to any address, and show what its provider said."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("channel", choices=sorted(CHANNELS))
        parser.add_argument("address", help=ADDRESSES)
        parser.add_argument("--json", action="store_true", help="a JSON object instead of a sentence")
        parser.add_argument("--by", default=login(), help="who asks (default: your login)")

    def handle(self, *args: Any, **options: Any) -> None:
        with override("en"):
            try:
                trial = trials.send_plain(options["channel"], options["address"], options["by"][:150])
            except ValueError as exc:
                raise CommandError(f"{exc} ADDRESS is {ADDRESSES}.", returncode=2) from None
            except trials.TooMany as exc:
                raise CommandError(str(exc), returncode=3) from None
        taken = trial.answer.startswith("taken")
        if options["json"]:
            self.stdout.write(json.dumps({"channel": options["channel"], "taken": taken, "answer": trial.answer}))
        if not taken:
            raise CommandError(trial.answer)
        if not options["json"]:
            self.stdout.write(trial.answer)
