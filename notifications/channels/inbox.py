"""Messages in the customer's app: a row keyed by the delivery, so that sending it twice leaves it there once.

Called by `reminders.deliver`. What customers do with their messages is in `notifications/inbox.py`.
"""

from datetime import datetime

from django.db import DatabaseError, IntegrityError

from notifications.channels.base import Message, Receipt, Refused, Unknown
from notifications.models import InboxItem


def send(message: Message, *, idempotency_key: str) -> Receipt:
    """Put one message into an inbox. `metadata` may hold `level` and `expires_at` (ISO, with an offset)."""
    data = dict(message.metadata)
    level, until = str(data.pop("level", InboxItem.Level.INFO)), data.pop("expires_at", None)
    try:
        item = InboxItem(
            customer_id=int(message.to),
            key=idempotency_key,
            title=message.subject[:200],
            body=message.text,
            level=level if level in InboxItem.Level.values else InboxItem.Level.INFO,
            metadata=data,
            expires_at=datetime.fromisoformat(until) if isinstance(until, str) else until,
        )
        InboxItem.objects.bulk_create([item], ignore_conflicts=True)
    except (ValueError, TypeError, IntegrityError) as exc:
        raise Refused(f"no inbox item can be made of it: {type(exc).__name__}") from None
    except DatabaseError as exc:  # the commit may have come through
        raise Unknown(f"the database did not answer: {type(exc).__name__}") from None
    return Receipt(provider_id=f"inbox:{idempotency_key}")


def find(key: str) -> Receipt | None:
    return Receipt(provider_id=f"inbox:{key}") if InboxItem.objects.filter(key=key).exists() else None
