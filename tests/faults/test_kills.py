"""Killing each part in turn, while reminders fall due: every one arrives, once.

A kill that hits a worker between the intent and the mail server's answer leaves a doubt, by design: nobody can know.
There can be at most one for each process that was sending, and it is never sent twice.
"""

import os
import signal
from collections.abc import Callable

import pytest

from tests.faults.conftest import Scene, until

pytestmark = [pytest.mark.faults, pytest.mark.stack]

MANY = 30
SENDERS = 2  # processes of the worker


def kill_a_child(scene: Scene) -> None:
    os.kill(min(scene.children("worker")), signal.SIGKILL)


def kill(name: str) -> Callable[[Scene], None]:
    return lambda scene: scene.stack.kill(name)


def wipe_the_broker(scene: Scene) -> None:
    scene.stack.wipe_broker()


ACCIDENTS = {
    "the worker's child": kill_a_child,
    "the worker": kill("worker"),
    "the clock worker": kill("clock"),
    "beat": kill("beat"),
    "the broker, with its data": wipe_the_broker,
}


@pytest.mark.parametrize("accident", ACCIDENTS)
def test_every_due_reminder_arrives_once_although_one_part_is_killed(make_scene, accident: str) -> None:
    scene = make_scene()
    scene.ask("book", MANY, 4)
    until(lambda: scene.arrived(5), "the first reminders")
    ACCIDENTS[accident](scene)
    until(lambda: scene.arrived(MANY - SENDERS) and not scene.open_deliveries(), "every reminder has an end")
    lost, duplicated, doubts = scene.verdict()
    assert (lost, duplicated) == ([], [])
    assert len(doubts) <= (SENDERS if "worker" in accident and "clock" not in accident else 0)


def test_what_fell_due_while_everything_was_down_arrives_once_afterwards(make_scene) -> None:
    scene = make_scene()
    for name in ("beat", "clock", "worker"):
        scene.stack.down(name)
    scene.ask("book", MANY, 1)
    scene.stack.down("broker")
    for name in ("broker", "worker", "clock", "beat"):
        scene.stack.up(name)
    until(lambda: scene.arrived(MANY) and not scene.open_deliveries(), "every reminder has an end")
    assert scene.verdict() == ([], [], [])


def test_five_beats_send_every_reminder_once(make_scene) -> None:
    scene = make_scene(copies={"beat": 5})
    scene.ask("book", MANY, 2)
    until(lambda: scene.arrived(MANY) and not scene.open_deliveries(), "every reminder has an end")
    assert scene.verdict() == ([], [], [])


def test_bookings_are_accepted_while_the_broker_is_down(make_scene) -> None:
    scene = make_scene()
    scene.stack.down("broker")
    assert scene.ask("book", 5, 1) == 5
    scene.stack.up("broker")
    until(lambda: scene.arrived(5) and not scene.open_deliveries(), "every reminder has an end")
    assert scene.verdict() == ([], [], [])
