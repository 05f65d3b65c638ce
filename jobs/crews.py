"""The crew of a queue: the workers that serve it, how many processes they have, and how many somebody wants.

Used by each worker's scaler, by `manage.py jobs scale` and `jobs workers`, and by the admin. The promise: workers that
read the same rows come to the same shares, so they need neither a leader nor messages to each other, and a worker that
was restarted, or is gone, is counted as what it is.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Case, Q, Value, When
from django.db.models.functions import Now

from jobs.models import Queue, QueueWorker

STALE = timedelta(seconds=15)  # after this long without a word a worker is not counted: workers speak every 4
FORGOTTEN = timedelta(days=1)  # for so long a worker that went away without a word is shown as absent

# One from the future is stale too: the clock was set back.
PRESENT = Q(seen_at__gt=Now() - STALE, seen_at__lt=Now() + STALE)
HERE = Case(When(PRESENT, then=Value(True)), default=Value(False))


@dataclass(frozen=True)
class Crew:
    """Who works for a queue. `desired` is None where nobody wants anything but what the workers were started with."""

    queue: str
    desired: int | None
    why: str
    members: list[QueueWorker]
    absent: list[QueueWorker]  # went away without a word; they are not counted

    @property
    def actual(self) -> int:
        """The processes of all members. Those of a worker that serves other queues too work for them as well."""
        return sum(member.processes for member in self.members)


def desire(queue: str, processes: int | None, *, by: str, reason: str = "") -> None:
    """Want so many processes for a queue, of all its workers together; None: as they were started.

    Kept until somebody wants something else. Raises ValueError for less than one and for more than JOBS_MAX_PROCESSES.
    """
    if processes is not None and not 1 <= processes <= settings.JOBS_MAX_PROCESSES:
        raise ValueError(f"{processes} is not between 1 and {settings.JOBS_MAX_PROCESSES} (JOBS_MAX_PROCESSES).")
    wanted = Queue(name=queue, desired_processes=processes, desired_by=by, desired_reason=reason)
    changes = ["desired_processes", "desired_by", "desired_reason"]
    Queue.objects.bulk_create([wanted], update_conflicts=True, unique_fields=["name"], update_fields=changes)


# --- What workers tell ----------------------------------------------------------------------------------


def tell(
    worker: str,
    queues: Iterable[str],
    processes: int,
    *,
    scalable: bool,
    started_at: datetime | None = None,
    memory: int | None = None,
) -> None:
    """Say that a worker is there. One statement."""
    told: dict[str, Any] = {"processes": processes, "scalable": scalable, "seen_at": Now()}
    told |= {"started_at": started_at, "memory": memory}
    rows = [QueueWorker(worker=worker, queue=queue, **told) for queue in queues]
    QueueWorker.objects.bulk_create(
        rows, update_conflicts=True, unique_fields=["queue", "worker"], update_fields=list(told)
    )


def leave(worker: str) -> None:
    """Say that a worker has stopped: the others need not wait until it is missed."""
    QueueWorker.objects.filter(worker=worker).delete()


def forget() -> int:
    """Delete the rows of workers that have been absent for long. Returns how many."""
    return QueueWorker.objects.filter(seen_at__lt=Now() - FORGOTTEN).delete()[0]


# --- Who there is, and what each should have ------------------------------------------------------------


def of(queues: Collection[str]) -> list[Crew]:
    """The crews of these queues, in the order of their names, as are the workers of each. Two statements."""
    rows = {row.name: row for row in Queue.objects.filter(pk__in=queues)}
    told: dict[str, tuple[list[QueueWorker], list[QueueWorker]]] = {name: ([], []) for name in queues}
    for row in QueueWorker.objects.filter(queue__in=queues).annotate(here=HERE).order_by("worker"):
        told[row.queue][0 if row.here else 1].append(row)
    return [_crew(rows.get(name) or Queue(name=name), *told[name]) for name in sorted(queues)]


def _crew(row: Queue, members: list[QueueWorker], absent: list[QueueWorker]) -> Crew:
    why = f"by {row.desired_by}. {row.desired_reason}".strip() if row.desired_by else ""
    return Crew(row.name, row.desired_processes, why, members, absent)


def wanted(worker: str, queues: Collection[str]) -> int | None:
    """How many processes a worker should have: enough for the queue that wants the most of it. None: nobody says."""
    shares = [share(crew, worker) for crew in of(queues) if crew.desired is not None]
    return min(max(shares), settings.JOBS_MAX_PROCESSES) if shares else None


def share(crew: Crew, worker: str) -> int:
    """One worker's part of what is desired: the same for all, what is left over goes to the first by name.

    At least one: a worker without processes would take messages and keep them. Workers that cannot be scaled count
    with what they have.
    """
    movable = sorted(member.worker for member in crew.members if member.scalable)
    if crew.desired is None or worker not in movable:
        raise LookupError(f"{worker} has no part in {crew.queue}")
    rest = crew.desired - sum(member.processes for member in crew.members if not member.scalable)
    each, left = divmod(max(rest, 0), len(movable))
    return max(each + (movable.index(worker) < left), 1)
