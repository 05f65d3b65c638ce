"""Every change of a job's state, each one a guarded UPDATE.

Called by `durable` (enqueue), the dispatcher, the executor, the rescuer, the admin and by application code.
The promise: a verb changes a row only if the row still is what the caller believes it to be, and the rows that
a verb returns are exactly the rows it changed. Whoever gets nothing back lost the race, and does nothing.

Where several rows are moved at once they are locked first, skipping rows that somebody else is changing: two
dispatchers or rescuers share the work instead of deadlocking over it.
"""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Case, DateTimeField, Exists, F, Q, QuerySet, Value, When
from django.db.models.functions import Greatest, Now

from jobs import attempts, beside, canvas, keys, queues, signatures, subject
from jobs.expressions import HELD, Given, in_state, indexed
from jobs.leases import LEASE, for_message
from jobs.models import Attempt, Cancelled as Cancelled, Job as Job
from jobs.moments import ById as ById
from jobs.transitions import CHUNK, FOR_MESSAGE, FOR_RUN, S as S, count, idle, lock, lock_first, move, over

Moment = datetime | Now  # the database's clock, unless a test passes a time


def _held(job: Job) -> QuerySet[Job]:
    """The row, if the caller still holds the attempt that `job` describes."""
    return Job.objects.filter(pk=job.pk, token=job.token)


def enqueue(job: Job) -> Job:
    """Insert the row, in the caller's transaction. With the id or unique_key of an earlier one: returns that job."""
    enqueue_many([job])
    same = Q(pk=job.pk)
    if job.unique_key is not None:
        same |= Q(unique_key=job.unique_key, tenant=job.tenant)
    found = Job.objects.filter(same).order_by("created_at").first() or keys.first_with_key_of(job)
    subject.makes([found.pk] if job.unique_key is not None else [])
    return found


def enqueue_many(jobs: Sequence[Job]) -> None:
    """Insert many rows, a chunk per statement. A row whose id or (tenant's) unique_key is there changes nothing."""
    with transaction.atomic(savepoint=False):
        Job.objects.bulk_create(jobs, batch_size=CHUNK, ignore_conflicts=True)
        keys.withdraw_spent(jobs)
        beside.keep(jobs)


def dispatch(
    queue: str, tasks: Iterable[str], room: int, which: Q | None = None, *, epoch: str = "", now: Any = None
) -> list[Job]:
    """Mark up to `room` due jobs of a queue as queued, the most urgent first. `which` is narrower, by `windows`.

    `tasks` are the names that this process has code for. `epoch` is the broker's, see `dispatcher`.
    """
    at = now or Now()
    sent: dict[str, Any] = {"queued_at": at, "lease_until": for_message(at), "nudges": F("nudges") + 1, "epoch": epoch}
    useful = Q(useful_until__isnull=True) | Q(useful_until__gt=at)
    due = Job.objects.filter(which or indexed(S.SCHEDULED), useful, queue=queue, run_at__lte=at, cancel_requested=False)
    due = due.filter(task__in=list(tasks)).order_by("-priority", "run_at", "pk")
    with transaction.atomic():
        moved = move(lock(due, room), "dispatch", FOR_MESSAGE, **sent)
    return sorted(moved, key=lambda job: (-job.priority, job.run_at, job.pk))  # RETURNING keeps no order


def release(jobs: QuerySet[Job]) -> int:
    """Take back those of `jobs` that are queued, uncounted: their message is lost, or never left. Returns how many."""
    with transaction.atomic():
        return count(lock(jobs.filter(HELD, in_state(S.QUEUED))), "release", lease_until=None, queued_at=None, epoch="")


def claim(pk: uuid.UUID | str, worker: str, *, now: Moment | None = None) -> Job | None:
    """Take a queued job for `worker`, under a lease and a new token. None: it is not there to be taken any more."""
    return next(iter(claim_many([pk], worker, now=now)), None)


def claim_many(ids: Sequence[uuid.UUID | str], worker: str, *, now: Moment | None = None) -> list[Job]:
    """The same for the jobs of one message. Those that it does not return are not there to be taken any more."""
    at = now or Now()
    useful = Q(useful_until__isnull=True) | Q(useful_until__gt=at)
    takeable = Job.objects.filter(useful, in_state(S.QUEUED), pk__among=ids, cancel_requested=False)
    held = {"token": F("token") + 1, "nudges": 0, "worker": worker, "started_at": at, "lease_until": at + LEASE}
    if len(ids) == 1:
        return move(takeable, "claim", FOR_RUN, **held)
    with transaction.atomic():
        return move(lock(takeable.order_by("pk")), "claim", FOR_RUN, **held)


def holds(job: Job, lasting: timedelta = timedelta()) -> Exists:
    """A condition for other tables' guards: the caller still holds this attempt and nobody asked it to stop.

    With `lasting`, nobody takes it away for so long either, even if no heartbeat comes through.
    """
    return Exists(_held(job).filter(state=S.RUNNING, cancel_requested=False, lease_until__gt=Now() + lasting))


