"""Reminders as the API tells them: those of a booking or payment, and the receipt of what a change did to each.

Used by the routers of bookings and payments. The promise: a receipt names every reminder that a change touched, and
tells what went out already from what certainly will not. Two queries, however many there are.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, Literal
from uuid import UUID
from zoneinfo import ZoneInfo

from ninja import Schema
from pydantic import Field

from jobs.api.callers import Caller
from notifications.api import reach
from notifications.api.fields import ChannelName
from notifications.bookings import Receipt
from notifications.models import Booking, Delivery, Payment, ReminderRule

State = Literal["planned", "sending", "sent", "refused", "in_doubt", "skipped"]
What = Literal["planned", "withdrawn", "in_flight", "already_sent", "in_doubt"]


class ReminderOut(Schema):
    id: UUID = Field(description="of the delivery; also its job's")
    rule: str = Field(examples=["24 hours before a booking"])
    channel: ChannelName
    state: State
    reason: str = Field(
        description="why it is skipped; empty if nothing speaks against it", examples=["lead_time_past"]
    )
    reason_text: str = Field(description="the same for people", examples=["made too late for this reminder"])
    detail: str = Field(description="what the provider or the error said; addresses masked without customers:reveal")
    send_at: datetime = Field(description="when it is planned for, in UTC")
    send_at_venue: datetime = Field(description="by the clocks of the booking's or payment's zone")
    send_at_customer: datetime = Field(description="by the customer's clocks")
    useful_until: datetime = Field(description="it is not sent later than this")
    sent_at: datetime | None = Field(description="when the provider took it")
    outcome: str = Field(description="told by the provider later: delivered, bounced, complained, failed")
    occurrence: int = Field(description="0, or the how-manieth repetition of a series")
    revision: int = Field(description="of the booking or payment that it speaks of; an older one is never sent")


class ReceiptLine(Schema):
    id: UUID
    rule: str
    channel: ChannelName
    outcome: What = Field(
        description="withdrawn: it certainly never goes out. in_flight: it is being handed to the provider now. "
        "already_sent: at sent_at. in_doubt: nobody knows. planned: it will go out at send_at"
    )
    send_at: datetime
    sent_at: datetime | None
    reason: str


def reminders(caller: Caller, anchor: Booking | Payment) -> list[dict[str, Any]]:
    """One query; the anchor's customer is loaded."""
    rows = anchor.deliveries.select_related("rule").order_by("send_at", "pk")
    return [_reminder(caller, row, anchor) for row in rows]


def receipt(done: Receipt) -> list[dict[str, Any]]:
    lines = list(_lines(done))
    rules = dict(ReminderRule.objects.filter(pk__in={row.rule_id for _what, row in lines}).values_list("pk", "name"))
    return [
        {
            "id": row.pk,
            "rule": rules[row.rule_id],
            "channel": row.channel,
            "outcome": what,
            "send_at": row.send_at,
            "sent_at": row.sent_at,
            "reason": row.reason,
        }
        for what, row in lines
    ]


def _lines(done: Receipt) -> Iterator[tuple[What, Delivery]]:
    groups: tuple[tuple[What, Iterable[Delivery]], ...] = (
        ("planned", done.planned),
        ("withdrawn", done.cancelled),
        ("in_flight", done.in_flight),
        ("already_sent", done.already_sent),
        ("in_doubt", done.in_doubt),
    )
    for what, rows in groups:
        for row in rows:
            yield what, row


def _reminder(caller: Caller, row: Delivery, anchor: Booking | Payment) -> dict[str, Any]:
    venue, own = ZoneInfo(anchor.time_zone), ZoneInfo(anchor.customer.time_zone)
    return {
        **{name: getattr(row, name) for name in ("channel", "state", "reason", "send_at", "useful_until", "sent_at")},
        **{name: getattr(row, name) for name in ("outcome", "occurrence", "revision")},
        "id": row.pk,
        "rule": row.rule.name,
        "reason_text": str(Delivery.Reason(row.reason).label) if row.reason else "",
        "detail": reach.machine_text(caller, row.detail),
        "send_at_venue": row.send_at.astimezone(venue),
        "send_at_customer": row.send_at.astimezone(own),
    }
