"""A task of Django's Tasks API, called in one process, run by a real worker, seen in Flower under its own name."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from config.stack import Stack
from tests.faults.conftest import ROOT, until
from tests.stack.flower import tasks
from tests.stack.ready import Ready

pytestmark = pytest.mark.stack

ENQUEUE = "print(task_probes.look_around.using(priority=7).enqueue('hi').id)"
LOOK = "r = task_probes.look_around.get_result({!r}); print(json.dumps([r.status, r._return_value, r.worker_ids]))"


def ask(stack: Stack, code: str) -> str:
    """What the code prints in a process of its own, with the stack's environment."""
    whole = f"import json, django; django.setup(); from tests import task_probes; {code}"
    environment = os.environ | stack.env | {"DJANGO_SETTINGS_MODULE": "config.settings"}
    answer = subprocess.run(
        [sys.executable, "-c", whole], env=environment, cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    assert answer.returncode == 0, answer.stderr
    return answer.stdout.strip()


def test_a_worker_runs_it_and_flower_shows_its_name(tmp_path: Path) -> None:
    with Ready(tmp_path / "data", log=tmp_path / "log", without={"web"}) as stack:
        stack.wait_ready()
        pk = ask(stack, ENQUEUE)

        def finished() -> Any:
            found = json.loads(ask(stack, LOOK.format(pk)))
            return found if found[0] in ("SUCCESSFUL", "FAILED") else None

        status, value, workers = until(finished, "the task has run")
        path = "tests.task_probes.look_around"
        assert (status, value) == ("SUCCESSFUL", ["hi", pk, "RUNNING", 1, path])
        assert len(workers) == 1
        until(lambda: tasks(stack).get(pk, {}).get("state") == "SUCCESS", "Flower shows its end")
        assert tasks(stack)[pk]["name"] == path
