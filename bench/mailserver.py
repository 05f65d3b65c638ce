"""A mail server on loopback with a log of its own: `python -m bench.mailserver PORT LOG`.

Each mail that it takes is a line of the log before it answers: the Message-ID's first half, which is the delivery's
id, and the moment by the machine's steady clock. It takes a few milliseconds, so that there is a moment in which a
mail is on its way.
"""

import asyncio
import random
import sys
import threading
import time
from pathlib import Path
from typing import IO, Any

from aiosmtpd.controller import Controller

SLOWEST = 0.03  # seconds


class Mails:
    def __init__(self, log: IO[str]) -> None:
        self.log = log

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        head = envelope.content.decode("utf-8", "replace").partition("\r\n\r\n")[0]
        line = next(line for line in head.splitlines() if line.lower().startswith("message-id:"))
        await asyncio.sleep(random.uniform(0, SLOWEST))
        print(line.partition("<")[2].partition("@")[0], time.monotonic(), file=self.log, flush=True)
        await asyncio.sleep(random.uniform(0, SLOWEST))
        return "250 OK"


def main() -> None:
    port, path = sys.argv[1:]
    with Path(path).open("a") as log:
        Controller(Mails(log), hostname="127.0.0.1", port=int(port)).start()
        threading.Event().wait()


if __name__ == "__main__":
    main()
