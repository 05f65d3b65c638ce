"""`manage.py jobs clean`: delete finished jobs before the pruner would. Their unique keys stay."""

import logging
import sys
from collections.abc import Mapping
from typing import Any

from django.db.models import Q

from jobs import pruner
from jobs.management import asking, words
from jobs.management.terminal import NotDone, Terminal, shown
from jobs.management.verbs import verb
from jobs.models import Job

logger = logging.getLogger(__name__)

STATES = [state.value for state in Job.State if state not in Job.UNFINISHED]


def add(verbs: Any) -> None:
    parser = verb(verbs, "clean", clean, "delete jobs that are over; their unique keys stay")
    parser.add_argument("state", choices=STATES)
    parser.add_argument(
        "--older", type=words.age, required=True, metavar="DURATION", help="that ended longer ago than: 24h, 7d"
    )
    parser.add_argument("--queue", default="")
    parser.add_argument("--task", default="")
    parser.add_argument("--limit", type=words.number(), metavar="NUMBER", help="so many at most, the oldest first")
    parser.add_argument("--dry-run", action="store_true", help="tell how many it would be, delete nothing")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    words.add_why(parser)


def clean(options: Mapping[str, Any], terminal: Terminal) -> None:
    state, older, by, reason = (options[name] for name in ("state", "older", "by", "reason"))
    narrower = Q(**{name: options[name] for name in ("queue", "task") if options[name]})
    rows, limit = pruner.over(Job.objects.filter(narrower), state, older), options["limit"] or sys.maxsize
    number = rows.order_by()[: options["limit"]].count()
    told = {"state": state, "older": older, "dry_run": options["dry_run"]}
    ended = f"{state} jobs that ended more than {shown(older)} ago"
    if options["dry_run"]:
        terminal.say(f"It would delete {number:,} {ended}.", jobs=number, **told)
    elif number:
        asking.agree(f"Delete {number:,} {ended}", yes=options["yes"])
        number = pruner.clean(rows, limit)
        logger.info("cleaned state=%s jobs=%s by=%s reason=%s", state, number, by, reason)
        terminal.say(f"Deleted {number:,} {ended}.", jobs=number, **told)
    if not number:
        raise NotDone(f"There are no {ended}.")
