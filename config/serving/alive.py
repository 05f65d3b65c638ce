"""A file whose age tells whether a Celery process still works; read by deploy/probe.py as a health check.

Off unless ALIVE_FILE names the file (docker-compose.yml does). The worker touches it with each heartbeat
(every 2 s, by its main loop, only while connected to the broker), beat each time it has published a
tick. A process that hangs or has lost its broker is alive to the system, but its file grows old.
"""

import os
from pathlib import Path

from celery.signals import after_task_publish, beat_init, heartbeat_sent, worker_init


def touch(**_: object) -> None:
    Path(os.environ["ALIVE_FILE"]).touch()


def prove_worker(**_: object) -> None:
    heartbeat_sent.connect(touch)


def prove_beat(**_: object) -> None:
    after_task_publish.connect(touch)


def watch() -> None:
    """Called once, by config/celery.py."""
    if os.environ.get("ALIVE_FILE"):
        worker_init.connect(prove_worker)
        beat_init.connect(prove_beat)
