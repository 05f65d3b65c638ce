"""Deletes finished jobs that nobody needs any more, so that the table keeps the size of the work at hand.

Called by the clock every hour; any number may run at once. A few hundred rows a transaction, and rows that somebody
else is changing are left for the next time: no long locks, no deadlocks. Unfinished jobs are never touched, nor failed
ones before their days are over.
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
from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from jobs import crews, keys, ledger
from jobs.models import Job, UniqueKey

logger = logging.getLogger(__name__)

BATCH = 500  # rows a transaction
LONGEST = 60.0  # seconds a run; the rest waits for the next one


def prune(now: ledger.Moment | None = None) -> Counter[str]:
    """One run. Returns how many jobs of each state, keys, and workers that are gone for long, were deleted."""
    at, deadline = now or Now(), time.monotonic() + LONGEST
    gone: Counter[str] = Counter()
    for state, days in settings.JOBS_KEEP_DAYS.items():
        gone[state] += _repeat(partial(_delete, _aged(state, days, at)), deadline)
    for state, count in settings.JOBS_KEEP_COUNT.items():
        if count > 0:
            gone[state] += _repeat(partial(_delete, _surplus(state, count)), deadline)
    spent = UniqueKey.objects.filter(pruned_at__lt=at - timedelta(days=settings.JOBS_KEEP_KEYS_DAYS))
    gone["keys"] += _repeat(partial(_forget, spent), deadline)
    gone["workers"] = crews.forget()
    gone = +gone
    if gone:
        logger.info("pruned %s", " ".join(f"{name}={count}" for name, count in sorted(gone.items())))
    return gone


def _over(state: str) -> QuerySet[Job]:
    return Job.objects.finished().filter(state=state, finished_at__isnull=False)


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


def _delete(rows: QuerySet[Job]) -> int:
    with transaction.atomic():
        free = rows.order_by("finished_at").select_for_update(skip_locked=True)
        chosen = list(free.values_list("pk", "unique_key", "state")[:BATCH])
        keys.keep(chosen)
        _delete_by_id(Job.objects.only("pk"), [pk for pk, _, _ in chosen])
    return len(chosen)


def _forget(spent: QuerySet[UniqueKey]) -> int:
    with transaction.atomic():
        free = spent.order_by("pruned_at").select_for_update(skip_locked=True)
        chosen = list(free.values_list("pk", flat=True)[:BATCH])
        _delete_by_id(UniqueKey.objects.all(), chosen)
    return len(chosen)


def _delete_by_id(rows: QuerySet[Any], ids: list[Any]) -> None:
    if ids:
        rows.filter(pk__in=ids).delete()
