"""deploy/probe.py, the containers' health check, run as the containers run it."""

import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from config.serving import alive
from tests.compose import ROOT


def probe(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "deploy/probe.py", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)


class Site(BaseHTTPRequestHandler):
    """Answers with the status that the path names; 400 when asked as another host than the public one."""

    def do_GET(self) -> None:
        asked = (self.headers["Host"], self.headers["X-Forwarded-Proto"])
        known = asked == ("bookings.example.com", "https")
        self.send_response(int(self.path.strip("/")) if known else 400)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args: object) -> None:
        """Silent."""


@pytest.fixture
def site() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Site) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_process_that_worked_just_now_is_healthy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ALIVE_FILE", str(tmp_path / "alive"))
    alive.touch()
    assert probe("file", "300", ALIVE_FILE=str(tmp_path / "alive")).returncode == 0


def test_a_process_that_hangs_is_not(tmp_path: Path):
    file = tmp_path / "alive"
    file.touch()
    last = time.time() - 31
    os.utime(file, (last, last))
    answer = probe("file", "30", ALIVE_FILE=str(file))
    told = re.fullmatch(r"last sign of life (\d+) s ago\n", answer.stderr)
    assert answer.returncode == 1 and told, answer.stderr
    assert 31 <= int(told[1]) <= round(time.time() - last)  # a process may take seconds to start


def test_a_process_that_never_worked_is_not(tmp_path: Path):
    answer = probe("file", "30", ALIVE_FILE=str(tmp_path / "alive"))
    assert answer.returncode == 1
    assert "No such file" in answer.stderr


@pytest.mark.parametrize(("status", "exit_code"), [(200, 0), (302, 0), (404, 1), (500, 1)])
def test_a_site_is_healthy_when_it_answers_its_own_name(site: str, status: int, exit_code: int):
    answer = probe("http", f"{site}/{status}", PUBLIC_URL="https://bookings.example.com")
    assert answer.returncode == exit_code, answer.stderr


def test_a_site_that_is_down_is_not_healthy():
    answer = probe("http", "http://127.0.0.1:1/")
    assert answer.returncode == 1
    assert "refused" in answer.stderr
