"""The README is executed: its commands run, its code compiles, the files it names exist."""

import ast
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
COMMANDS = re.findall(r"^\$ (.+)$", README, re.M)
MANAGE = ".venv/bin/python manage.py "


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a new installation, migrated."""
    data = tmp_path_factory.mktemp("readme")
    env = os.environ | {"ENV_FILE": os.devnull, "DATA_DIR": str(data), "SECRET_KEY": "x7" + "readme-q" * 8}
    env |= {"DATABASE_URL": f"sqlite:///{data / 'db.sqlite3'}", "DJANGO_SETTINGS_MODULE": "config.settings"}
    manage("migrate --verbosity 0", env)
    return env


def manage(words: str, env: dict[str, str]) -> str:
    done = subprocess.run(
        [sys.executable, "manage.py", *shlex.split(words)], cwd=ROOT, env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_every_command_is_known_to_this_test() -> None:
    assert COMMANDS
    assert not [command for command in COMMANDS if not command.startswith(("make ", MANAGE))]


@pytest.mark.parametrize("target", [command[5:] for command in COMMANDS if command.startswith("make ")])
def test_make_knows_the_target_and_explains_it(target: str) -> None:
    assert re.search(rf"^{target}:.*## ", (ROOT / "Makefile").read_text(), re.M)


def test_the_manage_commands_run_in_their_order(installed: dict[str, str]) -> None:
    for command in COMMANDS:
        if command.startswith(MANAGE):
            assert manage(command.removeprefix(MANAGE), installed), f"{command} says nothing"


def test_the_python_examples_compile() -> None:
    blocks = re.findall(r"```python\n(.+?)```", README, re.S)
    assert len(blocks) >= 2
    for block in blocks:
        ast.parse(block)


def test_every_variable_is_explained_in_the_example_environment() -> None:
    example = (ROOT / ".env.example").read_text()
    for name in re.findall(r"^\| `([A-Z_]+)`", README, re.M):
        assert re.search(rf"^#? ?{name}=", example, re.M), name


def test_every_file_it_names_exists() -> None:
    for name in re.findall(r"`((?:jobs|notifications|config|tests)/[\w/.]+)`", README):
        assert (ROOT / name).exists(), name
    for name in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / name).exists(), name


def test_it_leads_to_every_page() -> None:
    pages = {f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md")}
    assert pages <= set(re.findall(r"\]\(([^)#:]+)\)", README))


def test_it_can_be_read_in_one_sitting() -> None:
    assert len(README.splitlines()) < 200
