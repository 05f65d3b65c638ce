"""`manage.py jobs enqueue` and `schedule`: put a job in.

Through the same door as code and the API, so arguments are checked against the task; and with a record of who did it.
"""

from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any

from django.db import transaction

from jobs import aliases, ledger
from jobs.durable import Durable, Priority
from jobs.library import people
from jobs.management import words
from jobs.management.terminal import Terminal, Usage, shown
from jobs.management.verbs import verb
from jobs.models import Job
from jobs.orders import Asked

LEVELS = [name.lower() for name in Priority.names]


def add(verbs: Any) -> None:
    now = verb(verbs, "enqueue", enqueue, "make a job that runs as soon as it can")
    now.add_argument("task", help="its name: see jobs types")
    now.add_argument("--run-at", default="", metavar="TIME", help='not before: "in 30 minutes", ISO 8601')
    later = verb(verbs, "schedule", schedule, "make a job that runs at a time")
    later.add_argument("task", help="its name: see jobs types")
    later.add_argument("run_at", metavar="TIME", help='"in 30 minutes", "tomorrow at 9am", ISO 8601')
    for parser in (now, later):
        _add_options(parser)


def _add_options(parser: ArgumentParser) -> None:
    parser.add_argument("--data", type=words.data, default={}, help="arguments: a JSON object, a list, or @FILE")
    parser.add_argument("--queue", default=None, help="not the task's own")
    parser.add_argument("--priority", choices=LEVELS, metavar="PRIORITY", help=", ".join(LEVELS))
    parser.add_argument("--key", default=None, help="unique key: a second call with it is the first job")
    parser.add_argument("--tenant", default="")
    parser.add_argument("--tag", default="", help="what it is about, to find it by")
    parser.add_argument("--max-attempts", type=words.number(1, 10_000), metavar="NUMBER", help="in place of the task's")
    words.add_why(parser)


def schedule(options: Mapping[str, Any], terminal: Terminal) -> None:
    enqueue(options, terminal)


def enqueue(options: Mapping[str, Any], terminal: Terminal) -> None:
    kind = words.task(aliases.meant(options["task"]))
    if kind.internal and not aliases.is_read(options["task"]):
        raise Usage(f"{kind.name} is called by the application alone.")
    job = _row(kind, options)
    with transaction.atomic():
        first = ledger.enqueue(job)
        if new := first.pk == job.pk:
            asked = Asked(options["by"], options["reason"])
            asked.write("enqueue", {first.pk: ""}, {first.pk: "made"})
    when = f"for {shown(first.run_at)}" if new else f"is there already, {first.state}"
    told = {"id": first.pk, "task": first.task, "state": first.state, "run_at": first.run_at, "new": new}
    terminal.say(f"{first.pk}: {first.task} in {first.queue} {when}.", **told, queue=first.queue)


def _row(kind: Durable, options: Mapping[str, Any]) -> Job:
    data = options["data"]
    called: dict[str, Any] = {
        "queue": options["queue"],
        "priority": options["priority"],
        "unique_key": options["key"] or None,
        "tenant": options["tenant"],
        "correlation_id": options["tag"],
        "max_attempts": options["max_attempts"],
        "eta": words.coming(options["run_at"]) if options["run_at"] else None,
    }
    args, named = (data, {}) if isinstance(data, list) else ([], data)
    try:
        return aliases.job(kind, options["task"], args, named, people.trusted(options["by"]), **called)
    except (TypeError, ValueError) as exc:
        raise Usage(f"{kind.name}: {exc} Its arguments: manage.py jobs types {kind.name}") from None
