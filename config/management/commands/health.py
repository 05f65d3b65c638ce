"""`manage.py health`: the checks of /health, from a shell: is the database ready, do workers and queues do their work.

Exit codes: 0 all is well; 1 something is not. In a pipe, and with --json: one JSON object a check.
"""

import inspect
import json
from argparse import ArgumentParser
from collections.abc import Callable, Mapping
from typing import Any

from django.core.management.base import CommandError
from django.db import Error, connection
from django.http import HttpRequest, HttpResponse

from config import health
from jobs.management import terminal
from jobs.management.operator import OperatorCommand
from jobs.management.terminal import Terminal, shown

CHECKS: dict[str, Callable[..., HttpResponse]] = {
    "ready": health.ready,
    "workers": health.workers,
    "queues": health.queues,
}
HINTS = {
    "ready": "Is the database of DATABASE_URL up, and `manage.py migrate` done?",
    "workers": "Start workers, clock and beat (README.md); `manage.py jobs workers` tells which are absent. "
    "If they run, the broker does not answer them (BROKER_URL).",
    "queues": "`manage.py jobs queues` tells which is late or paused.",
}
VERDICTS = ("healthy", "ready")


class Command(OperatorCommand):
    help = "Whether the database is ready, and workers and queues do their work. Exit codes: 0 yes, 1 no."
    requires_system_checks: tuple[str, ...] = ()  # they would end with a traceback while the database is away

    def add_arguments(self, parser: ArgumentParser) -> None:
        terminal.add_options(parser)
        parser.add_argument("check", nargs="*", choices=[[], *CHECKS], metavar="CHECK", help=", ".join(CHECKS))

    def handle(self, *args: Any, **options: Any) -> None:
        screen, bad = Terminal(self, options), []
        for name in options["check"] or CHECKS:
            answer = asked(CHECKS[name])
            well = any(answer.get(verdict) for verdict in VERDICTS)
            bad += [] if well else [name]
            if screen.json:
                screen.record({"check": name, "well": well} | answer)
                continue
            screen.say(f"{name}: {'well' if well else 'NOT WELL'}")
            screen.facts({f"  {fact}": shown(value) for fact, value in told(answer) if fact not in VERDICTS})
        if bad:
            raise CommandError(f"Not well: {', '.join(bad)}. {' '.join(HINTS[name] for name in bad)}")


def asked(view: Callable[..., HttpResponse]) -> dict[str, Any]:
    """What the endpoint answers, without its limit for strangers."""
    try:
        answer: dict[str, Any] = json.loads(inspect.unwrap(view)(HttpRequest()).content)
    except Error:
        connection.close()
        return {"healthy": False, "database": False}
    return answer


def told(answer: Mapping[str, Any], within: str = "") -> list[tuple[str, Any]]:
    """Its facts, one level deep."""
    found: list[tuple[str, Any]] = []
    for name, value in answer.items():
        found += told(value, f"{name}_") if isinstance(value, Mapping) else [(f"{within}{name}", value)]
    return found
