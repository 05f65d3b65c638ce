"""A verb of `manage.py jobs`: its parser, and the function that does it.

Used by the files beside this one, each of which adds a group of verbs.
"""

from argparse import ArgumentParser
from collections.abc import Callable, Mapping
from typing import Any

from jobs.management import terminal
from jobs.management.terminal import Terminal

Act = Callable[[Mapping[str, Any], Terminal], None]


def verb(verbs: Any, name: str, act: Act, about: str) -> ArgumentParser:
    """`verbs` is what argparse calls subparsers."""
    parser: ArgumentParser = verbs.add_parser(name, help=about, description=f"{about[0].upper()}{about[1:]}.")
    parser.set_defaults(act=act)
    terminal.add_options(parser)
    return parser
