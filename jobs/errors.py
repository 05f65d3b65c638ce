"""Failed jobs that failed alike: by the signature of their error, see signatures.py.

Used by the admin and the API. One query, which reads the newest `listing.MOST` of what failed and nothing else: it
takes as long with a million failed jobs as with ten thousand.
"""

from dataclasses import dataclass
from datetime import datetime

from django.db.models import QuerySet

from jobs import listing
from jobs.expressions import indexed
from jobs.models import Job

MOST = 200  # kinds of errors on a page


@dataclass
class Group:
    signature: str
    count: int
    first: datetime | None
    last: datetime | None
    tasks: list[str]


@dataclass
class Groups:
    found: list[Group]
    more: bool  # not all of what failed was looked at


def groups(jobs: "QuerySet[Job]") -> Groups:
    """The most frequent first."""
    newest = jobs.filter(indexed(Job.State.FAILED)).order_by("-pk")
    rows = list(newest.values_list("signature", "task", "finished_at")[: listing.MOST + 1])
    more, found = len(rows) > listing.MOST, dict[str, Group]()
    for signature, task, at in rows[: listing.MOST]:
        group = found.setdefault(signature, Group(signature, 0, at, at, []))
        group.count += 1
        group.first = min((one for one in (group.first, at) if one), default=None)
        group.last = max((one for one in (group.last, at) if one), default=None)
        if task not in group.tasks:
            group.tasks.append(task)
    told = sorted(found.values(), key=lambda group: (-group.count, group.signature))
    return Groups(told[:MOST], more)
