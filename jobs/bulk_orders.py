"""An order to many jobs: what it would do, and carrying it out, a chunk a transaction.

Called by the admin, the API and the command line. A few rows are done at once; more are the work of a durable job, and
so is what whoever gave the order did not end: `take_over`, by the clock. The promise: what a chunk did,
that it was asked for, and how far the order is, are one transaction: an order that is resumed does nothing twice and
leaves nothing out. Jobs that were made after it was shown are not touched; neither are orders themselves.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from celery import shared_task
from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet, Subquery, Value
from django.db.models.functions import Coalesce, Now

from jobs import orders, pauses
from jobs.audit import UNATTENDED, JobEvent
from jobs.bulk import database_now
from jobs.durable import AWAY, Durable, Priority
from jobs.ids import new_id
from jobs.listing import MOST, Selection, lane
from jobs.models import Job, Order
from jobs.orders import CHUNK, Asked
from jobs.scopes import Scope

AT_ONCE = 1_000  # so many are done while the person waits
PATIENCE = timedelta(minutes=1)  # with an order that whoever gave it carries out
TASK = "jobs.order"
S = Job.State
Verb = Order.Verb

PERMISSIONS = {
    Verb.CANCEL: "jobs.cancel_job",
    Verb.RETRY: "jobs.retry_job",
    Verb.RUN_NOW: "jobs.postpone_job",
    Verb.POSTPONE: "jobs.postpone_job",
    Verb.REPRIORITISE: "jobs.reprioritise_job",
}
REACH = {
    Verb.CANCEL: Job.UNFINISHED,
    Verb.RETRY: (S.FAILED, S.CANCELLED, S.EXPIRED),
    Verb.RUN_NOW: (S.SCHEDULED,),
    Verb.POSTPONE: (S.SCHEDULED, S.QUEUED),
    Verb.REPRIORITISE: (S.SCHEDULED, S.QUEUED),
}


@dataclass(frozen=True)
class Preview:
    """How many jobs there are of each state, and of which states the order is. `at` is the database's time.

    A number above `MOST` says "more than that".
    """

    at: datetime
    counts: dict[str, int]
    reach: tuple[str, ...]

    @property
    def total(self) -> int:
        return sum(number for state, number in self.counts.items() if state in self.reach)


@dataclass(frozen=True)
class Wish:
    """What somebody wants of which jobs, and why; `scope` is what they may touch, `parameters` are the verb's."""

    verb: str
    selection: Selection
    scope: Scope
    by: str
    reason: str
    parameters: Mapping[str, Any] = field(default_factory=dict)


def reach(verb: str, selection: Selection) -> tuple[str, ...]:
    """The states that a verb applies to. What succeeded runs again only if somebody says that he means it."""
    meant = Verb(verb) == Verb.RETRY and (selection.ids or selection.state == S.SUCCEEDED.value)
    return (*REACH[Verb(verb)], S.SUCCEEDED) if meant else REACH[Verb(verb)]


def preview(verb: str, selection: Selection, scope: Scope, most: int = 0) -> Preview:
    """Two statements; of more than `MOST` jobs, or by time, one for each state, up to `most` where that is more."""
    at = database_now()
    rows = _selected(selection, scope, at)
    newest = rows.order_by("-pk").values_list("state", flat=True)
    counts = Counter[str]() if selection.by_time else Counter(newest[: MOST + 1])
    if selection.by_time or counts.total() > MOST:
        lanes = {state: lane(selection, rows, state) for state in selection.states}
        counts = Counter({state: few[: max(MOST, most) + 1].count() for state, few in lanes.items()})
    return Preview(at, dict(sorted((+counts).items())), reach(verb, selection))


def start(wish: Wish, seen: Preview, pk: UUID | None = None) -> Order:
    """Write the order down, and carry it out: now if it is of a few jobs, otherwise by a job of its own."""
    order = write(wish, seen, pk)
    while not order.job_id and order.open:
        order = chunk(order.pk)
    return order


def write(wish: Wish, seen: Preview, pk: UUID | None = None) -> Order:
    """The order, with a job of its own if it is of many jobs; otherwise the caller carries it out, chunk by chunk.

    With `pk` it is given once: raises IntegrityError for the second time.
    """
    order = Order(
        pk=pk or new_id(),
        verb=Verb(wish.verb),
        filters=wish.selection.model_dump(mode="json", exclude_defaults=True),
        scope=wish.scope.limits,
        parameters=_paced(wish.parameters),
        reason=wish.reason,
        by=wish.by[:150],
        asked_at=seen.at,
        total=seen.total,
    )
    with transaction.atomic():
        if seen.total > AT_ONCE:
            order.job_id = new_id()
            _entrust(order.pk, order.job_id)
        order.save(force_insert=True)
    return order


def counted(order: Order) -> Order:
    """With its whole number, where the preview did not count to the end: for who carries it out and tells how far."""
    if order.total > MOST and not order.done:
        Order.objects.filter(pk=order.pk, done=0).update(total=_of_order(order).count())
        order.refresh_from_db(fields=["total"])
    return order


def take_over(now: datetime | Now | None = None) -> int:
    """Give a job to each order whose giver did not end it: a terminal or a web process that died. Returns how many.

    One that is merely slow is no harm: a chunk is one transaction under the order's lock, so two carry it out as one.
    Those whose own job was cancelled are called off; if it failed, to run it again goes on where it stopped.
    """
    _call_off_with_their_job()
    left = Order.objects.filter(UNATTENDED, asked_at__lt=(now or Now()) - PATIENCE)
    return sum(_taken_over(left, pk) for pk in list(left.values_list("pk", flat=True)[:CHUNK]))


