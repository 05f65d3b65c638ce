"""What the holder of a job may do while it runs, none of which changes its state: beat, tell, ask.

Used by the heartbeat and by `running`. Each is guarded by the attempt: whoever lost the job changes nothing.
"""

import uuid
from collections.abc import Iterable
from typing import Any

from django.db import transaction
from django.db.models.functions import Now

from jobs.expressions import in_state
from jobs.leases import LEASE
from jobs.ledger import Moment
from jobs.models import Job
from jobs.transitions import S, lock


def beat(held: Iterable[uuid.UUID], worker: str, *, now: Moment | None = None) -> int:
    """Extend the leases of the jobs that `worker` still works on. Returns how many it still has."""
    at = now or Now()
    with transaction.atomic():
        mine = lock(Job.objects.filter(in_state(S.RUNNING), pk__among=held, worker=worker).order_by("pk"), wait=True)
        return mine.update(lease_until=at + LEASE)


def tell(job: Job, **said: Any) -> bool:
    """Write progress, log or checkpoint, if the caller still holds the attempt."""
    return bool(Job.objects.filter(pk=job.pk, token=job.token, state=S.RUNNING).update(**said))


def asked_to_stop(ids: Iterable[uuid.UUID]) -> set[uuid.UUID]:
    """Which of these jobs a cancel was asked for."""
    return set(Job.objects.filter(pk__among=ids, cancel_requested=True).values_list("pk", flat=True))
