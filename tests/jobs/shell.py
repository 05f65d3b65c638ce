"""A management command as people and programs call it: on a real pseudo-terminal, or with a pipe in its place."""

import io
import json
import os
import threading
from contextlib import contextmanager, suppress
from typing import Any, TextIO

import pytest
from django.core.management import CommandError, call_command


@contextmanager
def terminal(columns: int = 200):
    """A file that is a terminal, and a function that tells what was written to it so far."""
    master, slave = os.openpty()
    seen: list[bytes] = []

    def read() -> None:
        with suppress(OSError):  # the other end is closed
            while piece := os.read(master, 65536):
                seen.append(piece)

    reader = threading.Thread(target=read)
    reader.start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", str(columns))
        patch.setenv("TERM", "xterm-256color")
        file = os.fdopen(slave, "w")
        try:
            yield file, lambda: b"".join(seen).decode().replace("\r\n", "\n")
        finally:
            file.close()
            reader.join(60)
            os.close(master)


class Shell:
    def __init__(self, command: str) -> None:
        self.command = command
        self.written = self.complaints = ""

    def lines(self, *words: str) -> list[Any]:
        """What it writes into a pipe, which has to be JSON."""
        out = io.StringIO()
        self._call(out, *words)
        self.written = out.getvalue()
        return [json.loads(line) for line in self.written.splitlines()]

    def screen(self, *words: str) -> str:
        """What it shows on a terminal."""
        with terminal() as (file, seen):
            self._call(file, *words)
        return seen()

    def refuses(self, *words: str) -> tuple[int, str]:
        """The exit code and the complaint. What argparse refuses ends with 2 only in a process of its own."""
        out = io.StringIO()
        with pytest.raises(CommandError) as raised:
            self._call(out, *words)
        self.written = out.getvalue()
        return raised.value.returncode, str(raised.value)

    def _call(self, out: io.StringIO | TextIO, *words: str) -> None:
        err = io.StringIO()
        try:
            call_command(self.command, *words, stdout=out, stderr=err)
        finally:
            self.complaints = err.getvalue()
