"""TCP ports of `make run`: which are taken, which are free. Used by stack.py before anything starts."""

import socket
import sys
from dataclasses import dataclass
from typing import Self

DEFAULTS = {"web": 8000, "flower": 5555, "broker": 6399}
VARIABLES = {"web": "PORT", "flower": "FLOWER_PORT", "broker": "BROKER_PORT"}


class PortError(Exception):
    """A port cannot be used. The message says which, what for, and the variable to set."""


@dataclass(frozen=True)
class Ports:
    """Where the stack listens, on 127.0.0.1."""

    web: int
    flower: int
    broker: int
    held: "Held | None"  # what keeps them ours, where we chose them


class Held:
    """Free ports that stay ours until `close`: nobody else is given one, also while the server there is down.

    Bound and never listened on. On Linux a server that sets SO_REUSEADDR, as all of ours do, may listen there all the
    same. Elsewhere it may not, so there they are only free, as those of `free`.
    """

    def __init__(self, count: int = 1) -> None:
        self._sockets = [socket.socket() for _ in range(count)]
        for each in self._sockets:
            each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            each.bind(("127.0.0.1", 0))
        self.ports: list[int] = [each.getsockname()[1] for each in self._sockets]
        if sys.platform != "linux":
            self.close()

    def close(self) -> None:
        for each in self._sockets:
            each.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def choose(values: dict[str, str], needed: set[str]) -> Ports:
    """The configured ports, checked. Only the broker's default gives way silently: nobody types its address."""
    chosen: dict[str, int] = {}
    for purpose, variable in VARIABLES.items():
        text = values.get(variable, "")
        if text and not (text.isdecimal() and 0 < int(text) < 65_536):
            raise PortError(f"{variable}={text} is not a port. Set {variable} to a number from 1 to 65535.")
        port = int(text or DEFAULTS[purpose])
        if purpose in needed and (why := refusal(port)):
            if purpose == "broker" and not text:
                port = free()[0]
            else:
                raise PortError(_message(port, purpose, variable, why))
        chosen[purpose] = port
    used = [chosen[purpose] for purpose in needed]
    doubled = [purpose for purpose in needed if used.count(chosen[purpose]) > 1]
    if doubled:
        names = " and ".join(VARIABLES[purpose] for purpose in sorted(doubled))
        raise PortError(f"{names} are the same port, {chosen[doubled[0]]}. Set them to different ports.")
    return Ports(chosen["web"], chosen["flower"], chosen["broker"], held=None)


def choose_free() -> Ports:
    """Of our own choice, and held: whoever starts servers there closes it at the end."""
    held = Held(3)
    web, flower, broker = held.ports
    return Ports(web, flower, broker, held)


def free(count: int = 1) -> list[int]:
    """Ports that nobody listens on; all held together for a moment, so that they differ. For servers that start now."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def refusal(port: int) -> str:
    """Why we cannot listen there, or an empty string."""
    with socket.socket() as each:
        # As the servers do it: connections of a stopped server in TIME_WAIT do not block its port.
        each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            each.bind(("127.0.0.1", port))
        except PermissionError:
            return "needs root"
        except OSError:
            return "is taken"
    return ""


def _message(port: int, purpose: str, variable: str, why: str) -> str:
    other = next(number for number in range(max(port, 1023) + 1, 65_536) if not refusal(number))
    return f"Port {port} ({purpose}) {why}. Set {variable}={other} in .env or the environment."
