"""Files that attack, in a real prefork worker: each job ends with its reason, and the same processes go on working."""

import pytest

from tests.faults.conftest import NO_CLOCK, Scene

pytestmark = [pytest.mark.faults, pytest.mark.stack]


def ended(scene: Scene, ids: list[str]) -> dict[str, tuple[str, int]]:
    found = scene.ask("states", ids)
    return found if all(state in ("succeeded", "failed") for state, _ in found.values()) else {}


def test_files_that_attack_end_with_a_reason_and_the_worker_goes_on(make_scene) -> None:
    scene = make_scene(without=NO_CLOCK)
    before = scene.children("worker")
    wanted = dict(scene.ask_apart("files"))
    found = scene.until(lambda: ended(scene, list(wanted)), "every file has an end")
    assert {pk: state for pk, (state, _) in found.items()} == wanted
    assert {attempts for _, attempts in found.values()} == {1}
    assert before and scene.children("worker") == before
