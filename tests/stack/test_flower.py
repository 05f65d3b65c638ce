"""Flower shows each job under its own name and id, with nothing personal beside it."""

import base64
import json
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from config.stack import Stack
from tests.faults.conftest import Mailbox, Scene, until

pytestmark = pytest.mark.stack


def tasks(stack: Stack) -> dict[str, dict[str, Any]]:
    login = base64.b64encode(stack.installation.flower_auth.encode()).decode()
    request = urllib.request.Request(
        f"{stack.urls['flower']}api/tasks?limit=100", headers={"Authorization": f"Basic {login}"}
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def test_flower_shows_the_job_under_its_own_name_and_id(tmp_path: Path) -> None:
    with Stack(tmp_path / "data", log=tmp_path / "log", without={"web"}) as stack:
        stack.wait_ready()
        scene = Scene(stack, Mailbox())
        scene.ask("book", 3, 1)
        until(lambda: not scene.open_deliveries(), 30, "the reminders are sent")
        ids = {row[0] for row in scene.ask("report")}
        until(lambda: ids <= tasks(stack).keys(), 15, "Flower shows the jobs")
        seen = tasks(stack)
        until(lambda: all(tasks(stack)[pk]["state"] == "SUCCESS" for pk in ids), 15, "Flower shows their end")
        assert {seen[pk]["name"] for pk in ids} == {"notifications.deliver"}
        assert "example.com" not in json.dumps(seen)
