"""Pools that grow and shrink while they work: nothing is killed, and what is desired outlives every worker."""

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.conftest import NO_CLOCK, Scene

pytestmark = [pytest.mark.faults, pytest.mark.stack]

SLOW = {"DJANGO_SETTINGS_MODULE": "tests.faults.slow_settings"}


def pools(scene: Scene, *names: str) -> list[int]:
    return sorted(len(scene.children(name)) for name in names)


def desire(scene: Scene, processes: object) -> None:
    scene.manage("jobs", "scale", "messages", str(processes), "--reason", "test")


JOBS = "SELECT state, token, failures FROM jobs_job WHERE task LIKE 'faults.%'"


def running(scene: Scene) -> int:
    return [state for state, *_ in scene.select(JOBS)].count("running")


def told(scene: Scene) -> dict[str, int]:
    """What the workers say of themselves."""
    rows = scene.select("SELECT worker, processes FROM jobs_queueworker WHERE queue = 'messages'")
    return {worker.partition("@")[0]: processes for worker, processes in rows}


def undisturbed(scene: Scene) -> bool:
    """Whether every job has succeeded at its first attempt. Fails as soon as one was disturbed."""
    rows = scene.select(JOBS)
    assert not [row for row in rows if row[1] > 1 or row[2]], rows
    return {state for state, *_ in rows} == {"succeeded"}


@pytest.fixture(params=["valkey", "rabbitmq"])
def broker(request: pytest.FixtureRequest) -> str:
    if request.param == "valkey":
        return ""
    return f"amqp://guest:guest@127.0.0.1:5672/{request.getfixturevalue('virtual_host')}"


def test_a_pool_grows_and_shrinks_while_it_works_and_kills_nothing(
    make_scene: Callable[..., Scene], broker: str, tmp_path: Path
) -> None:
    scene, gate = make_scene(env=SLOW, without=NO_CLOCK, broker_url=broker), tmp_path / "gate"
    assert pools(scene, "worker") == [2]
    scene.ask("slow", 8, 8, False, str(gate))
    scene.until(lambda: running(scene) == 2, "both processes are at work")
    desire(scene, 5)
    scene.until(lambda: pools(scene, "worker") == [5] and running(scene) == 5, "new processes take jobs")
    desire(scene, 1)
    gate.touch()  # only here do the jobs' seconds begin: all five are at work when the scaler looks
    scene.until(lambda: pools(scene, "worker") == [1], "four processes have ended")
    scene.until(lambda: undisturbed(scene), "every job has ended well")
    scene.ask("slow", 2, 0.1)
    scene.until(lambda: undisturbed(scene), "the last process still takes jobs")
    desire(scene, "as-started")
    scene.until(lambda: pools(scene, "worker") == [2], "as started")


def test_the_button_of_flower_kills_nothing_either_and_is_left_alone(make_scene: Callable[..., Scene]) -> None:
    scene = make_scene(env=SLOW | {"WORKER_CONCURRENCY": "4"}, without=NO_CLOCK)
    scene.ask("slow", 12, 4)
    scene.until(lambda: running(scene) == 4, "every process is at work")
    (answer,) = [said for reply in scene.ask("shrink", 3) for name, said in reply.items() if name.startswith("worker")]
    assert answer == {"ok": "3 processes end after their present job"}
    scene.until(lambda: pools(scene, "worker") == [1], "three processes have ended")
    scene.until(lambda: undisturbed(scene), "every job has ended well")
    assert pools(scene, "worker") == [1]


def test_workers_share_what_is_desired_and_take_over_from_those_that_are_gone(
    make_scene: Callable[..., Scene],
) -> None:
    scene = make_scene(env=SLOW, without=NO_CLOCK, copies={"worker": 2})
    desire(scene, 5)
    scene.until(lambda: pools(scene, "worker", "worker2") == [2, 3], "the two share")
    scene.stack.down("worker2", signal.SIGTERM)
    scene.until(lambda: pools(scene, "worker") == [5], "the other one takes over at once from one that said goodbye")
    scene.stack.up("worker2")
    scene.until(lambda: up(scene, "worker2") and pools(scene, "worker", "worker2") == [2, 3], "they share again")
    scene.stack.kill("worker")
    scene.until(lambda: up(scene, "worker", 1) and pools(scene, "worker", "worker2") == [2, 3], "as before")


def up(scene: Scene, name: str, restarts: int = 0) -> bool:
    """Whether it is there, and has been started again so often: one that was killed may not have died yet."""
    return scene.stack.restart_count(name) >= restarts and scene.stack.is_ready(name)


def test_a_worker_that_hangs_is_told_as_absent_and_the_others_take_its_part(make_scene: Callable[..., Scene]) -> None:
    scene = make_scene(env=SLOW, without=NO_CLOCK, copies={"worker": 2})
    desire(scene, 6)
    scene.until(lambda: told(scene) == {"worker": 3, "worker2": 3}, "the two share")
    pid = scene.stack.pid("worker2")
    scene.stack.kill("worker2", signal.SIGSTOP)
    scene.until(lambda: told(scene)["worker"] == 6, "its part is taken over")
    said = scene.manage("jobs", "workers", "messages", "--table")
    assert "desired 6 (by" in said and "actual 6" in said and "  worker2@" in said and "absent since" in said
    scene.stack.kill("worker2", signal.SIGCONT)
    scene.until(lambda: told(scene) == {"worker": 3, "worker2": 3}, "it is back")
    assert scene.stack.pid("worker2") == pid
