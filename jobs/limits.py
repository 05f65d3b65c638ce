"""How fast and how many at once: token buckets, and limits by key.

Used by `windows`, in the dispatcher alone, so that a limit holds for all workers together; the arithmetic is that of
`buckets`. The promise: no more tokens are drawn than it allows, however many dispatchers draw.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime

from django.db.models import F

from jobs.buckets import Bucket, Rate, refilled
from jobs.models import KeyLimit, Queue
from jobs.turns import Key


def rate_of(queue: Queue) -> Rate | None:
    if queue.rate_count is None:
        return None
    return Rate(queue.rate_count, queue.rate_period, queue.rate_burst or queue.rate_count)


def bucket_of(queue: Queue) -> Bucket:
    return Bucket(queue.tokens, queue.tokens_at)


def draw(queue: Queue, wanted: int, now: datetime) -> int:
    """Take up to `wanted` tokens from the bucket of the queue as it was read. Returns how many it gave.

    None, if the bucket changed since it was read: another dispatcher was faster.
    """
    rate = rate_of(queue)
    before = after = bucket_of(queue)
    if rate:
        full = refilled(before, rate, now)
        wanted = min(wanted, full.tokens)
        after = Bucket(full.tokens - wanted, full.at)
    if wanted <= 0:
        return 0
    seen = Queue.objects.filter(pk=queue.pk, tokens=before.tokens, tokens_at=before.at, dispatched=queue.dispatched)
    drawn = seen.update(tokens=after.tokens, tokens_at=after.at, dispatched=F("dispatched") + wanted)
    return wanted if drawn else 0


def key_limit(key: str, limits: Mapping[str, int]) -> int:
    """The limit of a key: its own, or that of the longest prefix that fits (`*` fits all), or one at a time."""
    if key in limits:
        return limits[key]
    fitting = [pattern for pattern in limits if pattern.endswith("*") and key.startswith(pattern[:-1])]
    return limits[max(fitting, key=len)] if fitting else 1


def locked_key_limits() -> dict[str, int]:
    """All limits by key. Until the transaction ends no other dispatcher gets past this line."""
    rows = KeyLimit.objects.select_for_update().order_by("key").values_list("key", "limit")
    limits = dict(rows)
    if KeyLimit.ALL not in limits:
        KeyLimit.objects.bulk_create([KeyLimit(key=KeyLimit.ALL)], ignore_conflicts=True)
        limits = dict(rows.all())
    return limits


def key_rooms(keys: Iterable[Key], held: Mapping[Key, int], limits: Mapping[str, int]) -> dict[Key, int]:
    """For each tenant's key, how many more of its jobs may be queued."""
    return {(tenant, key): key_limit(key, limits) - held.get((tenant, key), 0) for tenant, key in keys if key}
