"""Which jobs: a Selection, and a page of it.

Used by the admin's list and by orders, so that "all that match the filter" is what the list shows. The promise: a
page costs what is on it, with a thousand jobs or a million: no OFFSET, no COUNT of the table, each filter by an index.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from django.db.models import Q, QuerySet
from django.db.models.functions import Lower, Now
from django.db.models.lookups import Exact
from pydantic import AwareDatetime, BaseModel, ConfigDict

from jobs import neighbours
from jobs.expressions import OWNED, RETRYING, TAGGED, indexed
from jobs.ids import parsed
from jobs.models import Job
from jobs.options import FIRST_YEAR, LAST_YEAR

MOST = 10_000  # rows that are counted, and found by a search; whoever looks for more narrows the filter
S = Job.State
Word = Literal[
    "",
    "scheduled",
    "queued",
    "running",
    "succeeded",
    "failed",
    "cancelled",
    "expired",
    "retrying",  # scheduled, after a failure
    "overdue",  # scheduled, and its time has come
    "waiting",  # overdue or queued: for a worker
    "delayed",  # scheduled: for its time
    "stalled",  # running, and its worker has said nothing for too long
]
# What other systems call the same.
WORDS: dict[str, Word] = {
    "active": "running",
    "started": "running",
    "completed": "succeeded",
    "success": "succeeded",
    "failure": "failed",
    "dead": "failed",
    "discarded": "failed",
    "pending": "waiting",
    "retry": "retrying",
    "revoked": "cancelled",
    "canceled": "cancelled",
}
DUE, LATER = Q(run_at__lte=Now()), Q(run_at__gt=Now())


class Selection(BaseModel):
    """A filter of jobs, as the list's address has it and as an order keeps it. Empty: all jobs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    ids: tuple[UUID, ...] = ()
    state: Word = ""
    queue: str = ""
    task: str = ""
    tasks: tuple[str, ...] = ()  # any of these: what whoever asks is limited to
    tenant: str = ""
    tag: str = ""
    signature: str = ""
    run_from: AwareDatetime | None = None
    run_until: AwareDatetime | None = None
    search: str = ""
    plainly: bool = False  # the search finds by what is no secret only

    @property
    def by_time(self) -> bool:
        """In the order in which they are due, not newest first."""
        return (
            self.state in ("overdue", "waiting", "delayed") or self.run_from is not None or self.run_until is not None
        )

    def rows(self, among: "QuerySet[Job]") -> "QuerySet[Job]":
        """Those of `among` that it selects, in no order."""
        wanted = self._of_state() & self._of_time()
        if self.signature:
            wanted &= indexed(S.FAILED) & Q(signature=self.signature)
        if self.tenant:
            wanted &= OWNED & Q(tenant=self.tenant)
        if self.tag:
            wanted &= TAGGED & Q(correlation_id=self.tag)
        exact = {name: value for name in ("queue", "task") if (value := getattr(self, name))}
        rows = among.filter(wanted, **exact)
        if self.tasks:
            rows = rows.filter(task__in=self.tasks)
        if self.ids:
            rows = rows.filter(pk__among=list(self.ids))
        return rows.filter(pk__among=sought(self.search, plainly=self.plainly)) if self.search.strip() else rows

    @property
    def states(self) -> tuple[str, ...]:
        """Those that its jobs may be in."""
        if self.signature:
            return (S.FAILED.value,)
        waiting = dict.fromkeys(("retrying", "overdue", "delayed"), (S.SCHEDULED.value,))
        words = {"": tuple(S.values), "waiting": (S.SCHEDULED.value, S.QUEUED.value), "stalled": (S.RUNNING.value,)}
        return (waiting | words).get(self.state, (self.state,))

    def _of_state(self) -> Q:
        if self.state == "retrying":
            return RETRYING
        if self.state == "overdue":
            return in_order_of_time(S.SCHEDULED) & Q(run_at__lt=Now())
        if self.state == "delayed":
            return in_order_of_time(S.SCHEDULED) & LATER
        if self.state == "waiting":
            return (in_order_of_time(S.SCHEDULED) & DUE) | in_order_of_time(S.QUEUED)
        if self.state == "stalled":
            return indexed(S.RUNNING) & Q(lease_until__lt=Now())
        if not self.state:
            return Q()
        return in_order_of_time(self.state) if self.by_time else Q(state=self.state)

    def _of_time(self) -> Q:
        wanted = Q()
        if self.run_from:
            wanted &= Q(run_at__gte=self.run_from)
        if self.run_until:
            wanted &= Q(run_at__lt=self.run_until)
        return wanted


