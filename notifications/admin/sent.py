"""Everything that was ever sent to a customer: reminders, messages to many, and what lies in their inbox.

Used by the customer's page. Newest first, a page at a time, by the time of the last row: a page costs what is on it.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Q
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from notifications import privacy
from notifications.admin.stories import LOOKS, OUTCOMES
from notifications.models import Customer, Delivery, InboxItem

PAGE = 50
State = Delivery.State
GONE_OUT = [State.SENT, State.SENDING, State.IN_DOUBT, State.REFUSED]


@dataclass(frozen=True)
class Cursor:
    """Where the page before ended; `None` is the beginning."""

    at: datetime | None = None

    @classmethod
    def read(cls, text: str) -> "Cursor":
        """What is no time is the beginning: somebody has edited the address."""
        try:
            at = parse_datetime(text)
        except ValueError:
            at = None
        return cls(at if at is None or timezone.is_aware(at) else None)


@dataclass(frozen=True)
class Entry:
    at: datetime
    what: str
    channel: str
    state: str
    look: str
    detail: str
    delivery: UUID | None = None
    item: int | None = None
    outcome: str = ""
    outcome_look: str = ""
    to_many: str = ""
    read_at: datetime | None = None


@dataclass(frozen=True)
class Found:
    entries: list[Entry] = field(default_factory=list)
    following: str = ""  # the cursor of the next page; empty: there is none


def sent_to(customer: Customer, cursor: Cursor, *, reveal: bool) -> Found:
    """Three queries. What two rows tell (a delivery to the inbox, and the item there) is told once."""
    deliveries = Delivery.objects.filter(customer=customer, state__in=GONE_OUT).select_related("rule", "bulk")
    items = InboxItem.objects.filter(customer=customer)
    if cursor.at:
        deliveries, items = deliveries.filter(send_at__lt=cursor.at), items.filter(created_at__lt=cursor.at)
    sent = list(deliveries.order_by("-send_at", "-pk")[: PAGE + 1])
    inbox = list(items.order_by("-created_at", "-pk")[: PAGE + 1])
    both: list[Any] = sorted([*sent, *inbox], key=_moment, reverse=True)
    page, more = both[:PAGE], len(both) > PAGE
    if more:  # rows of one moment stay together
        while len(page) < len(both) and _moment(both[len(page)]) == _moment(page[-1]):
            page.append(both[len(page)])
        more = len(page) < len(both) or max(len(sent), len(inbox)) > PAGE
    keys = _uuids(row.key for row in page if isinstance(row, InboxItem))
    by_inbox = set(Delivery.objects.filter(Q(pk__in=keys)).values_list("pk", flat=True)) if keys else set()
    read = {item.key: item.read_at for item in inbox}
    entries = [
        _of_delivery(row, read.get(str(row.pk)), reveal) if isinstance(row, Delivery) else _of_item(row, reveal)
        for row in page
        if isinstance(row, Delivery) or not by_inbox & _uuids([row.key])
    ]
    return Found(entries, _moment(page[-1]).isoformat() if more else "")


def _moment(row: Any) -> datetime:
    moment: datetime = row.send_at if isinstance(row, Delivery) else row.created_at
    return moment


def _uuids(keys: Any) -> set[UUID]:
    found = set()
    for key in keys:
        try:
            found.add(UUID(key))
        except ValueError:
            continue  # an item that no delivery made
    return found


def _of_delivery(row: Delivery, read_at: datetime | None, reveal: bool) -> Entry:
    return Entry(
        at=row.sent_at or row.intent_at or row.send_at,
        what=row.rule.name if row.bulk is None else row.bulk.get_kind_display(),
        channel=row.get_channel_display(),
        state=row.get_state_display(),
        look=LOOKS.get(row.state, ""),
        detail=row.detail if reveal else privacy.text(row.detail),
        delivery=row.pk,
        outcome=row.get_outcome_display() if row.outcome else "",
        outcome_look=OUTCOMES.get(row.outcome, ""),
        to_many=str(row.bulk_id or ""),
        read_at=read_at,
    )


def _of_item(row: InboxItem, reveal: bool) -> Entry:
    title = row.title if reveal else privacy.nothing(row.title)
    return Entry(row.created_at, title, "", "", "", "", item=row.pk, read_at=row.read_at)
