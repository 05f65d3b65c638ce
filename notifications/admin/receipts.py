"""What became of each reminder when its booking or payment was changed: shown after every verb.

The promise: each delivery of the receipt is named with its fate, and the time when it had gone out already.
"""

from collections.abc import Callable, Iterator
from datetime import datetime

from django.contrib import messages
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.translation import gettext as _

from notifications.admin.clocks import both
from notifications.bookings import Receipt
from notifications.models import Booking, Delivery, Payment, ReminderRule

MOST = 12  # lines; the page lists them all


def show(request: HttpRequest, receipt: Receipt, anchor: Booking | Payment) -> None:
    """A sentence, and a line for each reminder."""
    parts = {
        _("planned"): receipt.planned,
        _("withdrawn"): receipt.cancelled,
        _("already sent"): receipt.already_sent,
        _("being sent at this moment"): receipt.in_flight,
        _("in doubt"): receipt.in_doubt,
    }
    text = ", ".join(f"{len(deliveries)} {what}" for what, deliveries in parts.items() if deliveries)
    summary = _("Reminders: %s.") % (text or _("nothing to change"))
    told = list(_lines(receipt, anchor))
    left = format_html("<li>{}</li>", _("and {n} more").format(n=len(told) - MOST)) if len(told) > MOST else ""
    lines = format_html_join("", "<li>{} · {}: {}</li>", told[:MOST])
    level = messages.WARNING if receipt.in_flight or receipt.in_doubt else messages.SUCCESS
    said = format_html('{}<ul class="receipt">{}{}</ul>', summary, lines, left) if told else summary
    messages.add_message(request, level, said)


def _lines(receipt: Receipt, anchor: Booking | Payment) -> Iterator[tuple[str, str, str]]:
    """Rule, channel, fate; what cannot be taken back first."""
    fates: list[tuple[list[Delivery], Callable[[Delivery], str]]] = [
        (receipt.in_flight, lambda one: _("it is being sent at this moment and cannot be stopped")),
        (receipt.in_doubt, lambda one: _("in doubt: it may have been sent, nobody knows")),
        (receipt.already_sent, lambda one: _("was already sent at {time}").format(time=both(_sent_at(one), anchor))),
        (receipt.cancelled, lambda one: _("withdrawn, it will not be sent")),
        (receipt.planned, lambda one: _("planned for {time}").format(time=both(one.send_at, anchor))),
    ]
    all_of_them = [one for deliveries, _fate in fates for one in deliveries]
    rules = ReminderRule.objects.in_bulk({one.rule_id for one in all_of_them})
    for deliveries, fate in fates:
        for one in deliveries:
            yield rules[one.rule_id].name, one.get_channel_display(), fate(one)


def _sent_at(delivery: Delivery) -> datetime | None:
    return delivery.digest.sent_at if delivery.digest else delivery.sent_at
