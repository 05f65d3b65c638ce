"""Gunicorn's worker as it serves the site: nobody keeps a thread by being slow, and its own errors are problems too.

Named in gunicorn.conf.py. A thread reads a request for as long as its client takes, and gunicorn sets no end to that:
as many phones that lose their network in the middle of one as there are threads would be the end of the site. A proxy
in front helps only if it gathers whole requests. The promise: a request comes at a pace, or its connection is closed.
"""

import errno
import json
import socket
import struct
import time
from http import HTTPStatus
from typing import Any

from gunicorn import util  # type: ignore[import-untyped]
from gunicorn.workers.gthread import ThreadWorker  # type: ignore[import-untyped]

MEDIA = "application/problem+json"


class TooSlow(TimeoutError):
    """Taken for a client that went away, by gunicorn and by Django: that is what it mostly is."""

    def __init__(self) -> None:
        super().__init__(errno.ECONNRESET, "The request did not come in time.")


class Paced:
    """A client's socket. What it reads has to come within a time that grows with what has come."""

    def __init__(self, sock: Any, patience: float, pace: float, taking: int) -> None:
        self._sock, self._patience, self._pace = sock, patience, pace
        self.begin()
        # One who takes no answer keeps a thread as well. The kernel ends that: gunicorn sends in several ways.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", taking, 0))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)

    def begin(self) -> None:
        """Another request."""
        self._ends = time.monotonic() + self._patience

    def recv(self, size: int) -> bytes:
        """Raises TooSlow. What is here already is taken: that we come to it late is no fault of the client's."""
        given, left = self._sock.gettimeout(), max(self._ends - time.monotonic(), 0.0)
        self._sock.settimeout(min(left, given or left))
        try:
            data: bytes = self._sock.recv(size)
        except (TimeoutError, BlockingIOError):
            raise TooSlow from None
        finally:
            self._sock.settimeout(given)
        self._ends += len(data) / self._pace
        return data


class Worker(ThreadWorker):  # type: ignore[misc]
    patience = 10.0  # seconds for what is small
    pace = 8192.0  # bytes a second of what is large: a MiB may take two minutes
    taking = 30  # whole seconds in which a client takes nothing of an answer

    def handle(self, conn: Any) -> Any:
        """In a thread, each time that there is something to read."""
        if isinstance(conn.sock, Paced):
            conn.sock.begin()
        else:
            conn.sock = Paced(conn.sock, self.patience, self.pace, self.taking)
        return super().handle(conn)


def write_error(sock: Any, status: int, reason: str, why: str) -> None:
    """Of what gunicorn answers itself: an address or headers that are too long, or no HTTP."""
    body = {"type": "about:blank", "title": reason, "status": status, "detail": why or HTTPStatus(status).description}
    content = json.dumps(body).encode()
    head = f"HTTP/1.1 {status} {reason}\r\nConnection: close\r\nContent-Type: {MEDIA}\r\nContent-Length: {len(content)}"
    util.write_nonblock(sock, f"{head}\r\n\r\n".encode("latin1") + content)


util.write_error = write_error  # it has no other place for this
