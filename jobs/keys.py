"""Unique keys that outlive their job: the second call with a key is the first job, even when it is long deleted.

Used by `ledger.enqueue` and the pruner. While the job is there, its row's unique column decides. The pruner deletes the
row and writes the key here in one transaction, so an insert that succeeded after the deletion finds the key here.
"""

import uuid
from collections.abc import Iterable, Sequence

from jobs.models import Job, UniqueKey


def withdraw_spent(jobs: Sequence[Job]) -> None:
    """Take back those of the rows, just inserted in this transaction, whose key belongs to a deleted job.

    After the insert, not before: between a look and the insert the pruner could delete the first job.
    """
    wanted = [job.unique_key for job in jobs if job.unique_key is not None]
    for start in range(0, len(wanted), 500):
        spent = list(UniqueKey.objects.filter(key__in=wanted[start : start + 500]).values_list("key", flat=True))
        if spent:
            ours = [job.pk for job in jobs if job.unique_key in spent]
            Job.objects.filter(pk__in=ours, unique_key__in=spent, state=Job.State.SCHEDULED, token=0).delete()


def first_with_key_of(job: Job) -> Job:
    """The deleted job that had the key first: its id and how it ended, without a row behind it."""
    kept = UniqueKey.objects.get(key=job.unique_key)
    first = Job(pk=kept.job, task=job.task, queue=job.queue, run_at=kept.pruned_at, state=kept.state)
    first.unique_key, first.reason = kept.key, "finished and deleted before"
    return first


def keep(finished: Iterable[tuple[uuid.UUID, str | None, str]]) -> None:
    """Remember the keys of jobs (id, key, state) that are about to be deleted, in the same transaction."""
    rows = [UniqueKey(key=key, job=pk, state=state) for pk, key, state in finished if key is not None]
    UniqueKey.objects.bulk_create(rows, ignore_conflicts=True)