def is_in(state: Job.State, pk: Any) -> Exists:
    """A condition for other tables' queries: the job of that id is in `state`."""
    return Exists(Job.objects.filter(pk=pk, state=state))


def is_open(pk: Any) -> Exists:
    """A condition for other tables' queries: the job of that id will still do something."""
    return Exists(Job.objects.filter(pk=pk, state__in=[S.SCHEDULED, S.QUEUED, S.RUNNING]))


# --- The outcome of an attempt --------------------------------------------------------------------------
# Each verb returns False when the attempt was not the caller's to finish any more.


def succeed(job: Job, result: Any = None, reason: str = "", **changes: Any) -> bool:
    """Done."""
    return bool(move(_held(job), "succeed", result=result, reason=reason, **over(), **changes))


def succeed_many(jobs: Sequence[Job], results: Sequence[Any] = ()) -> int:
    """Done, with these results (in the order of the jobs) or none. Returns how many were the caller's to finish."""
    mine = Job.objects.none()
    for token in {job.token for job in jobs}:
        mine |= Job.objects.filter(token=token, pk__among=[job.pk for job in jobs if job.token == token])
    given = {job.pk: result for job, result in zip(jobs, results, strict=False) if result is not None}
    result = Given("pk", given) if given else None
    with transaction.atomic():
        # Locked in one order, so that nobody who holds some of them waits for us as we for him.
        return count(lock(mine.order_by("pk"), wait=True), "succeed", result=result, reason="", **over())


def back_off(job: Job, delay: timedelta | datetime, attempt: Attempt, **changes: Any) -> bool:
    """The attempt errored: count it and try again after `delay` (or at a time). A requested cancel wins over it."""
    run_at = delay if isinstance(delay, datetime) else Now() + delay
    with transaction.atomic():
        mine = lock_first(_held(job))  # so that one of the two finds it, whoever asks it to stop or not to
        counted: dict[str, Any] = {"failures": F("failures") + 1, "reason": attempt.error}
        wanted = mine.filter(cancel_requested=False)
        moved = move(wanted, "back_off", run_at=run_at, **counted, **idle(), **changes) or _stop(mine)
        return attempts.tell(moved, attempt)


def snooze(job: Job, until: datetime, attempt: Attempt) -> bool:
    """Not now, but in a second at the earliest; not a failure. If somebody moved it since the attempt began, then."""
    later = Greatest(Value(until), Now() + timedelta(seconds=1), output_field=DateTimeField())
    run_at = Case(When(run_at__gt=F("started_at"), then=F("run_at")), default=later)
    with transaction.atomic():
        mine = lock_first(_held(job))
        wanted = mine.filter(cancel_requested=False)
        moved = move(wanted, "snooze", run_at=run_at, reason=attempt.error, **idle()) or _stop(mine)
        return attempts.tell(moved, attempt)


def give_up(job: Job, attempt: Attempt, error: Any = None) -> bool:
    """The attempt errored and there shall be no other: the job waits among the failed for a person.

    `error` is the exception as Celery stores one.
    """
    with transaction.atomic():
        told = {"failures": F("failures") + 1, "reason": attempt.error, "result": error}
        told["signature"] = signatures.of(attempt.error)
        moved = move(_held(job), "give_up", **told, **over())
        return attempts.tell(moved, attempt)


def stop(job: Job, attempt: Attempt) -> bool:
    """The attempt ended itself because a cancel was requested."""
    with transaction.atomic():
        return attempts.tell(_stop(_held(job)), attempt)


def _stop(rows: QuerySet[Job]) -> list[Job]:
    return move(rows.filter(cancel_requested=True), "stop", reason="cancelled while it ran", **over())


# --- Work that was lost, or that came too late ----------------------------------------------------------


def rescue(seen: Job, *, now: Moment | None = None, killed: str = "") -> Job | None:
    """Take a running job back from a worker that stopped beating: `seen` is the row as the rescuer read it.

    Tried again at once, or failed when that was its last attempt. None: the worker was alive after all, or another
    rescuer was faster. `killed` is the reason of somebody who knows that the process is gone, whatever its lease.
    """
    at = now or Now()
    lost = _held(seen) if killed else _held(seen).filter(lease_until=seen.lease_until, lease_until__lt=at)
    again = Q(max_attempts__isnull=True) | Q(max_attempts__gt=F("failures") + 1)
    reason = killed or f"its worker was lost ({seen.worker or 'unknown'})"
    with transaction.atomic():
        # Unless it is known to be gone, one that somebody has locked is being changed right now.
        lost = lock_first(lost) if killed else lost & lock(lost)
        wanted = lost.filter(cancel_requested=False)
        counted: dict[str, Any] = {"failures": F("failures") + 1, "reason": reason}
        moved = (
            move(wanted.filter(again), "rescue", run_at=at, **counted, **idle())
            or move(
                wanted.exclude(again), "bury", signature=signatures.of(killed or signatures.LOST), **counted, **over()
            )
            or _stop(lost)
        )
        story = {"error": reason, "started_at": seen.started_at, "worker": seen.worker}
        attempts.tell(moved, Attempt(outcome=Attempt.Outcome.LOST, **story))
        return moved[0] if moved else None


