"""`manage.py jobs stats`, `queues` and `workers`: how things are, as the dashboard knows it."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from celery import current_app

from jobs import crews, stats
from jobs.bulk import database_now
from jobs.management import words
from jobs.management.terminal import NotDone, Record, Terminal, shown
from jobs.management.verbs import verb
from jobs.stats import Lane

QUEUES = (
    *("queue", "due", "late", "queued", "window", "running", "concurrency", "rate"),
    *("processes", "desired", "paused"),
)


def add(verbs: Any) -> None:
    verb(verbs, "stats", tell_stats, "how many jobs there are of each state, and how late what is due is")
    verb(verbs, "queues", tell_queues, "each queue: due, running, its limits, its processes, its pause")
    crew = verb(verbs, "workers", tell_workers, "who works for which queue: desired, actual, and each worker")
    crew.add_argument("queue", nargs="?", help="only this one")


def tell_stats(options: Mapping[str, Any], terminal: Terminal) -> None:
    now = database_now()
    waiting = stats.due(now)
    oldest = min((one.oldest for one in waiting.values() if one.oldest), default=None)
    counts = stats.counts()
    told = {"at": now, **{state: _number(number, terminal) for state, number in counts.items()}}
    terminal.facts(told | {"oldest_due": oldest, "late": now - oldest if oldest else None})


def _number(number: int, terminal: Terminal) -> int | str:
    """More than were counted, as people read it. A program finds `MOST` + 1."""
    return f"{stats.MOST:,}+" if number > stats.MOST and not terminal.json else number


def tell_queues(options: Mapping[str, Any], terminal: Terminal) -> None:
    now = database_now()
    traffic = stats.traffic(now)
    if not terminal.rows([queue_record(lane, now) for lane in traffic.lanes], QUEUES):
        raise NotDone("No queue has had a job yet.")
    for one in traffic.pauses:
        until = f"until {shown(one.until)}" if one.until else "until resumed"
        terminal.warn(f"Paused: {one.kind} {one.name or '(no tenant)'} {until}, by {one.by}. {one.reason}".rstrip())


def queue_record(lane: Lane, now: datetime) -> Record:
    oldest, pause, rate = lane.due.oldest, lane.pause, lane.rate
    return {
        "queue": lane.row.name,
        "due": lane.due.number,
        "oldest_due": oldest,
        "late": now - oldest if oldest else None,
        "queued": lane.queued,
        "window": lane.row.window,
        "running": lane.running,
        "concurrency": lane.row.concurrency,
        "rate": f"{rate.count} per {shown(rate.period)}" if rate else None,
        "processes": lane.crew.actual,
        "desired": lane.crew.desired,
        "paused": pause is not None,
        "paused_until": pause.until if pause else None,
        "paused_by": pause.by if pause else None,
        "paused_because": pause.reason if pause else None,
    }


def tell_workers(options: Mapping[str, Any], terminal: Terminal) -> None:
    named = options["queue"]
    for crew in crews.of([words.known("queue", named)] if named else list(current_app.amqp.queues)):
        if terminal.json:
            terminal.record(crew_record(crew))
            continue
        terminal.say(line(crew))
        for text in _members(crew):
            terminal.say(f"  {text}")


def crew_record(crew: crews.Crew) -> dict[str, Any]:
    members = [
        {"worker": one.worker, "processes": one.processes, "scalable": one.scalable, "here": here, "seen": one.seen_at}
        for some, here in ((crew.members, True), (crew.absent, False))
        for one in some
    ]
    told = {"queue": crew.queue, "desired": crew.desired, "why": crew.why, "actual": crew.actual}
    return told | {"workers": members}


def line(crew: crews.Crew) -> str:
    desired = "as started" if crew.desired is None else crew.desired
    return f"{crew.queue}: desired {desired}{f' ({crew.why})' if crew.why else ''}, actual {crew.actual}"


def _members(crew: crews.Crew) -> Iterator[str]:
    for member in crew.members:
        yield f"{member.worker}: {member.processes}{'' if member.scalable else ', cannot be scaled'}"
    for member in crew.absent:
        yield f"{member.worker}: absent since {shown(member.seen_at)} (had {member.processes})"
