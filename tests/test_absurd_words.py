"""What nobody means, given to each argument of each command: a clear complaint and a documented exit code, always."""

import argparse
import shlex
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command, get_commands, load_command_class
from django.core.management.base import BaseCommand

from config.command_line import USAGE, complaint

pytestmark = pytest.mark.django_db

ABSURD = (
    *("0", "-1", "1" + "0" * 30, "NaN", "inf", "1e9", "99999-12-31", "9999-12-31", "0001-01-01", "999999d"),
    *("0s", "999999999999d ago", "in 99999999999 years", "P999999999D", "", " ", "🦄", "x" * 5_000, "9" * 5_000),
    *("'; DROP TABLE jobs_job; --", "\udcff", "\x1b[2J", "[" * 50_000, '{"a": NaN}', '{"a": "\\u0000"}', "@/", "../.."),
)
DOCUMENTED = {0, 1, 2, 3}
OURS = ("config", "jobs", "notifications")
# They write files of the installation or of the source, or become a stack of their own: not with any words at all.
NOT_HERE = {"catalogue", "demo", "prepare", "ensure_admin"}
# What each needs beside the one word that is absurd.
NEEDED = {
    "jobs cancel": "--every-job --dry-run",
    "jobs retry": "--every-job --dry-run",
    "jobs run-now": "--every-job --dry-run",
    "jobs reschedule": "--every-job --dry-run --to tomorrow",
    "jobs clean": "failed --older 1d --dry-run",
    "jobs drain": "default",
    "jobs pause": "queue default",
    "jobs resume": "queue default",
    "jobs scale": "default 2",
    "jobs enqueue": "probe.ok",
    "jobs schedule": "probe.ok tomorrow",
    "jobs show": "nothing",
    "jobs watch": "--once",
    "jobs export": "-",
    "jobs import": "/dev/null --dry-run",
    "api_key make": "site jobs:read",
    "api_key rotate": "pk_none",
    "api_key revoke": "pk_none",
    "why": "17",
    "report": "day",
    "simulate": "--days 1",
    "send_test": "inbox 17",
    "import_bookings": "/dev/null --dry-run",
    "import_payments": "/dev/null --dry-run",
}
PLACES = {name: shlex.split(words) for name, words in NEEDED.items()}


def parsers(command: BaseCommand, name: str) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """The parser of the command, or of each of its verbs."""
    parser = command.create_parser("manage.py", name)
    verbs = [one for one in parser._actions if isinstance(one, argparse._SubParsersAction)]
    if not verbs:
        yield name, parser
    for one in verbs:
        for verb, inner in one.choices.items():
            yield f"{name} {verb}", inner


COMMANDS = {
    name: parser
    for command, app in get_commands().items()
    if app in OURS
    for name, parser in parsers(load_command_class(app, command), command)
}
STANDARD = {action.dest for action in BaseCommand().create_parser("manage.py", "x")._actions}


def cases(name: str) -> Iterator[list[str]]:
    """The words of a call for each argument that takes a value."""
    taken = [action for action in COMMANDS[name]._actions if action.nargs != 0 and action.dest not in STANDARD]
    words, place = PLACES.get(name, []), 0
    for action in taken:
        for absurd in ABSURD:
            if action.option_strings:
                yield [*words, f"{action.option_strings[-1]}={absurd}"]
            elif absurd and not absurd.startswith("-"):  # which argparse takes for an option
                yield [*words[:place], absurd, *words[place + 1 :]]
        place += not action.option_strings


@pytest.mark.parametrize("name", sorted(set(COMMANDS) - NOT_HERE))
def test_what_nobody_means_is_refused_in_a_line(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsysbinary: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    for words in cases(name):
        code, said = call(name, words)
        shown = f"{name} {' '.join(words)[:200]!r}"
        assert code in DOCUMENTED, shown
        assert not code or said.strip(), shown
        assert all(len(line) < 1_500 for line in said.splitlines()) or "There are" in said, shown


def call(name: str, words: list[str]) -> tuple[int, str]:
    command, *verb = name.split(" ")
    if said := complaint([command, *verb, *words]):  # as manage.py does
        return USAGE, said
    try:
        call_command(command, *verb, *words, stdout=StringIO(), stderr=StringIO())
    except CommandError as exc:
        return exc.returncode, str(exc)
    except SystemExit as exc:
        return int(exc.code or 0), "ended"
    return 0, ""
