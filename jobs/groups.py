"""What waits for a group of jobs: the body of a chord, the callbacks of a batch.

Called by the executor when jobs of a group have finished, and by the rescuer for whatever ended otherwise (cancelled,
expired, its worker lost). The group's row is the lock and the fence: its end is noticed once, however many look, in
the transaction that inserts what waited for it.
"""

import logging
import uuid
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from django.db import Error, connection, transaction
from django.db.models import Count, Exists, F, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce, Now

from jobs import canvas, payload
from jobs.expressions import in_state
from jobs.models import Group, Job

logger = logging.getLogger(__name__)

S = Job.State
ENDED_BADLY = (S.FAILED, S.CANCELLED, S.EXPIRED)


def settle(jobs: Iterable[Job]) -> None:
    """Look after the groups of these jobs, which may just have finished. What fails here, the rescuer does again."""
    members: dict[uuid.UUID, list[uuid.UUID]] = defaultdict(list)
    for job in jobs:
        if job.group_id:
            members[job.group_id].append(job.pk)
    for pk, just in sorted(members.items()):
        try:
            if _may_have_ended(pk, just):
                end(pk)
        except Error as exc:
            logger.warning("group not settled, the rescuer will do it: group=%s error=%s", pk, exc)
            connection.close()


def _may_have_ended(pk: uuid.UUID, just: list[uuid.UUID]) -> bool:
    """A look at a few rows, without a lock. To read a group of thousands after each of its jobs took the square of it.

    The last member is usually the last to end. A failure is news once, and only to the group of who just failed.
    """
    waiting = Job.objects.filter(in_state(*Job.UNFINISHED), group_id=pk, group_index__isnull=False)
    if not waiting.order_by("-group_index").values_list("pk")[:1]:
        return True
    bad = Job.objects.filter(pk__among=just, state__in=ENDED_BADLY)
    return Group.objects.filter(Exists(bad), pk=pk, failed_at=None).exists()


def sweep(limit: int) -> int:
    """Settle groups that nobody has settled, though their jobs are finished. Returns how many."""
    jobs = Job.objects.filter(group_id=OuterRef("pk"))
    members = (
        jobs.finished().exclude(group_index=None).order_by().values("group_id").annotate(n=Count("pk")).values("n")
    )
    open_groups = Group.objects.filter(finished_at__isnull=True, size__isnull=False)
    # First those without a job that is still to end, by a few rows of each: to count all the jobs of each open group,
    # every few seconds, is for the few that may be complete.
    waiting = jobs.filter(in_state(*Job.UNFINISHED), group_index__isnull=False).order_by("-group_index")
    idle = open_groups.annotate(waiting=Subquery(waiting.values("pk")[:1])).filter(waiting=None)
    quiet = open_groups.filter(pk__in=list(idle.values_list("pk", flat=True)))
    complete = quiet.annotate(done=Coalesce(Subquery(members), 0)).filter(done__gte=F("size"))
    broken = open_groups.filter(Exists(jobs.filter(state__in=ENDED_BADLY)), failed_at__isnull=True)
    found = {*complete.values_list("pk", flat=True)[:limit], *broken.values_list("pk", flat=True)[:limit]}
    return sum(_swept(pk) for pk in sorted(found))


def _swept(pk: uuid.UUID) -> bool:
    """One group that cannot be ended must not keep the others waiting."""
    try:
        return end(pk)
    except Error:
        logger.exception("cannot settle group=%s", pk)
        return False


def end(pk: uuid.UUID) -> bool:
    """If the group has come to its end, or to a failure, do what waits for it. False: not yet, or done already."""
    with transaction.atomic():
        group = _open(pk).first()
        if group is None:
            return False
        jobs = Job.objects.filter(group_id=pk)
        bad = jobs.filter(state__in=ENDED_BADLY).order_by("finished_at").first()
        if group.body is not None:
            return _end_chord(group, jobs, bad)
        finished = jobs.finished().exclude(group_index=None).count()
        return _end_batch(group, bad=bad is not None, finished=finished >= (group.size or 0))


def break_off(pk: uuid.UUID, why: str) -> None:
    """A step that is no job has failed on the way to the group's end."""
    with transaction.atomic():
        for group in _open(pk):
            _break(group, why)


def _open(pk: uuid.UUID) -> QuerySet[Group]:
    return Group.objects.select_for_update().filter(pk=pk, finished_at__isnull=True, size__isnull=False)


def _end_chord(group: Group, jobs: Any, bad: Job | None) -> bool:
    if bad is not None:
        _break(group, f"job {bad.pk} of its group {bad.state}: {bad.reason}"[:500])
        return True
    succeeded = jobs.filter(state=S.SUCCEEDED).exclude(group_index=None)
    results = list(succeeded.order_by("group_index").values_list("result", flat=True))
    if len(results) < (group.size or 0):
        return False
    _mark(group, finished_at=Now())
    with payload.gathered():
        called = canvas.call(group.body, (results,))
    if not called:
        _break(group, "it cannot be called with the results of its group")
    return True


def _break(group: Group, why: str) -> None:
    """The body shall not run. Whoever waits for it finds it cancelled; its errbacks are called, once."""
    _mark(group, finished_at=Now(), failed_at=Now())
    canvas.call(group.body, (), cancelled_because=why)
    options = (group.body or {}).get("options", {})
    canvas.errbacks(options.get("task_id") or str(group.pk), options.get("link_error"), root_id=options.get("root_id"))


def _end_batch(group: Group, *, bad: bool, finished: bool) -> bool:
    failing = bad and group.failed_at is None
    if failing:
        _mark(group, failed_at=Now())
        if group.on_failed:
            canvas.call(group.on_failed, (str(group.pk),))
    if finished:
        _mark(group, finished_at=Now())
        if group.on_finished:
            canvas.call(group.on_finished, (str(group.pk),))
    return failing or finished


def _mark(group: Group, **changes: Any) -> None:
    Group.objects.filter(pk=group.pk).update(**changes)
