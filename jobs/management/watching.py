"""`manage.py jobs watch`: queues, rates, lateness and workers, looked at again and again until Ctrl-C.

A live page on a terminal; one JSON object a look in a pipe. Each look is a fixed number of statements that go by an
index, so watching costs the database the same with a million jobs.
"""

import time
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.db import Error, connection
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from jobs import stats
from jobs.bulk import database_now
from jobs.management import figures, words
from jobs.management.terminal import Record, Terminal, drawn, harmless, shown
from jobs.management.verbs import verb

SPAN = timedelta(minutes=1)  # over which rates are counted
WORKERS = ("worker", "processes", "queues", "here", "seen")


def add(verbs: Any) -> None:
    parser = verb(verbs, "watch", watch, "look at queues, rates, lateness and workers until Ctrl-C")
    parser.add_argument("--once", action="store_true", help="one look")
    parser.add_argument("--every", type=words.duration, default=timedelta(seconds=2), metavar="DURATION")


def watch(options: Mapping[str, Any], terminal: Terminal) -> None:
    try:
        if terminal.json:
            _lines(options, terminal)
        elif options["once"]:
            terminal.console.print(page(look(), terminal.console))
        else:
            _live(options, terminal)
    except KeyboardInterrupt:
        return  # that is how it ends


def look() -> Record:
    """How things are at this moment."""
    now = database_now()
    traffic, pulse, ended = stats.traffic(now), stats.pulse(), stats.finished_since(now - SPAN)
    queues = [figures.queue_record(lane, now) for lane in traffic.lanes]
    return {
        "at": now,
        "due": sum(lane.due.number for lane in traffic.lanes),
        "late": max((one["late"] for one in queues if one["late"]), default=timedelta()),
        "running": sum(lane.running for lane in traffic.lanes),
        "processes": traffic.processes,
        "a_minute": ended,
        "failed": stats.counts(only=("failed",))["failed"],
        "beat": pulse.beat,
        "clock": pulse.clock,
        "held": pulse.held_reason if pulse.held_since else None,
        "queues": queues,
        "workers": [
            {"worker": one.name, "processes": one.processes, "queues": one.queues, "here": one.here, "seen": one.seen}
            for one in traffic.workers
        ],
    }


def page(seen: Record, console: Console) -> Group:
    minute = ", ".join(f"{number:,} {state}" for state, number in seen["a_minute"].items() if number) or "nothing"
    lines = [
        f"{shown(seen['at'])}   due {seen['due']:,}   late {shown(seen['late'])}   running {seen['running']:,} "
        f"on {seen['processes']} processes   failed {seen['failed']:,}",
        f"last minute: {minute}   beat {_ago(seen['beat'])}   clock {_ago(seen['clock'])}",
    ]
    if seen["held"]:
        lines.append(f"HELD, nothing is sent: {harmless(seen['held'])}. manage.py release_hold")
    workers = [one | {"queues": ", ".join(one["queues"])} for one in seen["workers"]]
    queues = drawn(seen["queues"], figures.QUEUES, console) if seen["queues"] else Text("No queue has had a job yet.")
    crew = drawn(workers, WORKERS, console) if workers else Text("No workers.")
    return Group(*map(Text, lines), Text(), queues, Text(), crew)


def _ago(span: timedelta | None) -> str:
    return "never" if span is None else f"{shown(span)} ago"


def _lines(options: Mapping[str, Any], terminal: Terminal) -> None:
    while True:
        terminal.record(_seen())
        if options["once"]:
            return
        time.sleep(options["every"].total_seconds())


def _live(options: Mapping[str, Any], terminal: Terminal) -> None:
    with Live(console=terminal.console, screen=True, auto_refresh=False) as live:
        while True:
            seen = _seen()
            live.update(Text(seen["error"]) if "error" in seen else page(seen, terminal.console), refresh=True)
            time.sleep(options["every"].total_seconds())


def _seen() -> Record:
    """A look, or why there is none: a database that restarts ends no watch."""
    try:
        return look()
    except Error as exc:
        connection.close()
        return {"error": harmless(f"The database does not answer: {exc}".strip())}
