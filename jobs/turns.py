"""Whose turn it is: which of the due jobs of a queue go into its window, and in which order. Pure.

Used by `windows`. Tenants take turns by how much of the window they hold already; within a tenant the more urgent job
goes first. Every tenth place belongs to the job that is longest overdue, whoever's it is and however little urgent:
a stream of urgent jobs slows the others down, but never stops them.
"""

import uuid
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from heapq import heapify, heappop, heappush

RESERVED = 10  # of so many places one is for the longest overdue
PATIENCE = timedelta(minutes=5)  # before a job counts as overdue for long
Key = tuple[str, str]  # a tenant and its concurrency key: two tenants may well both have a customer 7


@dataclass(frozen=True, slots=True)
class Due:
    """A job that may run now."""

    id: uuid.UUID
    tenant: str
    key: str
    priority: int
    run_at: datetime

    @property
    def owned_key(self) -> Key:
        return self.tenant, self.key


class Seats:
    """What is free of the window, by key and by tenant, while it is being filled."""

    def __init__(self, room: int, held: Mapping[str, int], key_rooms: Mapping[Key, int]) -> None:
        self.held = Counter(held)
        self.taken: dict[uuid.UUID, Due] = {}
        self._room, self._keys = room, dict(key_rooms)

    @property
    def full(self) -> bool:
        return len(self.taken) >= self._room

    def fits(self, job: Due) -> bool:
        return job.id not in self.taken and (not job.key or self._keys.get(job.owned_key, 0) > 0)

    def take(self, job: Due) -> None:
        self.taken[job.id] = job
        self.held[job.tenant] += 1
        if job.key:
            self._keys[job.owned_key] -= 1


def choose(
    due: Iterable[Due],
    room: int,
    now: datetime,
    *,
    held: Mapping[str, int] | None = None,
    key_rooms: Mapping[Key, int] | None = None,
    place: int = 1,
) -> list[Due]:
    """Up to `room` of the due jobs, in the order in which to send them.

    `held` is what each tenant has queued or running, `key_rooms` how many more jobs of a key may be; `place` counts the
    jobs that the queue ever sent, so that the reserved places come round however small `room` is.
    """
    jobs, seats = list(due), Seats(room, held or {}, key_rooms or {})
    overdue = iter(sorted((job for job in jobs if now - job.run_at > PATIENCE), key=lambda job: job.run_at))
    turns = _turns(jobs, seats)
    while not seats.full:
        reserved = (place + len(seats.taken)) % RESERVED == 0
        job = next(filter(seats.fits, overdue), None) if reserved else None
        job = job or next(turns, None)
        if job is None:
            break
        seats.take(job)
    return list(seats.taken.values())


def _turns(jobs: Iterable[Due], seats: Seats) -> Iterator[Due]:
    """The next job of the tenant that holds least; between equals the more urgent, then the older one."""
    lines: dict[str, list[Due]] = defaultdict(list)
    for job in sorted(jobs, key=lambda job: (-job.priority, job.run_at, job.id), reverse=True):
        lines[job.tenant].append(job)  # the best at the end, from where it is popped
    heap = [_bid(line, seats) for line in lines.values()]
    heapify(heap)
    while heap:
        bid = heappop(heap)
        line = lines[bid[-1]]
        while line and not seats.fits(line[-1]):
            line.pop()
        if not line:
            continue
        if bid == _bid(line, seats):
            yield line.pop()
        if line:
            heappush(heap, _bid(line, seats))


def _bid(line: list[Due], seats: Seats) -> tuple[int, int, datetime, str]:
    """How good a tenant's claim on the next place is; the smallest wins."""
    head = line[-1]
    return seats.held[head.tenant], -head.priority, head.run_at, head.tenant
