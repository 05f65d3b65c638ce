"""A customer's messages in the app: what they see, and what they do with them.

Called by the application that shows the inbox. `channels/inbox.py` puts messages in. Expired messages are not shown,
nor counted; `prune` deletes them later, and what was archived long ago.
"""

from collections.abc import Iterable
from datetime import timedelta

from django.db.models import Q, QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from notifications.models import Customer, InboxItem, OutboxMessage, ProviderEvent

KEEP_ARCHIVED = timedelta(days=90)
KEEP_OUTBOX = timedelta(days=30)  # of development: nobody reads it later
KEEP_EVENTS = timedelta(days=400)
CHUNK = 1000  # rows that one DELETE takes


def messages(
    customer: Customer, *, unread: bool = False, level: str = "", archived: bool = False
) -> QuerySet[InboxItem]:
    """Newest first; slice it for pages. Archived ones only on request."""
    rows = _shown(customer).filter(archived_at__isnull=not archived)
    if unread:
        rows = rows.filter(read_at__isnull=True)
    if level:
        rows = rows.filter(level=level)
    return rows.order_by("-id")


def unread_count(customer: Customer) -> int:
    return _shown(customer).filter(read_at__isnull=True, archived_at__isnull=True).count()


def mark_read(customer: Customer, ids: Iterable[int] | None = None) -> int:
    """These messages, or all. Returns how many were unread; the time of the first reading stays."""
    return _chosen(customer, ids).filter(read_at__isnull=True).update(read_at=Now())


def mark_unread(customer: Customer, ids: Iterable[int]) -> int:
    return _chosen(customer, ids).filter(read_at__isnull=False).update(read_at=None)


def archive(customer: Customer, ids: Iterable[int] | None = None) -> int:
    """These messages, or all that were read. Returns how many went."""
    rows = _chosen(customer, ids).filter(archived_at__isnull=True)
    return (rows if ids is not None else rows.filter(read_at__isnull=False)).update(archived_at=Now())


def restore(customer: Customer, ids: Iterable[int]) -> int:
    return _chosen(customer, ids).filter(archived_at__isnull=False).update(archived_at=None)


def _shown(customer: Customer) -> QuerySet[InboxItem]:
    return InboxItem.objects.filter(Q(expires_at__isnull=True) | Q(expires_at__gt=Now()), customer=customer)


def _chosen(customer: Customer, ids: Iterable[int] | None) -> QuerySet[InboxItem]:
    """Only ever their own: ids come from outside."""
    rows = InboxItem.objects.filter(customer=customer)
    return rows if ids is None else rows.filter(pk__in=list(ids))


def prune() -> int:
    """Delete what nobody can see any more, a chunk per statement. Returns the number of rows."""
    now = timezone.now()
    over = Q(expires_at__lte=Now()) | Q(archived_at__lt=now - KEEP_ARCHIVED)
    old: tuple[QuerySet[InboxItem] | QuerySet[OutboxMessage] | QuerySet[ProviderEvent], ...] = (
        InboxItem.objects.filter(over),
        OutboxMessage.objects.filter(created_at__lt=now - KEEP_OUTBOX),
        ProviderEvent.objects.filter(at__lt=now - KEEP_EVENTS),
    )
    gone = 0
    for rows in old:
        while chunk := list(rows.order_by("pk").values_list("pk", flat=True)[:CHUNK]):
            gone += rows.model._default_manager.filter(pk__in=chunk).delete()[0]
    return gone
