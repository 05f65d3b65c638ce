"""Unique keys that outlive their job: the second call with a key is the first job, even when it is long deleted.

Used by `ledger.enqueue`, by imports and the pruner. While the job is there, its row's unique columns decide. The pruner
deletes the row and writes the key here in one transaction, so an insert that succeeded after the deletion finds the key
here. A key is its tenant's: what one calls a job neither stops nor tells another. Code outside of tenants has the empty
one's. A job that was imported and has no key is remembered by its id: its file may be imported again.
"""

import uuid
from collections.abc import Iterable, Sequence

from django.db.models import Exists, OuterRef
from django.db.models.functions import Now

from jobs.models import Job, JobEvent, UniqueKey

IMPORT = "import"  # the verb on record of a job that came with a file
SOME = 500  # of a statement

Name = tuple[str, str]  # tenant, key


def names(job: Job) -> list[Name]:
    """By its key, if it has one, and as one that was imported."""
    by_key = [] if job.unique_key is None else [(job.tenant, job.unique_key)]
    return [*by_key, ("", imported(job.pk))]  # an id is nobody's: whoever's job it was


def imported(pk: uuid.UUID) -> str:
    """What an imported job without a key is remembered by."""
    return f"import:{pk}"


def spent(wanted: Iterable[Name]) -> dict[Name, uuid.UUID]:
    """Those that belong to a deleted job, with its id."""
    wanted = set(wanted)
    keys = sorted({key for _tenant, key in wanted})
    found: dict[Name, uuid.UUID] = {}
    for start in range(0, len(keys), SOME):
        rows = UniqueKey.objects.filter(key__in=keys[start : start + SOME]).values_list("tenant", "key", "job")
        found |= {(tenant, key): pk for tenant, key, pk in rows if (tenant, key) in wanted}
    return found


def withdraw_spent(jobs: Sequence[Job]) -> None:
    """Delete jobs that were inserted just now, in this transaction, though their key belongs to a deleted one.

    After the insert, not before: between a look and the insert the pruner could delete the first job.
    """
    if taken := spent((job.tenant, job.unique_key) for job in jobs if job.unique_key is not None):
        ours = [job.pk for job in jobs if (job.tenant, job.unique_key) in taken]
        deleted = UniqueKey.objects.filter(key=OuterRef("unique_key"), tenant=OuterRef("tenant"))
        new = Job.objects.filter(pk__among=ours, state=Job.State.SCHEDULED, token=0)
        # A second call with the id of one that waits inserted nothing, though an import may have kept its key since.
        # One whose moment the database wrote has an id of its own, which nobody could have named before.
        made = {job.pk: job.created_at for job in jobs}
        rows = new.filter(Exists(deleted)).values_list("pk", "created_at")
        Job.objects.filter(pk__in=[pk for pk, at in rows if made[pk] == at or isinstance(made[pk], Now)]).delete()


def first_with_key_of(job: Job) -> Job:
    """The deleted job that had the key first: its id and how it ended, without a row behind it."""
    kept = UniqueKey.objects.get(key=job.unique_key, tenant=job.tenant)
    first = Job(pk=kept.job, task=job.task, queue=job.queue, run_at=kept.pruned_at, state=kept.state)
    first.unique_key, first.tenant, first.reason = kept.key, kept.tenant, "finished and deleted before"
    return first


Finished = Iterable[tuple[uuid.UUID, str | None, str, str]]  # id, key, tenant, state


def keep(finished: Finished) -> None:
    """Remember the keys of jobs that are about to be deleted, in the same transaction."""
    rows = [
        UniqueKey(key=key, tenant=tenant, job=pk, state=state) for pk, key, tenant, state in finished if key is not None
    ]
    rows.sort(key=lambda row: (row.key, row.tenant))  # two who keep the same ones wait for each other in one order
    UniqueKey.objects.bulk_create(rows, ignore_conflicts=True)


def keep_imported(finished: Finished) -> None:
    """The same for those of them that came with an import and have no key."""
    without = {pk: state for pk, key, _tenant, state in finished if key is None}
    came = JobEvent.objects.filter(job__in=list(without), verb=IMPORT).values_list("job", flat=True)
    keep([(pk, imported(pk), "", without[pk]) for pk in set(came)])
