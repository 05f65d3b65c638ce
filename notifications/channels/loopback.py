"""The development provider: messages stay here as rows of the outbox, to look at in the admin.

Used by the channels that have no provider configured. A key that comes twice is one message.
"""

from notifications.channels.base import Message, Receipt
from notifications.models import OutboxMessage


def keep(channel: str, message: Message, key: str) -> Receipt:
    """Write the message to the outbox instead of sending it. Raises DatabaseError."""
    row = OutboxMessage(
        channel=channel,
        key=key,
        to=message.to[:500],
        subject=message.subject,
        text=message.text,
        html=message.html,
    )
    OutboxMessage.objects.bulk_create([row], ignore_conflicts=True)
    return Receipt(provider_id=f"outbox:{key}")


def find(key: str) -> Receipt | None:
    return Receipt(provider_id=f"outbox:{key}") if OutboxMessage.objects.filter(key=key).exists() else None
