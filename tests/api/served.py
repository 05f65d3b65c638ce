"""Gunicorn as in production, on a database of its own, and requests as bytes: what no client would send."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
SECONDS = 180.0  # a busy machine


class Served:
    def __init__(self, port: int) -> None:
        self.port = port

    def connect(self, sent: bytes = b"") -> socket.socket:
        sock = socket.create_connection(("127.0.0.1", self.port), timeout=SECONDS)
        sock.sendall(sent)
        return sock

    def ask(self, sent: bytes) -> tuple[int, bytes, bytes]:
        """Status, head and body of what is answered before the connection is closed."""
        with self.connect(sent) as sock:
            return parted(all_of(sock))

    def lives(self) -> bool:
        return self.ask(get("/health/live"))[0] == 200


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode()


def all_of(sock: socket.socket) -> bytes:
    """Until it is closed; raises TimeoutError where it is not."""
    found = b""
    while data := sock.recv(65536):
        found += data
    return found


def parted(answer: bytes) -> tuple[int, bytes, bytes]:
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), head, body


@contextmanager
def served(env: dict[str, str], *options: str) -> Iterator[Served]:
    """With gunicorn.conf.py, one process, and these options beside.

    It is given a socket that listens already: a port that is free now may be another's when it gets there.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = Served(listener.getsockname()[1])
        command = [sys.executable, "-m", "gunicorn", "config.wsgi", "--bind", f"fd://{listener.fileno()}"]
        process = subprocess.Popen(
            [*command, "--workers", "1", *options],
            env=os.environ | env | {"PUBLIC_URL": f"http://127.0.0.1:{server.port}"},
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            pass_fds=[listener.fileno()],
        )
    try:
        assert server.lives(), "the server does not answer"
        yield server
    finally:
        process.terminate()
        process.wait(SECONDS)
