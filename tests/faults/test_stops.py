"""A worker that is stopped in the middle of its jobs gives them back at once, and it costs them nothing."""

import os
import signal
from collections.abc import Callable

import pytest

from tests.faults.conftest import NO_CLOCK, Scene, until

pytestmark = [pytest.mark.faults, pytest.mark.stack]

SLOW = {"DJANGO_SETTINGS_MODULE": "tests.faults.slow_settings"}
JOBS = "SELECT state, failures, token FROM jobs_job WHERE task LIKE 'faults.%'"
LONG = 300  # seconds: no job of these ends by itself


def states(scene: Scene) -> list[str]:
    return sorted(state for state, *_ in scene.select(JOBS))


def warm_then_cold(scene: Scene) -> None:
    """As the stack, systemd and Docker do: SIGTERM, and when it takes too long, harder."""
    os.kill(scene.stack.pid("worker"), signal.SIGTERM)
    log = scene.log
    until(lambda: "Warm shutdown" in log.read_text(), "it has begun to stop")
    scene.stack.down("worker", signal.SIGQUIT)


def cold(scene: Scene) -> None:
    scene.stack.down("worker", signal.SIGQUIT)


@pytest.mark.parametrize("stop", [cold, warm_then_cold], ids=lambda stop: stop.__name__)
@pytest.mark.parametrize("batch", [False, True], ids=["a message each", "a message for all"])
def test_a_worker_that_is_stopped_gives_back_what_it_was_at(
    make_scene: Callable[..., Scene], stop: Callable[[Scene], None], batch: bool
) -> None:
    scene = make_scene(env=SLOW, without=NO_CLOCK)  # nobody but the worker itself gives anything back
    at_once = 4 if batch else 2
    scene.ask("slow", 4, LONG, batch)
    scene.until(lambda: states(scene).count("running") == at_once, "it is at work")
    stop(scene)
    rows = scene.select(JOBS)
    assert {state for state, *_ in rows} <= {"scheduled", "queued"}, rows
    assert {failures for _, failures, _ in rows} == {0}, rows
    scene.stack.up("worker")
    scene.until(lambda: states(scene).count("running") == at_once, "the next worker goes on")