def in_order_of_time(state: str) -> Q:
    """As the index `job_when` has it."""
    return Q(Exact(Lower("state"), str(state)))


def lane(selection: Selection, rows: "QuerySet[Job]", state: str) -> "QuerySet[Job]":
    """Those of its rows that are in a state, in the order of an index."""
    if selection.by_time:
        return rows.filter(in_order_of_time(state)).order_by("run_at", "pk")
    return rows.filter(state=state).order_by("-pk")


def sought(term: str, *, plainly: bool = False) -> list[UUID]:
    """The ids of the jobs that a search means: an id, a unique key, a tag, or what the product makes of it."""
    term = term.strip()
    if pk := parsed(term):
        return [pk]
    found = neighbours.find(term, plainly=plainly)
    tags = Job.objects.filter(TAGGED, correlation_id__in=[term, *found.tags]).order_by("-pk")
    keyed = Job.objects.filter(unique_key=term)
    ids = [*keyed.values_list("pk", flat=True), *tags.values_list("pk", flat=True)[:MOST], *found.ids]
    return list(dict.fromkeys(ids))


@dataclass(frozen=True)
class Page:
    """Some jobs, and from where the ones before and after them go on; empty: there are none."""

    jobs: list[Job]
    before: str = ""
    after: str = ""


def page(selection: Selection, among: "QuerySet[Job]", size: int, *, after: str = "", before: str = "") -> Page:
    """The page that begins after a cursor, or ends before one. Raises ValueError for what is no cursor."""
    back, cursor = bool(before), before or after
    rows = selection.rows(among)
    if selection.by_time:
        found = _by_time(selection, rows, size + 1, _moment(cursor) if cursor else None, back=back)
    else:
        found = list(_newest(rows, size + 1, UUID(cursor) if cursor else None, back=back))
    more, found = len(found) > size, found[:size]
    if back:
        found.reverse()
    told = [_cursor(selection, job) for job in (found[:1] + found[-1:])]
    if not told:
        return Page([], before="", after="")
    return Page(found, before=told[0] if (more if back else cursor) else "", after=told[-1] if back or more else "")


def _newest(rows: "QuerySet[Job]", size: int, cursor: UUID | None, *, back: bool) -> "QuerySet[Job]":
    if cursor:
        rows = rows.filter(pk__gt=cursor) if back else rows.filter(pk__lt=cursor)
    return rows.order_by("pk" if back else "-pk")[:size]


def _by_time(
    selection: Selection, rows: "QuerySet[Job]", size: int, cursor: tuple[datetime, UUID] | None, *, back: bool
) -> list[Job]:
    """The index has the times of each state; without one, the heads of all states are merged."""
    if cursor:
        at, pk = cursor
        rows = (
            rows.filter(Q(run_at__lt=at) | Q(pk__lt=pk), run_at__lte=at)
            if back
            else rows.filter(Q(run_at__gt=at) | Q(pk__gt=pk), run_at__gte=at)
        )
    order = ("-run_at", "-pk") if back else ("run_at", "pk")
    states = {"": tuple(S), "waiting": (S.SCHEDULED, S.QUEUED)}.get(selection.state)
    lanes: Sequence[QuerySet[Job]] = [rows.filter(in_order_of_time(state)) for state in states] if states else [rows]
    found = [job for lane in lanes for job in lane.order_by(*order)[:size]]
    return sorted(found, key=lambda job: (job.run_at, job.pk), reverse=back)[:size]


def _cursor(selection: Selection, job: Job) -> str:
    return f"{job.run_at.isoformat()}~{job.pk}" if selection.by_time else str(job.pk)


def _moment(cursor: str) -> tuple[datetime, UUID]:
    at, _, pk = cursor.partition("~")
    moment = datetime.fromisoformat(at)
    if moment.tzinfo is None or not FIRST_YEAR <= moment.year <= LAST_YEAR:
        raise ValueError(f"{cursor!r} is no cursor")
    return moment, UUID(pk)
