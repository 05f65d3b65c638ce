"""A call of `manage.py jobs VERB` builds that verb's parser; whoever asks for help, or misspells, sees them all."""

from typing import Any

import pytest

from jobs.management.commands.jobs import Command

USUAL = ["manage.py", "jobs"]


def verbs(asked: str) -> set[str]:
    command = Command()
    command._asked = asked
    [said] = [one for one in command.create_parser("manage.py", "jobs")._actions if one.dest == "verb"]
    choices: Any = said.choices
    return set(choices)


def test_one_verb_is_one_parser() -> None:
    assert verbs("list") == {"list"} and verbs("import") == {"import"}


@pytest.mark.parametrize("asked", ["", "--help", "lst", "--settings"])
def test_what_is_no_verb_knows_them_all(asked: str) -> None:
    assert {"list", "cancel", "watch", "export"} <= verbs(asked)


def test_help_and_a_misspelt_verb_name_all_of_them(capsys: pytest.CaptureFixture[str]) -> None:
    for words, stream in ((["--help"], "out"), (["lst"], "err")):
        with pytest.raises(SystemExit):
            Command().run_from_argv([*USUAL, *words])
        text = getattr(capsys.readouterr(), stream)
        assert all(verb in text for verb in ("enqueue", "reschedule", "watch"))


def test_every_verb_has_the_same_help_alone_as_among_the_others() -> None:
    command = Command()
    [all_of_them] = [one for one in command.create_parser("manage.py", "jobs")._actions if one.dest == "verb"]
    choices: Any = all_of_them.choices
    for name, parser in choices.items():
        command._asked = name
        [only] = [one for one in command.create_parser("manage.py", "jobs")._actions if one.dest == "verb"]
        alone: Any = only.choices
        assert alone[name].format_help() == parser.format_help()
