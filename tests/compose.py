"""docker-compose.yml as Docker Compose reads it: variables filled in, a service as argv and environment.

For the tests of the compose file; there is no Docker engine on the machines that run them.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
FILE = ROOT / "docker-compose.yml"

# Enough to start; what a person fills in by hand.
FILLED_IN = {
    "SECRET_KEY": "k3-Vq8sZ0r_pXw7Lh2dTn5yBf9cJm4gEaU6oRi1-QzWxEcRvTb",
    "PUBLIC_URL": "https://bookings.example.com",
    "FROM_EMAIL": "Reminders <reminders@example.com>",
    "POSTGRES_PASSWORD": "a1b2c3d4e5f6postgres",
    "REDIS_PASSWORD": "a1b2c3d4e5f6redis",
    "FLOWER_BASIC_AUTH": "olga:a1b2c3d4e5f6flower",
}

_VARIABLE = re.compile(r"\$(?:\$|\{(?P<name>\w+)(?P<operator>:[-?])?)")


class MissingVariable(Exception):
    """`${NAME:?message}` and NAME is unset or empty."""


def raw() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(FILE.read_text())
    return document


def fill_in(text: str, variables: Mapping[str, str]) -> str:
    """`$$`, `${A}`, `${A:-default}` and `${A:?message}`, nested as Compose allows."""
    out, position = "", 0
    while match := _VARIABLE.search(text, position):
        out += text[position : match.start()]
        if match.group() == "$$":
            out, position = out + "$", match.end()
            continue
        end = _closing_brace(text, match.end())
        value, rest = variables.get(match["name"], ""), text[match.end() : end]
        if not value and match["operator"] == ":?":
            raise MissingVariable(rest)
        out += value or (fill_in(rest, variables) if match["operator"] == ":-" else "")
        position = end + 1
    return out + text[position:]


def _closing_brace(text: str, position: int) -> int:
    depth = 1
    while True:
        depth += {"{": 1, "}": -1}.get(text[position], 0)
        if not depth:
            return position
        position += 1


@dataclass
class Service:
    """What a container would run. Values are filled in; variables that are unset are left out."""

    argv: list[str]
    environment: dict[str, str]
    health: list[str]


def service(name: str, variables: Mapping[str, str]) -> Service:
    described = raw()["services"][name]
    environment = {}
    for key, value in described.get("environment", {}).items():
        if value is not None:
            environment[key] = fill_in(str(value), variables)
        elif key in variables:  # `KEY:` passes it on when it is set
            environment[key] = variables[key]
    health = [fill_in(part, variables) for part in described.get("healthcheck", {}).get("test", [])]
    return Service([fill_in(part, variables) for part in described["command"]], environment, health[1:])
