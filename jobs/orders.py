"""What people and other programs ask of jobs, with a record of who and why. The verbs themselves are the ledger's.

Called by `bulk_orders` (the admin) and by `revoking` (Flower). The promise: what was asked and that it was asked are
one transaction, and of several who ask for the same (every worker hears of a revoke) one is written down: the one
that changed the row.
"""

import uuid
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Case, Exists, F, OuterRef, Q, When
from django.db.models.functions import Now

from jobs import ledger
from jobs.audit import JobEvent, Order
from jobs.expressions import in_state
from jobs.models import Job

CHUNK = 500  # rows a transaction: short locks
S = Job.State

DONE, LEFT = "done", "left alone"


@dataclass(frozen=True)
class Asked:
    """Who wants it, why, and within which order."""

    by: str
    reason: str
    order: Order | None = None

    def write(self, verb: str, before: Mapping[uuid.UUID, str], outcomes: Mapping[uuid.UUID, str]) -> None:
        told = {"by": self.by[:150], "verb": verb, "reason": self.reason, "order": self.order}
        JobEvent.objects.bulk_create(
            JobEvent(job_id=pk, before=state, outcome=outcomes[pk], **told) for pk, state in before.items()
        )


def cancel(
    ids: Iterable[uuid.UUID], *, by: str, reason: str, order: Order | None = None
) -> dict[uuid.UUID, ledger.Cancelled]:
    """As `ledger.cancel`: answers for each id that exists: cancelled, in flight, or finished before."""
    wanted = list(ids)
    receipts: dict[uuid.UUID, ledger.Cancelled] = {}
    for start in range(0, len(wanted), CHUNK):
        some = wanted[start : start + CHUNK]
        with transaction.atomic():
            unasked = Job.objects.filter(pk__among=some, cancel_requested=False).unfinished().order_by("pk")
            before = dict(unasked.select_for_update().values_list("pk", "state"))
            receipts |= ledger.cancel(some, reason)
            Asked(by, reason, order).write("cancel", before, receipts)
    return receipts


# --- The others: each takes up to a chunk and says of each job that it was done, or left alone ----------------


Outcomes = dict[uuid.UUID, str]
Act = Callable[[Collection[uuid.UUID]], Collection[uuid.UUID]]


def retry(ids: Collection[uuid.UUID], asked: Asked, times: Mapping[uuid.UUID, datetime] | None = None) -> Outcomes:
    """Run again what is over. With `times`, each at its own: a thousand at once would knock out what has just risen."""
    run_at = ledger.ById(times) if times else None
    return _told("retry", ids, asked, lambda some: ledger.retry(some, run_at=run_at))


def run_now(ids: Collection[uuid.UUID], asked: Asked) -> Outcomes:
    """Let what waits for its time go with the next tick."""
    return _told("run_now", ids, asked, lambda some: ledger.retime(list(some), Now()))


def postpone(
    ids: Collection[uuid.UUID], asked: Asked, by: timedelta | None = None, to: datetime | None = None
) -> Outcomes:
    """Let what waits run later: `by` counts from its time, or from now if that is past; or `to` a moment."""
    from_when = Case(When(run_at__gt=Now(), then=F("run_at")), default=Now())
    return _told("postpone", ids, asked, lambda some: ledger.retime(list(some), to or from_when + by))


def reprioritise(ids: Collection[uuid.UUID], asked: Asked, priority: int) -> Outcomes:
    """Let it go before or after others of its queue, from the next dispatch on."""

    def act(some: Collection[uuid.UUID]) -> Collection[uuid.UUID]:
        rows = Job.objects.filter(~Q(priority=priority), in_state(S.SCHEDULED, S.QUEUED), pk__among=list(some))
        changed = set(rows.values_list("pk", flat=True))
        Job.objects.filter(pk__among=list(changed)).update(priority=priority)  # `_told` holds the rows
        return changed

    return _told("reprioritise", ids, asked, act)


def states(ids: Collection[uuid.UUID]) -> dict[uuid.UUID, str]:
    """Of those that there are, as they are at this moment: for a record of what was asked past these verbs."""
    return dict(Job.objects.filter(pk__among=list(ids)).values_list("pk", "state"))


def forget_reasons(ids: Iterable[uuid.UUID]) -> int:
    """Take away what people wrote when they asked something of these jobs; that they did stays. Returns how many."""
    told = JobEvent.objects.filter(job__in=list(ids)).exclude(reason="")
    same = Exists(told.filter(job=OuterRef("pk"), reason=OuterRef("reason")))
    Job.objects.filter(same, pk__in=told.values("job")).update(reason="")  # a cancel's reason is the job's as well
    return told.update(reason="")


def _told(verb: str, ids: Collection[uuid.UUID], asked: Asked, act: Act) -> Outcomes:
    with transaction.atomic():
        rows = Job.objects.filter(pk__among=list(ids)).order_by("pk").select_for_update()
        before = dict(rows.values_list("pk", "state"))
        done = set(act(list(before)))
        outcomes = {pk: DONE if pk in done else LEFT for pk in before}
        asked.write(verb, {pk: state for pk, state in before.items() if pk in done}, outcomes)
        return outcomes
