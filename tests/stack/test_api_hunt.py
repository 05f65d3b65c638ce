"""A short hunt through the API of a real server; `python -m tests.api.hunt` is the long one."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.stack


def test_nothing_that_is_asked_of_the_api_is_a_mistake_of_ours() -> None:
    env = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "BROKER_URL")}
    command = [sys.executable, "-m", "tests.api.hunt", "--examples", "2", "--phases", "examples,fuzzing,stateful"]
    ended = subprocess.run(
        [*command, "--seed", "7"], cwd=Path(__file__).parents[2], env=env, capture_output=True, text=True, timeout=1800
    )
    found = re.search(r"(\d+) requests, (\d+) server errors", ended.stdout)
    assert found, ended.stdout[-5_000:] + ended.stderr[-5_000:]
    assert ended.returncode == 0, ended.stdout[-20_000:]
    assert int(found[1]) > 200
    assert int(found[2]) == 0
