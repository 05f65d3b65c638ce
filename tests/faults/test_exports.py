"""Killing the process that writes an export, when it is at 60 %: another goes on, and nobody can tell by the file."""

import json
import os
import signal
from typing import Any

import pytest

from tests.faults.conftest import NO_CLOCK, Scene, until

pytestmark = [pytest.mark.faults, pytest.mark.stack]

MANY = 100_000
HOLDING = {"DJANGO_SETTINGS_MODULE": "tests.faults.slow_settings"}


def job(scene: Scene, pk: str) -> tuple[Any, ...]:
    """State, checkpoint and worker, as the database has them now."""
    (row,) = scene.select(f"SELECT state, checkpoint, worker FROM jobs_job WHERE {named(scene, pk)}")
    state, checkpoint, worker = row
    return state, json.loads(checkpoint) if isinstance(checkpoint, str) else checkpoint, worker


def named(scene: Scene, pk: str) -> str:
    sqlite = scene.stack.env["DATABASE_URL"].startswith("sqlite")
    return f"id = '{pk.replace('-', '') if sqlite else pk}'"


def at_60_percent(scene: Scene, pk: str) -> int:
    """The process that writes it, when it is that far."""
    state, checkpoint, worker = job(scene, pk)
    assert state != "succeeded", "nobody held it"
    return int(worker.rpartition(":")[2]) if checkpoint and checkpoint["rows"] >= MANY * 0.6 else 0


@pytest.mark.parametrize("form", ["csv", "json", "xlsx"])
def test_an_export_whose_process_is_killed_at_60_percent_is_the_same_byte_for_byte(make_scene, form: str) -> None:
    scene = make_scene(env=HOLDING, without=NO_CLOCK)
    held = scene.stack.data_dir / "held"  # it gets no further than to 80 %
    held.touch()
    scene.ask("customers", MANY)
    killed = scene.ask("export", form)
    scene.until(lambda: job(scene, killed)[0] in ("running", "succeeded"), "it has begun")
    os.kill(until(lambda: at_60_percent(scene, killed), "60 %"), signal.SIGKILL)
    held.unlink()
    scene.until(lambda: job(scene, killed)[0] == "succeeded", "another process has gone on")
    whole = scene.ask("export", form, killed)
    scene.until(lambda: job(scene, whole)[0] == "succeeded", "the other export")
    (*file, attempts), (*other, once) = scene.ask("exported", killed), scene.ask("exported", whole)
    assert file == other and file[2] == MANY
    assert (attempts, once) == (2, 1)
