"""The management commands as processes that cost a fork each, not the seconds that Django takes to start.

`python -m tests.forked` is the parent that has imported everything and opened no connection; it forks a child for each
line that it reads, on a pseudo-terminal or with pipes, and tells what became of it. `Commands` is the other end.
"""

import fcntl
import json
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import django
from django.core.management import execute_from_command_line, get_commands, load_command_class

ROOT = Path(__file__).parents[1]
SECONDS = 300.0
OURS = ("config", "jobs", "notifications")


@dataclass(frozen=True)
class Done:
    code: int
    out: str  # of a terminal: what it shows, complaints too
    err: str

    @property
    def lines(self) -> list[Any]:
        """What a program reads: JSON objects, one a line or one over several lines, and nothing else."""
        decoder, found, text = json.JSONDecoder(), [], self.out.strip()
        while text:
            value, end = decoder.raw_decode(text)
            found.append(value)
            text = text[end:].strip()
        return found


class Commands:
    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def piped(self, *words: str) -> Done:
        """As a program calls it."""
        return self._ask({"words": words, "columns": 0})

    def typed(self, *words: str, columns: int = 80, types: str = "") -> Done:
        """As a person calls it, on a terminal so wide, who answers so."""
        return self._ask({"words": words, "columns": columns, "types": types})

    def _ask(self, asked: dict[str, Any]) -> Done:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, "the parent of all commands died"
        return Done(**json.loads(answer))


@contextmanager
def commands(env: Mapping[str, str]) -> Iterator[Commands]:
    """They run with this environment."""
    words = [sys.executable, "-m", "tests.forked"]
    pipe = subprocess.PIPE
    with subprocess.Popen(words, cwd=ROOT, env=env, stdin=pipe, stdout=pipe, text=True) as process:
        yield Commands(process)
        assert process.stdin
        process.stdin.close()


# --- The parent -----------------------------------------------------------------------------------------


def serve() -> None:
    django.setup()
    for name, app in get_commands().items():
        if app in OURS or str(app).startswith("django.core"):
            load_command_class(app, name)
    __import__("config.urls")
    for line in sys.stdin:
        asked = json.loads(line)
        run = _on_terminal if asked["columns"] else _in_pipes
        print(json.dumps(run(asked)), flush=True)


def _on_terminal(asked: dict[str, Any]) -> dict[str, Any]:
    pid, master = pty.fork()
    if pid == 0:
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 40, asked["columns"], 0, 0))
        os.environ["TERM"] = "xterm-256color"
        _become(asked["words"])
    os.write(master, asked["types"].encode())
    (out,) = _read(pid, master)
    return {"code": _code(pid), "out": out.replace("\r\n", "\n"), "err": ""}


def _in_pipes(asked: dict[str, Any]) -> dict[str, Any]:
    out, err = os.pipe(), os.pipe()
    pid = os.fork()
    if pid == 0:
        nothing = os.open(os.devnull, os.O_RDONLY)
        for mine, fd in ((nothing, 0), (out[1], 1), (err[1], 2)):
            os.dup2(mine, fd)
        _become(asked["words"])
    os.close(out[1])
    os.close(err[1])
    told = _read(pid, out[0], err[0])
    return {"code": _code(pid), "out": told[0], "err": told[1]}


def _become(words: list[str]) -> NoReturn:
    code: Any = 0
    sys.argv = ["manage.py", *words]
    try:
        execute_from_command_line(sys.argv)
    except SystemExit as exc:
        code = exc.code
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush(), sys.stderr.flush()
    os._exit(code or 0)


def _read(pid: int, *files: int) -> list[str]:
    """All that they say until they are closed."""
    told, is_open, deadline = dict.fromkeys(files, b""), set(files), time.monotonic() + SECONDS
    while is_open:
        for file in select.select(is_open, [], [], 1)[0]:
            piece = _piece(file)
            told[file] += piece
            if not piece:
                is_open.discard(file)
        if time.monotonic() > deadline:
            os.kill(pid, 9)
            deadline += SECONDS
    for file in files:
        os.close(file)
    return [told[file].decode("utf-8", "replace") for file in files]


def _piece(file: int) -> bytes:
    try:
        return os.read(file, 65536)
    except OSError:  # of a terminal that nobody holds any more
        return b""


def _code(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


if __name__ == "__main__":
    serve()
