"""`manage.py config`: every variable that the settings read, its value, and where that came from.

Secrets are masked: of those it tells only that they are set. In a pipe, and with --json: one JSON object a variable.
"""

import re
from argparse import ArgumentParser
from typing import Any
from urllib.parse import ParseResult, urlsplit

from config.environment import BASE_DIR, Read, env
from jobs.management import terminal
from jobs.management.operator import OperatorCommand
from jobs.management.terminal import NotDone, Terminal

MASK = "********"
SECRET = re.compile(r"(SECRET|PASSWORD|TOKEN|API_KEY|SIGNING_KEY|ACCESS_KEY|_AUTH|CREDENTIALS)(_|$|S$)|SECRET")
QUERY = re.compile(r"(?<=[?&])([^=&]*(?:pass|secret|token|key|auth)[^=&]*)=[^&;#]*", re.I)
HARMLESS = {"JOBS_KEEP_KEYS_DAYS", "API_RATE_OF_KEY"}


class Command(OperatorCommand):
    help = "Every variable that the settings read, its value (secrets masked) and where it came from."
    requires_system_checks: tuple[str, ...] = ()  # what is wrong with the settings is why one looks at them

    def add_arguments(self, parser: ArgumentParser) -> None:
        terminal.add_options(parser)
        parser.add_argument("name", nargs="*", help="only these: names, or their beginnings")
        parser.add_argument("--set", action="store_true", help="only those that somebody set")

    def handle(self, *args: Any, **options: Any) -> None:
        screen = Terminal(self, options)
        only_set = options["set"]
        wanted = tuple(name.upper() for name in options["name"])
        found = [
            record(one)
            for one in env.all_read()
            if (not wanted or one.name.startswith(wanted)) and (one.source != "default" or not only_set)
        ]
        if not screen.json:  # as it is written there: 86400, not 86,400
            found = [one | {"value": str(one["value"])} if one["value"] else one for one in found]
        shown = screen.rows(found, ("variable", "value", "source"))
        if lacking := [name for name in wanted if not any(one["variable"].startswith(name) for one in found)]:
            raise NotDone(
                f"The settings read no variable {', '.join(lacking)}{', or nobody set it' if only_set else ''}."
            )
        if not shown:
            raise NotDone("Nobody set a variable: all have their defaults.")
        for name in unread():
            screen.warn(f"{name} is set and the settings do not read it; is it misspelt? See .env.example.")


def record(one: Read) -> dict[str, Any]:
    return {"variable": one.name, "value": masked(one.name, one.value), "source": one.source}


def masked(name: str, value: Any) -> Any:
    if value in ("", None, []) or name in HARMLESS:
        return value
    if SECRET.search(name):
        return MASK
    if isinstance(value, dict):
        return {key: masked(str(key), inner) for key, inner in value.items()}
    if isinstance(value, list):
        return ", ".join(without_password(str(one)) for one in value)
    if isinstance(value, ParseResult):
        value = value.geturl()
    return value if isinstance(value, int | float) else without_password(str(value))


def without_password(text: str) -> str:
    """Of addresses, several brokers' too, that have one: smtp+tls://user:********@host, redis://host/?password=****."""
    return ";".join(QUERY.sub(rf"\1={MASK}", _without_password(one)) for one in text.split(";"))


def _without_password(address: str) -> str:
    try:
        password = urlsplit(address).password
    except ValueError:
        return MASK if "@" in address else address
    return address.replace(f":{password}@", f":{MASK}@") if password else address


def unread() -> list[str]:
    """Of the variables that .env sets, those that no setting and no other program of ours reads."""
    example = (BASE_DIR / ".env.example").read_text()
    known = {*env.reads, *re.findall(r"^#? ?([A-Z][A-Z0-9_]+)=", example, re.M)}
    return sorted(name for name in env.from_file() if name.removesuffix("_FILE") not in known)