def give_back(seen: Job) -> bool:
    """Take a running job back from a process that is gone and did not fail for its sake: not counted."""
    with transaction.atomic():
        mine = lock_first(_held(seen))
        return bool(move(mine.filter(cancel_requested=False), "give_back", **idle()) or _stop(mine))


def expire(*, now: Moment | None = None, limit: int = CHUNK) -> list[Job]:
    """End jobs that did not start while they were useful."""
    late = Job.objects.filter(indexed(S.SCHEDULED, S.QUEUED), useful_until__lte=now or Now())
    with transaction.atomic():
        return move(lock(late.order_by("useful_until"), limit), "expire", reason="too late to be useful", **over())


def reject(tasks: Iterable[str], served: Iterable[str], overdue: timedelta, *, now: Moment | None = None) -> list[Job]:
    """Fail jobs that are `overdue` by more than that and none of the `tasks` that we know, or of no queue `served`."""
    at = now or Now()
    known = Q(task__in=list(tasks), queue__in=list(served))
    due = Job.objects.filter(indexed(S.SCHEDULED), queue__in=queues.waiting(), run_at__lt=at - overdue)
    reason = "no worker knows this task or serves its queue; deploy its code or name the queue, then retry"
    with transaction.atomic():
        told = {"reason": reason, "signature": signatures.of(reason)}
        rejected = move(lock(due.exclude(known), CHUNK), "reject", **told, **over())
        canvas.call_errbacks(rejected)
        return rejected


# --- What people and applications ask for ---------------------------------------------------------------


def cancel(ids: Iterable[uuid.UUID], reason: str) -> dict[uuid.UUID, Cancelled]:
    """Cancel jobs. Answers for each id that exists: cancelled, in flight, or finished before.

    The flag first, then the state: a flagged job is never dispatched, claimed or tried again, so nothing slips
    through between the two statements.
    """
    wanted, outcome = list(ids), {}
    for start in range(0, len(wanted), CHUNK):
        rows = Job.objects.filter(pk__among=wanted[start : start + CHUNK])
        with transaction.atomic():
            lock(rows.unfinished().order_by("pk"), wait=True).update(cancel_requested=True)
            cancelled = move(rows.filter(cancel_requested=True), "cancel", reason=reason, **over())
            states = dict(rows.values_list("pk", "state"))
        done = {job.pk for job in cancelled}
        for pk, state in states.items():
            still = Cancelled.IN_FLIGHT if state == S.RUNNING else Cancelled.FINISHED
            outcome[pk] = Cancelled.CANCELLED if pk in done else still
    return outcome


def reschedule(times: Mapping[uuid.UUID, tuple[datetime, datetime | None]]) -> set[uuid.UUID]:
    """Give jobs a new (run_at, useful_until); those that run keep it for their next attempt. Returns the ids moved."""
    pairs, moved = list(times.items()), set[uuid.UUID]()
    for start in range(0, len(pairs), CHUNK):
        some = dict(pairs[start : start + CHUNK])
        run_at = ById({pk: when for pk, (when, _) in some.items()})
        until = ById({pk: until for pk, (_, until) in some.items()})
        times_of: dict[str, Any] = {"run_at": run_at, "useful_until": until}
        with transaction.atomic():
            rows = lock_first(Job.objects.filter(pk__among=some, cancel_requested=False).order_by("pk"))
            moved |= {job.pk for job in move(rows, "reschedule", **times_of, **idle())}
            if some.keys() - moved:
                rows.filter(state=S.RUNNING).update(**times_of)
    return moved


def retime(ids: Sequence[uuid.UUID], run_at: Any) -> set[uuid.UUID]:
    """Give up to a chunk of waiting jobs another run_at, which may be an expression. Returns the ids moved."""
    with transaction.atomic():
        rows = lock_first(Job.objects.filter(pk__among=ids, cancel_requested=False).order_by("pk"))
        return {job.pk for job in move(rows, "reschedule", run_at=run_at, **idle())}


def retry(
    ids: Iterable[uuid.UUID], *, run_at: datetime | ById | None = None, useful_until: datetime | None = None
) -> set[uuid.UUID]:
    """Run jobs again that failed, expired or were cancelled: a person's decision. Returns the ids it applies to.

    One that still runs is no longer asked to stop: it was told "in flight", never "cancelled".
    """
    wanted, again = list(ids), set()
    for start in range(0, len(wanted), CHUNK):
        changes: dict[str, Any] = {
            "run_at": run_at or Now(),
            "useful_until": useful_until,
            "finished_at": None,
            "failures": 0,
        }
        with transaction.atomic():
            rows = lock_first(Job.objects.filter(pk__among=wanted[start : start + CHUNK]).order_by("pk"))
            rows.filter(state=S.RUNNING).update(cancel_requested=False)
            told: dict[str, Any] = {"cancel_requested": False, "reason": "retried by a person", "signature": ""}
            again |= {job.pk for job in move(rows, "retry", **told, **changes, **idle())}
    return again
