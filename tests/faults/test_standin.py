"""Nobody ticks: beat is gone, or the clock's worker, or both. The workers notice and tick themselves."""

import pytest

from tests.faults.conftest import until

pytestmark = [pytest.mark.faults, pytest.mark.stack]

MANY = 30


@pytest.mark.parametrize("gone", [("beat",), ("clock",), ("beat", "clock")], ids=" and ".join)
def test_reminders_arrive_without_a_clock(make_scene, gone: tuple[str, ...]) -> None:
    scene = make_scene()
    for name in gone:
        scene.stack.down(name)
    scene.ask("book", MANY, 2)
    until(lambda: scene.arrived(1), "somebody stands in")
    until(lambda: scene.arrived(MANY) and not scene.open_deliveries(), "every reminder has an end")
    assert scene.verdict() == ([], [], [])
    for name in gone:
        scene.stack.up(name)
    scene.stack.wait_ready()
    scene.ask("book", MANY, 2)
    until(lambda: scene.arrived(2 * MANY) and not scene.open_deliveries(), "it goes on with a clock")
    assert scene.verdict() == ([], [], [])


def test_a_lost_worker_is_noticed_without_a_clock_and_without_a_broker(make_scene) -> None:
    scene = make_scene()
    for name in ("beat", "clock", "broker"):
        scene.stack.down(name)
    scene.ask("book", MANY, 1)
    scene.stack.kill("worker")
    scene.stack.up("broker")
    until(lambda: scene.arrived(MANY) and not scene.open_deliveries(), "every reminder has an end")
    assert scene.verdict() == ([], [], [])
