"""docs/custom-jobs.md is executed: its kind, its calls, its tests; and a type checker sees what is wrong in a call."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from jobs import aliases, registry
from jobs.models import Job
from tests.installation import ROOT

BLOCKS = re.findall(r"```python\n(.+?)```", (ROOT / "docs/custom-jobs.md").read_text(), re.S)
KIND, CALLS, TESTS = BLOCKS

SAMPLE = """
from jobs.durable import Durable
from jobs.typed import durable


@durable
def plain(photo: int, *, size: int = 64) -> str:
    return ""


@durable(bind=True, max_retries=5)
def bound(self: Durable, photo: int) -> None: ...


plain.delay(7)
plain.delay(7, size=256)
plain.schedule("in 30 minutes", 7)
bound.delay(7)
length: int = len(plain(7))
plain.delay("seven")  # wrong
plain.delay(7, colour="red")  # wrong
plain.schedule("in 30 minutes")  # wrong
bound.delay()  # wrong
number: int = plain(7)  # wrong
"""


@pytest.fixture(scope="module")
def shop() -> dict[str, Any]:
    """The module that the page's code is."""
    names: dict[str, Any] = {"__name__": "shop.tasks"}
    exec(compile(KIND, "docs/custom-jobs.md", "exec"), names)
    exec(compile(TESTS, "docs/custom-jobs.md", "exec"), names)
    return names


def test_an_app_of_ones_own_is_found(tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop/__init__.py").touch()
    (tmp_path / "shop/tasks.py").write_text(KIND)
    (tmp_path / "with_shop.py").write_text('from config.settings import *\n\nINSTALLED_APPS += ["shop"]\n')
    env = {"PYTHONPATH": str(tmp_path), "DJANGO_SETTINGS_MODULE": "with_shop", "DATA_DIR": str(tmp_path)}
    env |= {"ENV_FILE": os.devnull, "SECRET_KEY": "x7" + "of-ones-own" * 6}
    command = [sys.executable, "manage.py", "jobs", "types", "shop.thumbnails"]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert '"photo_processing"' in done.stdout


def test_the_kind_takes_ten_lines() -> None:
    body = KIND.split("@durable")[1].split("\n\n\n")[0]
    assert len(body.strip().splitlines()) <= 10


@pytest.mark.parametrize("name", re.findall(r"^def (test_\w+)", TESTS, re.M))
@pytest.mark.django_db
def test_its_tests_pass(shop: dict[str, Any], name: str) -> None:
    shop[name](None)
    assert Job.objects.exists()


@pytest.mark.django_db
def test_its_calls_make_jobs_and_its_other_name_means_it(shop: dict[str, Any]) -> None:
    exec(compile(CALLS, "docs/custom-jobs.md", "exec"), shop)
    assert set(Job.objects.values_list("task", flat=True)) == {"shop.thumbnails"}
    assert Job.objects.count() == 3
    assert aliases.meant("PHOTO_PROCESSING") == "shop.thumbnails" in registry.names()


def test_mypy_knows_the_arguments_of_a_call_and_the_page_has_none_that_are_wrong(tmp_path: Path) -> None:
    sample, page = tmp_path / "sample.py", tmp_path / "page.py"
    sample.write_text(SAMPLE)
    page.write_text(KIND + CALLS)
    words = [sys.executable, "-m", "mypy", "--no-error-summary", "--hide-error-context", str(sample), str(page)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    wrong = {n for n, line in enumerate(SAMPLE.splitlines(), 1) if line.endswith("# wrong")}
    found = {int(n) for n in re.findall(r"sample\.py:(\d+): error", done.stdout)}
    assert found == wrong, done.stdout + done.stderr
    assert "page.py" not in done.stdout
