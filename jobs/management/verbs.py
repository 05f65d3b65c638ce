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


class Only:
    """Subparsers of which one verb is asked for: to build the others' is half of the time that a command takes."""

    def __init__(self, verbs: Any, asked: str) -> None:
        self._verbs, self._asked = verbs, asked

    def add_parser(self, name: str, **said: Any) -> Any:
        return self._verbs.add_parser(name, **said) if name == self._asked else _Nobody()


class _Nobody:
    """Takes whatever a parser is told."""

    def __getattr__(self, _name: str) -> Callable[..., Any]:
        return self._told

    def _told(self, *_: Any, **__: Any) -> "_Nobody":
        return self
