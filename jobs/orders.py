"""What people and other programs ask of jobs, with a record of who and why. The verbs themselves are the ledger's.

Called by the admin and by `revoking` (Flower). The promise: what was asked and that it was asked are one transaction,
and of several who ask for the same (every worker hears of a revoke) one is written down: the one that changed the row.
"""

import uuid
from collections.abc import Iterable

from django.db import transaction

from jobs import ledger
from jobs.audit import JobEvent
from jobs.models import Job

CHUNK = 500  # rows a transaction: short locks


def cancel(ids: Iterable[uuid.UUID], *, by: str, reason: str) -> dict[uuid.UUID, ledger.Cancelled]:
    """As `ledger.cancel`: answers for each id that exists: cancelled, in flight, or finished before."""
    wanted = list(ids)
    receipts: dict[uuid.UUID, ledger.Cancelled] = {}
    for start in range(0, len(wanted), CHUNK):
        some = wanted[start : start + CHUNK]
        with transaction.atomic():
            unasked = Job.objects.filter(pk__in=some, cancel_requested=False).unfinished().order_by("pk")
            before = dict(unasked.select_for_update().values_list("pk", "state"))
            receipts |= ledger.cancel(some, reason)
            told = {"by": by[:150], "verb": "cancel", "reason": reason}
            JobEvent.objects.bulk_create(
                JobEvent(job_id=pk, before=state, outcome=receipts[pk], **told) for pk, state in before.items()
            )
    return receipts
