"""A named batch of jobs: how far it is, what to call at its end, and one cancel for all.

Used by applications. A batch is a group of the ledger (see `groups`), so its callbacks are jobs, called once each.

    batch = batches.start("invoices of May", [send_invoice.s(n) for n in ids], on_finished=report.s())
    batches.progress(batch.pk)          # Progress(total=300, states={"succeeded": 120, "scheduled": 180})
    batches.cancel(batch.pk, "wrong month")
"""

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from celery.canvas import Signature
from django.db import transaction
from django.db.models import Count

from jobs import canvas, groups, ledger, registry
from jobs.models import Cancelled, Group, Job


@dataclass(frozen=True)
class Progress:
    """How many jobs of a batch are in each state. States without jobs are left out."""

    total: int
    states: dict[str, int]

    @property
    def finished(self) -> int:
        return self.total - sum(self.states.get(state, 0) for state in Job.UNFINISHED)


def start(
    name: str, calls: Iterable[Signature], *, on_finished: Signature | None = None, on_failed: Signature | None = None
) -> Group:
    """Insert the jobs, all or none, in the caller's transaction.

    `on_finished` is called with the batch's id when every job is finished, whatever became of it; `on_failed` at the
    first that fails, expires or is cancelled. Each is a signature of a durable task, and called at most once.
    """
    for callback in (on_finished, on_failed):
        if callback is not None and not canvas.is_durable(callback):
            raise TypeError(f"{callback.task} is not durable: the end of a batch has to be a job, or it may get lost.")
    batch = Group(name=name, on_finished=_kept(on_finished), on_failed=_kept(on_failed))
    jobs = [_job(call, batch.pk, index) for index, call in enumerate(calls)]
    batch.size = len(jobs)
    with transaction.atomic():
        batch.save(force_insert=True)
        ledger.enqueue_many(jobs)
        if Job.objects.filter(group_id=batch.pk).count() < batch.size:
            raise ValueError(
                "A batch counts its jobs, and one with such a task_id is there already. Leave task_id out."
            )
        if not jobs:
            groups.end(batch.pk)
    return batch


def progress(pk: uuid.UUID) -> Progress:
    """Counted now, in one query."""
    rows = Job.objects.filter(group_id=pk).values_list("state").annotate(Count("pk")).order_by("state")
    states = dict(rows)
    return Progress(sum(states.values()), states)


def cancel(pk: uuid.UUID, reason: str) -> dict[uuid.UUID, Cancelled]:
    """Cancel what has not finished. Answers for each job: cancelled, in flight, or finished before."""
    outcome = ledger.cancel(Job.objects.filter(group_id=pk).values_list("pk", flat=True), reason)
    groups.end(pk)
    return outcome


def _job(call: Signature, batch: uuid.UUID, index: int) -> Job:
    if call.subtask_type:
        raise TypeError(
            f"A batch is made of single calls; {call.subtask_type} is none. Start it with the batch's own job."
        )
    options = {key: value for key, value in call.options.items() if key not in ("group_id", "group_index")}
    if options.get("unique_key"):
        raise TypeError("A batch counts its jobs; one with a unique_key might be another's.")
    return registry.named(str(call.task)).job(call.args, call.kwargs, group_id=batch, group_index=index, **options)


def _kept(callback: Signature | None) -> Any:
    return None if callback is None else canvas.plain(callback)
