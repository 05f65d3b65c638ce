"""The text of a message, from the rows as they are now.

Called by `reminders.deliver` right before sending, so a changed name or place is right even in a reminder that was
planned weeks ago. A message is a folder of `templates/messages/`.
"""

from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from babel import Locale, UnknownLocaleError
from babel.dates import format_date, format_datetime, get_timezone_name
from babel.numbers import format_currency, get_currency_precision
from django.template.loader import render_to_string

from notifications.channels.base import Message
from notifications.models import Booking, Delivery, Payment


def render(delivery: Delivery) -> Message:
    """Raises Django's template errors when a template is missing or broken."""
    customer, folder = delivery.customer, f"messages/{delivery.rule.message}/email"
    context = {"customer": customer, **_facts(delivery.anchor, _locale(customer.locale), customer.time_zone)}
    subject = " ".join(render_to_string(f"{folder}.subject.txt", context).split())  # a header is one line
    return Message(
        to=customer.email,
        subject=subject,
        text=render_to_string(f"{folder}.txt", context),
        html=render_to_string(f"{folder}.html", context),
    )


def _facts(anchor: Booking | Payment, locale: Locale, customer_zone: str) -> dict[str, Any]:
    """What templates may say, already in the customer's language."""
    if isinstance(anchor, Booking):
        venue, own = ZoneInfo(anchor.time_zone), ZoneInfo(customer_zone)
        differs = anchor.starts_at.astimezone(venue).utcoffset() != anchor.starts_at.astimezone(own).utcoffset()
        return {
            "booking": anchor,
            "starts": format_datetime(anchor.starts_at, "full", tzinfo=venue, locale=locale),
            "starts_for_customer": format_datetime(anchor.starts_at, "full", tzinfo=own, locale=locale)
            if differs
            else "",
            "zone": get_timezone_name(anchor.starts_at.astimezone(venue), locale=locale),
        }
    owed = Decimal(anchor.amount - anchor.paid_amount).scaleb(-get_currency_precision(anchor.currency))
    return {
        "payment": anchor,
        "due": format_date(anchor.due_on, "full", locale=locale),
        "owed": format_currency(owed, anchor.currency, locale=locale),
    }


def _locale(name: str) -> Locale:
    """The customer's locale; English for one that nobody knows."""
    try:
        return Locale.parse(name.replace("-", "_"))
    except (UnknownLocaleError, ValueError):
        return Locale("en")
