"""Deletes finished jobs that nobody needs any more, so that the table keeps the size of the work at hand.

Called by the clock every hour, and by the API (`clean`); any number may run at once. A few hundred rows a transaction,
and rows that somebody else is changing are left for the next time: no long locks, no deadlocks. Unfinished jobs are
never touched, nor failed ones before their days are over or somebody asks for it, nor those whose group still waits for
others: a chord is called with the results of all.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.db.models.functions import Coalesce, Now

from jobs import crews, keys, ledger
from jobs.access import ANSWERS_KEPT, ApiCall, IdempotentRequest
from jobs.expressions import indexed
from jobs.models import Group, Job, Order, UniqueKey

logger = logging.getLogger(__name__)

BATCH = 500  # rows a transaction
LONGEST = 60.0  # seconds a run; the rest waits for the next one
AWAITED = Group.objects.filter(finished_at__isnull=True, pk=OuterRef("group_id"))


def prune(now: ledger.Moment | None = None) -> Counter[str]:
    """One run. Returns how many jobs of each state, keys, orders, groups, and workers gone for long, were deleted."""
    at, deadline = now or Now(), time.monotonic() + LONGEST
    gone: Counter[str] = Counter()
    for state, days in settings.JOBS_KEEP_DAYS.items():
        gone[state] += _repeat(partial(drop, _aged(state, days, at)), deadline)
    for state, count in settings.JOBS_KEEP_COUNT.items():
        if count > 0:
            gone[state] += _repeat(partial(drop, _surplus(state, count)), deadline)
    spent = UniqueKey.objects.filter(pruned_at__lt=at - timedelta(days=settings.JOBS_KEEP_KEYS_DAYS))
    gone["keys"] += _repeat(partial(_forget, spent), deadline)
    gone["orders"] = _repeat(partial(_forget, _orders(at)), deadline)
    gone["groups"] = _repeat(partial(_forget, _groups(at)), deadline)
    old = at - timedelta(days=settings.JOBS_KEEP_KEYS_DAYS)
    gone["api_calls"] += _repeat(partial(_forget, _since(ApiCall, old)), deadline)
    gone["api_answers"] += _repeat(partial(_forget, _since(IdempotentRequest, at - ANSWERS_KEPT)), deadline)
    gone["workers"] = crews.forget()
    gone = +gone
    if gone:
        logger.info("pruned %s", " ".join(f"{name}={count}" for name, count in sorted(gone.items())))
    return gone


def longest() -> timedelta:
    """How long what was asked of many stays after its end: as long as any of the jobs that it may be about."""
    return timedelta(days=max([0, *settings.JOBS_KEEP_DAYS.values()]))


def forget_answers() -> None:
    """Take away what the API answered to requests that name themselves: somebody who may be in it is to be forgotten.

    That they were carried out stays, so that none is twice.
    """
    IdempotentRequest.objects.exclude(sealed="").update(sealed="")


def _orders(at: ledger.Moment) -> QuerySet[Order]:
    """Those that are over. What they did to a job stays with the job."""
    ended = Coalesce("called_off_at", "finished_at")
    return Order.objects.alias(pruned_at=ended).filter(pruned_at__lt=at - longest())


def _groups(at: ledger.Moment) -> QuerySet[Group]:
    """Those whose end was noticed, or whose jobs were never all inserted, and of which no job is left."""
    ended = Group.objects.filter(Q(finished_at__isnull=False) | Q(size__isnull=True))
    old = ended.alias(pruned_at=Coalesce("finished_at", "created_at")).filter(pruned_at__lt=at - longest())
    return old.filter(~Exists(Job.objects.filter(group_id=OuterRef("pk"))))


def _since(model: type[ApiCall] | type[IdempotentRequest], before: Any) -> QuerySet[Any]:
    return model._default_manager.alias(pruned_at=F("at")).filter(at__lt=before)


def over(among: QuerySet[Job], state: str, age: timedelta) -> QuerySet[Job]:
    """Those of `among` that ended so long ago, the oldest first, and that no unfinished group waits for."""
    aged = among.filter(indexed(Job.State(state)), finished_at__isnull=False, finished_at__lte=Now() - age)
    return aged.filter(~Exists(AWAITED)).order_by("finished_at", "pk")


def clean(rows: QuerySet[Job], limit: int) -> int:
    """Delete up to `limit` of them for somebody who asks for it; their keys are remembered. Returns how many."""
    total = 0
    while total < limit:
        wanted = min(BATCH, limit - total)
        done = drop(rows, wanted)
        total += done
        if done < wanted:
            break
    return total


def _over(state: str) -> QuerySet[Job]:
    return Job.objects.finished().filter(~Exists(AWAITED), state=state, finished_at__isnull=False)


def _aged(state: str, days: int, at: ledger.Moment) -> QuerySet[Job]:
    return _over(state).filter(finished_at__lt=at - timedelta(days=max(days, 0)))


def _surplus(state: str, count: int) -> QuerySet[Job]:
    """All but the newest `count` of a state."""
    if state == Job.State.FAILED:
        raise ValueError("Failed jobs wait for a person: they go by age alone. Remove them from JOBS_KEEP_COUNT.")
    newest = _over(state).order_by("-finished_at", "-pk").values_list("finished_at", "pk")
    first = newest[count : count + 1]
    if not first:
        return Job.objects.none()
    finished_at, pk = first[0]
    return _over(state).filter(Q(finished_at__lt=finished_at) | Q(finished_at=finished_at, pk__lte=pk))


def _repeat(batch: Callable[[], int], deadline: float) -> int:
    """Batches until one is not full: nothing is left, or what is left is locked."""
    total = 0
    while time.monotonic() < deadline:
        done = batch()
        total += done
        if done < BATCH:
            break
    return total


def drop(rows: QuerySet[Job], most: int | None = None) -> int:
    """The oldest of them, a batch or fewer; their unique keys stay."""
    with transaction.atomic():
        free = rows.order_by("finished_at").select_for_update(skip_locked=True)
        chosen = list(free.values_list("pk", "unique_key", "tenant", "state")[: most or BATCH])
        keys.keep(chosen)
        keys.keep_imported(chosen)
        _delete_by_id(Job.objects.only("pk"), [pk for pk, *_ in chosen])
    return len(chosen)


def _forget(spent: QuerySet[Any]) -> int:
    with transaction.atomic():
        free = spent.order_by("pruned_at").select_for_update(skip_locked=True)
        chosen = list(free.values_list("pk", flat=True)[:BATCH])
        _delete_by_id(spent.model._default_manager.all(), chosen)
    return len(chosen)


def _delete_by_id(rows: QuerySet[Any], ids: list[Any]) -> None:
    if ids:
        rows.filter(pk__in=ids).delete()
