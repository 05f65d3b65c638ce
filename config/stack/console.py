"""What `make run` shows: one line of log per line of output, and the table of addresses.

Used by stack.py. Promise: what a process prints stays one line of text, whatever bytes are in it.
"""

import os
import re
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TextIO

from rich.console import Console
from rich.table import Table

COLOURS = (36, 32, 35, 33, 34, 96, 92, 95)  # of ANSI terminals
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")  # a customer's name must not clear the operator's screen


class Terminal:
    """Writes to stdout; colours only on a terminal without NO_COLOR."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stdout
        self._coloured = self._stream.isatty() and not os.environ.get("NO_COLOR")
        self._colours: dict[str, int] = {}
        self._lock = threading.Lock()

    def log(self, name: str, line: str) -> None:
        label = f"{name:<8} |"
        with self._lock:
            if self._coloured:
                colour = self._colours.setdefault(name, COLOURS[len(self._colours) % len(COLOURS)])
                label = f"\x1b[{colour}m{label}\x1b[0m"
            self._write(f"{label} {CONTROL.sub('?', line)}\n")

    def say(self, text: str) -> None:
        with self._lock:
            self._write(f"{text}\n")

    def table(self, title: str, rows: Mapping[str, str]) -> None:
        table = Table(title=title, title_justify="left", show_header=False)
        table.add_column(style="bold", no_wrap=True)
        table.add_column(overflow="fold")
        for row in rows.items():
            table.add_row(*row)
        width = None if self._stream.isatty() else 120
        with self._lock:
            Console(file=self._stream, width=width, markup=False, highlight=False).print(table)
            self._stream.flush()

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):
            # `make run | head` closed the pipe: keep reading the children, or they would block on theirs.
            return


class LogFile:
    """Appends to a file; open only while it writes, for nobody knows which line is the last."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()

    def log(self, name: str, line: str) -> None:
        with self._lock, self._path.open("a", encoding="utf-8") as stream:
            stream.write(f"{name:<8} | {line}\n")
