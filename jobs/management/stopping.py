"""`manage.py jobs pause`, `resume`, `drain` and `scale`: stop and start sending, and say how many processes work."""

from argparse import ArgumentParser
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from jobs import crews, drains, pauses
from jobs.bulk import database_now
from jobs.management import figures, words
from jobs.management.terminal import NotDone, Terminal, Usage, shown
from jobs.management.verbs import verb
from jobs.models import Pause


def add(verbs: Any) -> None:
    stop = verb(verbs, "pause", pause, "stop sending; planning and cancelling go on")
    go_on = verb(verbs, "resume", resume, "send again")
    for parser in (stop, go_on):
        parser.add_argument("kind", choices=Pause.Kind.values)
        parser.add_argument("name")
    stop.add_argument(
        "--for",
        dest="lasting",
        type=words.pause,
        metavar="DURATION",
        help="2h, at most 366d; without it, until resumed",
    )
    empty = verb(verbs, "drain", drain, "pause a queue and wait until nothing of it runs")
    empty.add_argument("queue")
    empty.add_argument(
        "--timeout", type=words.age, default=timedelta(minutes=5), metavar="DURATION", help="10m (default: 5m)"
    )
    crew = verb(verbs, "scale", scale, "change how many processes work for a queue, while they work")
    crew.add_argument("queue")
    crew.add_argument("processes", type=words.processes, help="of all its workers together, or: as-started")
    asking: tuple[ArgumentParser, ...] = (stop, empty, crew)
    for parser in asking:
        words.add_why(parser)


def pause(options: Mapping[str, Any], terminal: Terminal) -> None:
    kind, name = options["kind"], words.known(options["kind"], options["name"])
    until = database_now() + options["lasting"] if options["lasting"] else None
    released = pauses.pause(kind, [name], by=options["by"], reason=options["reason"], until=until)
    end = f"until {shown(until)}" if until else "until resumed"
    facts = {"paused": kind, "name": name, "until": until, "taken_back": released}
    terminal.say(f"Paused {kind} {name} {end}; {released} queued jobs taken back.", **facts)


def resume(options: Mapping[str, Any], terminal: Terminal) -> None:
    kind, name = options["kind"], options["name"]
    if not pauses.resume(kind, [name]):
        raise NotDone(f"The {kind} {name} was not paused.")
    terminal.say(f"Resumed {kind} {name}.", resumed=kind, name=name)


def drain(options: Mapping[str, Any], terminal: Terminal) -> None:
    queue, shown_before = words.known("queue", options["queue"]), None
    reason = options["reason"] or "drained"
    for state in drains.drain(queue, options["timeout"], by=options["by"], reason=reason):
        facts = {"queue": queue, "taken_back": state.taken_back, "running": state.running, "waited": state.waited}
        if terminal.json and shown_before != state.running:
            terminal.record(facts)
        elif not terminal.json and shown_before is None:
            terminal.say(f"Paused queue {queue}; {state.taken_back} queued jobs taken back.")
        if not terminal.json and shown_before != state.running and not state.empty:
            terminal.say(f"{state.running} still running ...")
        shown_before = state.running
    if not state.empty:
        raise NotDone(f"Not empty after {shown(state.waited)}: {state.running} still running. The queue stays paused.")
    if not terminal.json:
        terminal.say(f"Empty after {shown(state.waited)}. The queue stays paused: manage.py jobs resume queue {queue}")


def scale(options: Mapping[str, Any], terminal: Terminal) -> None:
    queue = words.known("queue", options["queue"])
    try:
        crews.desire(queue, options["processes"], by=options["by"], reason=options["reason"])
    except ValueError as exc:
        raise Usage(str(exc)) from None
    (crew,) = crews.of([queue])
    terminal.say(f"{figures.line(crew)}. Workers follow within ten seconds.", **figures.crew_record(crew))
    if not any(member.scalable for member in crew.members):
        terminal.warn(f"No worker of {queue} can be scaled at this moment.")
