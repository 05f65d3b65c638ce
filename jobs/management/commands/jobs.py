"""`manage.py jobs`: stop and start sending from the command line, and say how many processes work.

    manage.py jobs pause queue messages --for 2h --reason "provider down"
    manage.py jobs resume queue messages
    manage.py jobs drain messages --timeout 10m
    manage.py jobs scale messages 8 --reason "newsletter"
    manage.py jobs scale messages as-started
    manage.py jobs workers

`drain` ends with 0 when nothing of the queue runs any more, and with 3 when the timeout was over before.
"""

import getpass
import re
import sys
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Collection
from datetime import timedelta
from typing import Any

from celery import current_app
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from jobs import crews, drains, pauses, registry
from jobs.models import Pause

NOT_EMPTY = 3
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def login() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container whose user has no name
        return "command line"


def duration(text: str) -> timedelta:
    """30, 30s, 10m, 2h or 1d."""
    found = re.fullmatch(r"(\d{1,6})([smhd]?)", text)
    if not found:
        raise ArgumentTypeError(f"{text!r} is no duration. Write 30s, 10m, 2h or 1d.")
    return timedelta(**{UNITS[found[2] or "s"]: int(found[1])})


def processes(text: str) -> int | None:
    """A number, or as-started."""
    if text == "as-started":
        return None
    if not text.isdecimal():
        raise ArgumentTypeError(f"{text!r} is no number of processes. Write 4, or as-started.")
    return int(text)


class Command(BaseCommand):
    help = "Pause, resume, drain and scale queues; pause and resume tasks and tenants; list the workers."

    def add_arguments(self, parser: ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        pause = verbs.add_parser("pause", help="stop sending; planning and cancelling go on")
        resume = verbs.add_parser("resume", help="send again")
        for verb in (pause, resume):
            verb.add_argument("kind", choices=Pause.Kind.values)
            verb.add_argument("name")
        pause.add_argument("--for", dest="lasting", type=duration, help="e.g. 2h; without it, until resumed")
        drain = verbs.add_parser("drain", help="pause a queue and wait until nothing of it runs")
        drain.add_argument("queue")
        drain.add_argument("--timeout", type=duration, default=timedelta(minutes=5), help="e.g. 10m (default: 5m)")
        scale = verbs.add_parser("scale", help="change how many processes work for a queue, while they work")
        scale.add_argument("queue")
        scale.add_argument("processes", type=processes, help="of all its workers together, or: as-started")
        workers = verbs.add_parser("workers", help="who works for which queue: desired, actual, and each worker")
        workers.add_argument("queue", nargs="?", help="only this one")
        for verb in (pause, drain, scale):
            verb.add_argument("--by", default=login(), help="who asks (default: your login)")
            verb.add_argument("--reason", default="")

    def handle(self, *args: Any, **options: Any) -> None:
        getattr(self, f"_{options['verb']}")(options)

    def _pause(self, options: dict[str, Any]) -> None:
        kind, name = options["kind"], _known(options["kind"], options["name"])
        until = timezone.now() + options["lasting"] if options["lasting"] else None
        released = pauses.pause(kind, [name], by=options["by"], reason=options["reason"], until=until)
        end = f"until {until:%Y-%m-%d %H:%M %Z}" if until else "until resumed"
        self.stdout.write(f"Paused {kind} {name} {end}; {released} queued jobs taken back.")

    def _resume(self, options: dict[str, Any]) -> None:
        kind, name = options["kind"], options["name"]
        if not pauses.resume(kind, [name]):
            raise CommandError(f"The {kind} {name} was not paused.")
        self.stdout.write(f"Resumed {kind} {name}.")

    def _drain(self, options: dict[str, Any]) -> None:
        queue, shown = _known("queue", options["queue"]), None
        reason = options["reason"] or "drained"
        for state in drains.drain(queue, options["timeout"], by=options["by"], reason=reason):
            if shown is None:
                self.stdout.write(f"Paused queue {queue}; {state.taken_back} queued jobs taken back.")
            if shown != state.running and not state.empty:
                self.stdout.write(f"{state.running} still running ...")
            shown = state.running
        seconds = f"{state.waited.total_seconds():.0f} s"
        if not state.empty:
            self.stderr.write(f"Not empty after {seconds}: {state.running} still running. The queue stays paused.")
            sys.exit(NOT_EMPTY)
        self.stdout.write(f"Empty after {seconds}. The queue stays paused: manage.py jobs resume queue {queue}")

    def _scale(self, options: dict[str, Any]) -> None:
        queue = _known("queue", options["queue"])
        try:
            crews.desire(queue, options["processes"], by=options["by"], reason=options["reason"])
        except ValueError as exc:
            raise CommandError(str(exc)) from None
        (crew,) = crews.of([queue])
        self.stdout.write(f"{_line(crew)}. Workers follow within ten seconds.")
        if not any(member.scalable for member in crew.members):
            self.stderr.write(f"No worker of {queue} can be scaled at this moment.")

    def _workers(self, options: dict[str, Any]) -> None:
        named = options["queue"]
        for crew in crews.of([_known("queue", named)] if named else list(current_app.amqp.queues)):
            self.stdout.write(_line(crew))
            for member in crew.members:
                fixed = "" if member.scalable else ", cannot be scaled"
                self.stdout.write(f"  {member.worker}: {member.processes}{fixed}")
            for member in crew.absent:
                seen = timezone.localtime(member.seen_at)
                self.stdout.write(
                    f"  {member.worker}: absent since {seen:%Y-%m-%d %H:%M:%S %Z} (had {member.processes})"
                )


def _line(crew: crews.Crew) -> str:
    desired = "as started" if crew.desired is None else crew.desired
    return f"{crew.queue}: desired {desired}{f' ({crew.why})' if crew.why else ''}, actual {crew.actual}"


def _known(kind: str, name: str) -> str:
    """The name, if it is no slip of the pen. Tenants are anybody's words."""
    names: dict[str, Collection[str]] = {"queue": list(current_app.amqp.queues), "task": registry.names()}
    if kind in names and name not in names[kind]:
        raise CommandError(f"There is no {kind} {name!r}. There are {', '.join(sorted(names[kind]))}.")
    return name
