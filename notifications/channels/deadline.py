"""A limit on a whole conversation, whatever the other side does: hang, drip a byte a second, never stop.

Socket timeouts begin anew with every byte. Here a watchdog shuts the socket when the time is over, and whoever reads or
writes it then gets an error. Used by `http` and `smtp`; names that resolve slowly are limited by the resolver alone.
"""

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar


class Deadline:
    """Of one conversation. `over` tells afterwards whether it was cut short."""

    def __init__(self, seconds: float) -> None:
        self.over = False
        self._ends = time.monotonic() + seconds
        self._lock = threading.Lock()
        self._watched: socket.socket | None = None
        self._timer = threading.Timer(seconds, self._cut)
        self._timer.daemon = True
        self._timer.start()

    @property
    def left(self) -> float:
        return self._ends - time.monotonic()

    def watch(self, sock: socket.socket) -> None:
        """A duplicate: TLS takes the original socket over, and shutting either one ends both."""
        with self._lock:
            if self._watched is None:
                self._watched = socket.socket(fileno=os.dup(sock.fileno()))
            if self.over:
                self._shut(self._watched)

    def end(self) -> None:
        self._timer.cancel()
        with self._lock:
            if self._watched is not None:
                self._watched.close()
            self._watched = None

    def _cut(self) -> None:
        with self._lock:
            self.over = True
            if self._watched is not None:
                self._shut(self._watched)

    @staticmethod
    def _shut(sock: socket.socket) -> None:
        with suppress(OSError):  # closed by the other side
            sock.shutdown(socket.SHUT_RDWR)


_current: ContextVar[Deadline | None] = ContextVar("deadline", default=None)


@contextmanager
def limit(seconds: float) -> Iterator[Deadline]:
    """Everything that is watched within ends in time."""
    deadline = Deadline(seconds)
    mark = _current.set(deadline)
    try:
        yield deadline
    finally:
        _current.reset(mark)
        deadline.end()


def watch(sock: socket.socket | None) -> None:
    """Put a socket under the limit that is in force, if there is one."""
    deadline = _current.get()
    if deadline is not None and sock is not None and sock.fileno() >= 0:
        deadline.watch(sock)
