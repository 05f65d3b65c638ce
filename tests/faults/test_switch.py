"""Another broker in the middle of a backlog: nothing is lost and nothing comes twice, there and back."""

import pytest

from tests.faults.conftest import Scene, until

pytestmark = [pytest.mark.faults, pytest.mark.stack]

MANY = 60
SENDERS = 2  # processes of the worker: what each was sending when it was killed is in doubt, by design


def leave(scene: Scene, seen: int) -> None:
    """Break off while reminders fall due: worker and clock are killed, their messages stay in the old broker."""
    until(lambda: scene.arrived(seen), "some reminders")
    for name in ("worker", "clock"):
        scene.stack.down(name)
    scene.stack.stop()


def test_a_backlog_moves_to_another_broker_and_back(make_scene, virtual_host: str) -> None:
    rabbitmq = f"amqp://guest:guest@127.0.0.1:5672/{virtual_host}"
    scene = make_scene()
    scene.ask("book", MANY, 6)
    leave(scene, 5)

    scene = make_scene(broker_url=rabbitmq)
    until(lambda: scene.arrived(MANY - SENDERS) and not scene.open_deliveries(), "the backlog is sent")
    scene.ask("book", MANY, 6)
    leave(scene, MANY + 5)

    scene = make_scene()  # with all the messages that the first stack left behind
    until(lambda: scene.arrived(2 * MANY - 2 * SENDERS) and not scene.open_deliveries(), "every reminder has an end")
    lost, duplicated, doubts = scene.verdict()
    assert (lost, duplicated) == ([], [])
    assert len(doubts) <= 2 * SENDERS
