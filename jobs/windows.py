"""The windows: for each queue, how many jobs may wait at the broker, and which of the due ones they are.

Used by the dispatcher; any number of dispatchers may run at once. Small windows let priority, pause, cancel and move
count until the last moment, and make a lost broker cheap. The promise: a window, a concurrency, a rate and a key's
limit hold exactly, because they are counted and used in one transaction that holds the queue's row. A dispatcher that
finds the row taken does nothing: another one is at work for it.
"""

import uuid
from collections import Counter
from collections.abc import Collection
from datetime import datetime

from django.db import transaction
from django.db.models import Count, Q

from jobs import buckets, lanes, ledger, limits, pauses, queues, turns
from jobs.expressions import HELD, in_state
from jobs.models import Job, Queue
from jobs.turns import Due, Key


def fill(
    queue: str, tasks: Collection[str], *, most: int | None = None, epoch: str = "", now: datetime | None = None
) -> list[Job]:
    """Mark as queued what may go now, at `most` so many. Returns the jobs in the order in which to publish them."""
    with transaction.atomic():
        locked = queues.locked(queue)
        if locked is None:
            return []
        row, at = locked[0], now or locked[1]
        paused = pauses.active(at)
        held = _held(queue)
        room = _room(row, held, at)
        room = room if most is None else min(room, most)
        if room <= 0 or queue in paused.queues:
            return []
        shut = lanes.Shut(paused.tasks, paused.tenants)
        due = lanes.oldest(queue, tasks, shut, at)
        few = lanes.first(queue, tasks, shut, at) if due is None else []
        if len(few) == 1:  # whose turn it is needs no thought: the oldest go
            moved = ledger.dispatch(queue, tasks, room, few[0].jobs, epoch=epoch, now=now)
        else:
            due = lanes.heads(queue, few, at, room=room) if few else due
            places = {pk: n for n, pk in enumerate(_choose(row, due, tasks, shut, room, at, held))}
            which = Q(in_state(Job.State.SCHEDULED), pk__among=places)
            moved = ledger.dispatch(queue, tasks, len(places), which, epoch=epoch, now=now) if places else []
            moved.sort(key=lambda job: places[job.pk])
        if moved and limits.draw(row, len(moved), at) < len(moved):
            transaction.set_rollback(True)  # the row was changed past its lock: nothing of this is certain
            return []
        return moved


def _held(queue: str) -> Counter[tuple[str, str]]:
    """How many jobs of the queue are in each (state, tenant), of those at the broker or with a worker."""
    counts = Job.objects.filter(HELD, queue=queue).values_list("state", "tenant").annotate(Count("pk"))
    return Counter({(state, tenant): count for state, tenant, count in counts})


def _room(row: Queue, held: Counter[tuple[str, str]], at: datetime) -> int:
    """How many more jobs may be queued, before rate and keys are asked."""
    queued = sum(count for (state, _), count in held.items() if state == Job.State.QUEUED)
    rooms = [row.window - queued]
    if row.concurrency is not None:
        rooms.append(row.concurrency - held.total())
    if rate := limits.rate_of(row):  # jobs that piled up at the broker would start all at once
        rooms += [rate.burst - queued, buckets.refilled(limits.bucket_of(row), rate, at).tokens]
    return min(rooms)


def _choose(
    row: Queue,
    found: list[Due] | None,
    tasks: Collection[str],
    shut: lanes.Shut,
    room: int,
    at: datetime,
    held: Counter[tuple[str, str]],
) -> list[uuid.UUID]:
    """The ids of the due jobs whose turn it is, in their order. `found` are all that are due, if they are few."""
    keys: dict[Key, int] = {}
    if found is None or any(job.key for job in found):
        key_limits = limits.locked_key_limits()
        counts = Job.objects.filter(HELD).exclude(concurrency_key="").values_list("tenant", "concurrency_key")
        held_keys = {(tenant, key): count for tenant, key, count in counts.annotate(Count("pk"))}
        if found is None:
            full = [key for key, rest in limits.key_rooms(held_keys, held_keys, key_limits).items() if rest <= 0]
            shut = lanes.Shut(shut.tasks, shut.tenants, full)
            found = lanes.crowd(row.name, tasks, shut, at, room=room, widest=max(key_limits.values()))
        keys = limits.key_rooms({job.owned_key for job in found}, held_keys, key_limits)
    tenants: Counter[str] = Counter()
    for (_, tenant), count in held.items():
        tenants[tenant] += count
    chosen = turns.choose(found, room, at, held=tenants, key_rooms=keys, place=row.dispatched + 1)
    return [job.id for job in chosen]
