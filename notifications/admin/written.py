"""A delivery's message as its recipient saw it, for its page; or, where no copy is kept, as it would be written now.

Messages are written from the rows at the moment of sending and are not stored. The inbox and the outboxes of
development keep theirs; of the others there is a fingerprint, which tells whether today's rendering is the same.
"""

from dataclasses import dataclass
from typing import Any

from notifications import rendering, wording
from notifications.channels import segments
from notifications.channels.base import Message
from notifications.models import Channel, Delivery, InboxItem, OutboxMessage


@dataclass(frozen=True)
class Written:
    subject: str = ""
    text: str = ""
    html: str = ""
    kept: bool = False  # it is a copy of what was handed over
    same: bool | None = None  # as what was handed over; None: nothing was yet, or it left no fingerprint
    problem: str = ""
    parts: int = 0  # of an SMS
    alphabet: str = ""


def written(delivery: Delivery) -> Written:
    """`delivery` with its rule, customer, booking, payment and bulk."""
    if copy := _kept(delivery):
        return copy
    together = [one.payment for one in delivery.contains.select_related("payment").order_by("send_at", "pk")]
    payments = [payment for payment in (delivery.payment, *together) if payment]
    # The moment decides what "in 40 minutes" says.
    moment = delivery.intent_at or delivery.send_at
    try:
        real = rendering.render(delivery, payments=payments, now=moment)
        shown = rendering.render(delivery, payments=payments, now=moment, harmless=True)
    except wording.BadTemplate as exc:
        return Written(problem=str(exc))
    same = delivery.content == rendering.fingerprint(real) if delivery.content else None
    return Written(shown.subject, shown.text, shown.html, same=same, **_length(delivery, shown))


def _kept(delivery: Delivery) -> Written | None:
    key = str(delivery.pk)
    if delivery.channel == Channel.INBOX:
        item = InboxItem.objects.filter(key=key).first()
        return Written(item.title, item.body, kept=True) if item else None
    if delivery.channel in (Channel.SMS, Channel.WEBHOOK) and delivery.intent_at:
        row = OutboxMessage.objects.filter(key=key).first()
        if row:
            copy = Message(to="", subject=row.subject, text=row.text, html=row.html)
            return Written(row.subject, row.text, row.html, kept=True, **_length(delivery, copy))
    return None


def _length(delivery: Delivery, message: Message) -> dict[str, Any]:
    if delivery.channel != Channel.SMS:
        return {}
    alphabet = "GSM" if segments.is_gsm(message.text) else "Unicode"
    return {"parts": segments.count(message.text), "alphabet": alphabet}
