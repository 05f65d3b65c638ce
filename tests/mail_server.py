"""A mail server on loopback, for one test: whatever else the machine does."""

import asyncio
import socket
from collections.abc import Awaitable
from typing import Any

from aiosmtpd.controller import Controller

PATIENCE = 60  # seconds to start in; five, as usual, are too few for a busy machine


class MailServer(Controller):
    """On a port that the system chose and that is kept: one that was looked for first may be another's by then."""

    def __init__(self, handler: Any) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        port = self._listener.getsockname()[1]
        super().__init__(handler, hostname="127.0.0.1", port=port, ready_timeout=PATIENCE)

    def _create_server(self) -> Awaitable[asyncio.AbstractServer]:
        return self.loop.create_server(self._factory_invoker, sock=self._listener)
