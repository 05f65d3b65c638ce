"""Killing the process that forgets customers, in the middle: another goes on, and the end is as if nothing had been."""

import os
import signal

import pytest

from tests.faults.conftest import NO_CLOCK, Scene, until
from tests.faults.test_exports import HOLDING, job, named

pytestmark = [pytest.mark.faults, pytest.mark.stack]

MANY = 50_000


def in_the_middle(scene: Scene, pk: str) -> int:
    """The process that does it, when some of them are forgotten and some are not."""
    state, _checkpoint, worker = job(scene, pk)
    assert state != "succeeded", "nobody held it"
    ((forgotten,),) = scene.select("SELECT count(*) FROM notifications_customer WHERE email = ''")
    return int(worker.rpartition(":")[2]) if 0 < forgotten < MANY * 3 / 4 else 0


def test_a_clean_up_whose_process_is_killed_ends_as_one_that_was_not(make_scene) -> None:
    scene = make_scene(env=HOLDING, without=NO_CLOCK)
    held = scene.stack.data_dir / "held"  # it gets no further than to the half
    held.touch()
    pk = scene.ask("former", MANY)
    scene.until(lambda: job(scene, pk)[0] in ("running", "succeeded"), "it has begun")
    os.kill(until(lambda: in_the_middle(scene, pk), "some are forgotten"), signal.SIGKILL)
    held.unlink()
    scene.until(lambda: job(scene, pk)[0] == "succeeded", "another process has gone on")
    assert scene.ask("known") == {"Former customer": MANY - 1, "Customer 0": 1}
    ((attempts,),) = scene.select(f"SELECT token FROM jobs_job WHERE {named(scene, pk)}")
    assert attempts == 2
