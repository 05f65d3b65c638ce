"""What all commands of ours have in common."""

from importlib import import_module

import pytest
from django.core.management import get_commands
from django.core.management.base import CommandError

from config.management.commands import config
from jobs.management.operator import OperatorCommand

OURS = sorted((name, app) for name, app in get_commands().items() if app in ("config", "jobs", "notifications"))


@pytest.mark.parametrize(("name", "app"), OURS, ids=[name for name, _ in OURS])
def test_every_command_of_an_operator_begins_and_ends_alike(name: str, app: str) -> None:
    command = import_module(f"{app}.management.commands.{name}").Command
    assert issubclass(command, OperatorCommand) or name == "catalogue", "which is for who translates"


def test_an_error_is_a_sentence_and_not_the_name_of_a_class(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        config.Command().run_from_argv(["manage.py", "config", "NO_SUCH_VARIABLE"])
    assert (left.value.code, capsys.readouterr().err) == (3, "Error: The settings read no variable NO_SUCH_VARIABLE.\n")


def test_code_that_calls_a_command_gets_the_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(CommandError, match="no variable NO_SUCH_VARIABLE"):
        config.Command().run_from_argv(["manage.py", "config", "NO_SUCH_VARIABLE", "--traceback"])
