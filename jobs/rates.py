"""`rate_limit` of a durable task: so many of its jobs in a second, minute or hour, on all workers together.

Used by the dispatcher, which sends the jobs of such tasks in a pass of their own. Celery's own limit is one of each
worker, which would sit on messages in its memory. The promise: no more are sent in any time span than the rate allows
in it, and a burst of one second's worth, because a bucket's row is held while its tokens are drawn.
"""

import logging
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.db.models.functions import Now

from jobs import registry, windows
from jobs.buckets import Bucket, Rate, parsed, refilled
from jobs.models import Job, TaskRate

if TYPE_CHECKING:
    from jobs.durable import Durable

logger = logging.getLogger(__name__)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
BELIEVED = 1.0  # seconds for which an order of Celery's control need not be seen

_orders: dict[str, str] = {}
_read_at = -BELIEVED


class RateLimit:
    """`rate_limit` of a bound task. Empty for Celery's workers; what Celery's control sets becomes an order for all."""

    def __get__(self, task: "Durable | None", owner: Any = None) -> None:
        return None

    def __set__(self, task: "Durable", value: Any) -> None:
        parsed(value)
        TaskRate.objects.update_or_create(task=task.name, defaults={"ordered": str(value or 0)})


def known() -> dict[str, Rate]:
    """The tasks with a rate: what somebody ordered, or else what the code says."""
    global _orders, _read_at
    if time.monotonic() - _read_at >= BELIEVED:
        _orders = dict(TaskRate.objects.exclude(ordered="").values_list("task", "ordered"))
        _read_at = time.monotonic()
    durable: list[Any] = [registry.named(name) for name in registry.names()]
    found = {task.name: _ordered(_orders[task.name]) if task.name in _orders else task.rate for task in durable}
    return {name: rate for name, rate in found.items() if rate}


def _ordered(text: str) -> Rate | None:
    try:
        return parsed(text)
    except ValueError:  # written past the admin; the other tasks must go on
        logger.warning("no rate, so no limit: %r", text)
        return None


def fill(queue: str, task: str, rate: Rate, *, epoch: str = "", now: datetime | None = None) -> list[Job]:
    """Mark as queued what may go of that task. None, while another dispatcher holds its bucket."""
    with transaction.atomic():
        row = _held(task)
        if row is None:
            return []
        bucket = refilled(Bucket(row.tokens, row.tokens_at), rate, now or row.read_at)
        if bucket.tokens <= 0:
            return []
        moved = windows.fill(queue, [task], most=bucket.tokens, epoch=epoch, now=now)
        row.tokens, row.tokens_at = bucket.tokens - len(moved), bucket.at
        row.save(update_fields=["tokens", "tokens_at"])
    return moved


def _held(task: str) -> Any:
    rows = TaskRate.objects.select_for_update(skip_locked=True).filter(pk=task).annotate(read_at=Now())
    row = rows.first()
    if row is None:
        TaskRate.objects.bulk_create([TaskRate(task=task)], ignore_conflicts=True)
        row = rows.first()
    return row
