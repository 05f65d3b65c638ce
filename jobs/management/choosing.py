"""Which jobs a verb is about: ids or unique keys, or the filters that the admin's list has.

Used by `looking`, `ordering` and `carrying`. The promise: a verb that changes jobs is never about all of them because
somebody forgot to say which.
"""

from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from typing import Any, get_args
from uuid import UUID

from django.utils import timezone
from pydantic import ValidationError

from jobs import listing
from jobs.ids import parsed
from jobs.listing import Selection
from jobs.management import words
from jobs.management.terminal import Usage
from jobs.models import Job

FILTERS = ("state", "queue", "task", "tenant", "tag", "signature", "run_from", "run_until", "search")


def add_filters(parser: ArgumentParser) -> None:
    states = sorted({*get_args(listing.Word)} - {""} | {*listing.WORDS})
    which = parser.add_argument_group("which jobs")
    which.add_argument("--state", default="", choices=states, metavar="STATE", help=", ".join(states))
    which.add_argument("--queue", default="")
    which.add_argument("--task", default="")
    which.add_argument("--tenant", default="")
    which.add_argument("--tag", default="", help="what it is about: its correlation id")
    which.add_argument("--signature", default="", help="of the error that it failed with: see jobs show")
    which.add_argument(
        "--from", dest="run_from", type=words.instant, metavar="MOMENT", help='due at or after: "2h ago", ISO 8601'
    )
    which.add_argument("--until", dest="run_until", type=words.instant, metavar="MOMENT", help="due before")
    which.add_argument("--search", default="", metavar="TEXT", help="an id, a unique key, a tag, or what a page shows")


def selection(options: Mapping[str, Any], ids: Sequence[UUID] = ()) -> Selection:
    """The filters of the options, and only these ids if there are any. Raises Usage."""
    given = {name: options[name] for name in FILTERS if options[name]}
    given["state"] = listing.WORDS.get(options["state"], options["state"])
    if options["queue"]:
        words.known("queue", options["queue"])
    for name in ("run_from", "run_until"):
        if name in given:
            given[name] = timezone.localtime(given[name])
    try:
        return Selection(ids=tuple(ids), **given)
    except ValidationError as exc:
        raise Usage("; ".join(f"{error['loc'][0]}: {error['msg']}" for error in exc.errors())) from None


def is_narrowed(options: Mapping[str, Any]) -> bool:
    return any(options[name] for name in FILTERS)


def ids_of(names: Sequence[str]) -> tuple[list[UUID], list[str]]:
    """The ids of the jobs that these ids and unique keys name, in that order; and names of no job. Two statements.

    Raises Usage for a key that several tenants have.
    """
    by_id = {name: pk for name in names if (pk := parsed(name))}
    there = set(Job.objects.filter(pk__among=list(by_id.values())).values_list("pk", flat=True))
    keyed = Job.objects.filter(unique_key__in=[name for name in names if name not in by_id])
    by_key: dict[str, UUID] = {}
    for key, tenant, pk in keyed.order_by("tenant").values_list("unique_key", "tenant", "pk"):
        if by_key.setdefault(str(key), pk) != pk:
            raise Usage(f"{key} is a key of several tenants; say the id: {by_key[str(key)]}, or {pk} of {tenant}.")
    found = {name: by_id[name] if by_id.get(name) in there else by_key.get(name) for name in names}
    return [pk for pk in dict.fromkeys(found.values()) if pk], [name for name, pk in found.items() if pk is None]
