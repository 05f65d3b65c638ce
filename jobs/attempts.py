"""The story of an attempt: written when the ledger ends one that did not simply succeed.

Used by `ledger`, in the transaction of the verb.
"""

from collections.abc import Iterable

from jobs import canvas
from jobs.models import Attempt, Job


def tell(moved: Iterable[Job], attempt: Attempt) -> bool:
    """Keep the attempt's story, if it was the caller's to end, and call the errbacks of what failed for good."""
    rows = list(moved)
    for job in rows:
        if job.state == Job.State.CANCELLED:
            attempt.outcome = Attempt.Outcome.STOPPED
        attempt.job, attempt.number = job, job.token
        attempt.worker = attempt.worker or job.worker  # a job that is scheduled again names no worker any more
        attempt.started_at = attempt.started_at or job.started_at
        attempt.save(force_insert=True)
    canvas.call_errbacks(rows)
    return bool(rows)