def _taken_over(left: "QuerySet[Order]", pk: UUID) -> int:
    with transaction.atomic():
        job = new_id()
        if not left.filter(pk=pk).update(job_id=job):  # it has ended, or another clock was faster
            return 0
        _entrust(pk, job)
        return 1


def _entrust(order: UUID, job: UUID) -> None:
    """Make the job that carries an order out."""
    carry_out.apply_async(
        (str(order),),
        task_id=str(job),
        queue=_open_queue(),
        priority=Priority.URGENT,
        correlation_id=f"order:{order}",
    )


def call_off(order: Order, *, by: str) -> bool:
    """Go no further. What is done is done. False: it was over before."""
    rows = Order.objects.filter(pk=order.pk, finished_at=None, called_off_at=None)
    return bool(rows.update(called_off_at=Now(), called_off_by=by[:150]))


def _call_off_with_their_job() -> None:
    """Nobody would go on with them, and they would look as if somebody did."""
    asked = JobEvent.objects.filter(job=OuterRef("job_id"), verb="cancel").order_by("-id").values("by")[:1]
    over = Exists(Job.objects.filter(pk=OuterRef("job_id"), state__in=[S.CANCELLED, S.EXPIRED]))
    rows = Order.objects.filter(over, job_id__isnull=False, finished_at=None, called_off_at=None)
    rows.update(called_off_at=Now(), called_off_by=Coalesce(Subquery(asked), Value("")))


@shared_task(
    base=Durable,
    bind=True,
    name=TASK,
    internal=True,
    time_limit=7200,
    soft_time_limit=7100,
    autoretry_for=AWAY,  # a chunk is a transaction: the next attempt goes on after the last
    retry_backoff=5,
    max_retries=10,
)
def carry_out(self: Durable, order_id: str) -> dict[str, int]:
    """All chunks, one after the other. Returns what became of the jobs."""
    counted(Order.objects.get(pk=order_id))
    while True:
        self.running.check_cancelled()
        order = chunk(UUID(order_id))
        self.running.progress(order.done, max(order.total, order.done))
        if not order.open:
            return dict(order.counts)


def chunk(pk: UUID) -> Order:
    """The next jobs, by id, and how far it came. One transaction; who else carries it out waits."""
    with transaction.atomic():
        order = Order.objects.select_for_update().get(pk=pk)
        if not order.open:
            return order
        rows = _of_order(order)
        if order.after:
            rows = rows.filter(pk__gt=order.after)
        ids = list(rows.order_by("pk").values_list("pk", flat=True)[:CHUNK])
        if ids:
            outcomes = ACTS[Verb(order.verb)](order, ids)
            order.after, order.done = ids[-1], order.done + len(ids)
            order.counts = dict(Counter(order.counts) + Counter(str(what) for what in outcomes.values()))
        if len(ids) < CHUNK:
            order.finished_at = database_now()
        order.save(update_fields=["after", "done", "counts", "finished_at"])
        return order


def _of_order(order: Order) -> "QuerySet[Job]":
    selection = Selection.model_validate(order.filters)
    rows = _selected(selection, Scope.told(order.scope), order.asked_at)
    return rows.filter(state__in=reach(order.verb, selection))


def _selected(selection: Selection, scope: Scope, at: datetime) -> "QuerySet[Job]":
    """Not by the newest id: a chain's next step has a derived id, which tells nothing of when it was made."""
    return selection.rows(scope.rows(Job.objects.all())).filter(~Q(task=TASK), created_at__lte=at)


def _open_queue() -> str:
    """Where the order itself runs. Often the jobs are cancelled because their queue is stopped: not behind them."""
    stopped = pauses.active().queues
    open_ones = [str(name) for name in settings.JOBS_QUEUES if name not in stopped]
    return open_ones[0] if open_ones else str(settings.CELERY_TASK_DEFAULT_QUEUE)


# --- The verbs, with what an order keeps of their parameters ------------------------------------------------


def _asked(order: Order) -> Asked:
    return Asked(order.by, order.reason, order)


def _cancel(order: Order, ids: list[UUID]) -> Mapping[UUID, str]:
    return orders.cancel(ids, by=order.by, reason=order.reason, order=order)


def _paced(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The pace counts from now: what was shown an hour ago would have the first hour's jobs go all at once."""
    return {**parameters, "paced_from": database_now().isoformat()} if "per_minute" in parameters else dict(parameters)


def _retry(order: Order, ids: list[UUID]) -> Mapping[UUID, str]:
    pace = order.parameters.get("per_minute")
    if not pace:
        return orders.retry(ids, _asked(order))
    each, first = timedelta(minutes=1) / pace, datetime.fromisoformat(order.parameters["paced_from"])
    return orders.retry(ids, _asked(order), {pk: first + each * (order.done + n) for n, pk in enumerate(ids)})


def _postpone(order: Order, ids: list[UUID]) -> Mapping[UUID, str]:
    if moment := order.parameters.get("run_at"):
        return orders.postpone(ids, _asked(order), to=datetime.fromisoformat(moment))
    return orders.postpone(ids, _asked(order), by=timedelta(seconds=order.parameters["seconds"]))


ACTS: dict[str, Callable[[Order, list[UUID]], Mapping[UUID, str]]] = {
    Verb.CANCEL: _cancel,
    Verb.RETRY: _retry,
    Verb.RUN_NOW: lambda order, ids: orders.run_now(ids, _asked(order)),
    Verb.POSTPONE: _postpone,
    Verb.REPRIORITISE: lambda order, ids: orders.reprioritise(ids, _asked(order), order.parameters["priority"]),
}
