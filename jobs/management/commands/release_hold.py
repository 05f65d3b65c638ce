"""`manage.py release_hold`: send again, after the database's clock had jumped and somebody has looked at it.

The log and the admin's clock page say why nothing was sent.
"""

from argparse import ArgumentParser
from typing import Any

from jobs import ticks
from jobs.management import terminal
from jobs.management.operator import OperatorCommand
from jobs.management.terminal import Terminal


class Command(OperatorCommand):
    help = "Believe the database's clock again and send what is due."

    def add_arguments(self, parser: ArgumentParser) -> None:
        terminal.add_options(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        released = ticks.release("by manage.py release_hold")
        said = "Released: what is due goes out with the next tick." if released else "Nothing was held."
        Terminal(self, options).say(said, released=released)
