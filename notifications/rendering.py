"""The text of a message, from the rows as they are now.

Called by `reminders.deliver` right before sending, so a changed name or place is right even in a reminder that was
planned weeks ago. A message is a folder of `templates/messages/`.
"""

from datetime import timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from babel import Locale, UnknownLocaleError
from babel.dates import format_date, format_datetime, format_timedelta, get_timezone_name
from babel.numbers import format_currency, get_currency_precision
from django.template.loader import render_to_string
from django.utils import timezone

from notifications.channels.base import Message
from notifications.models import Booking, Delivery, Payment


def render(delivery: Delivery) -> Message:
    """Raises Django's template errors when a template is missing or broken."""
    customer, folder = delivery.customer, f"messages/{delivery.rule.message}/email"
    locale = _locale(customer.locale)
    context = {"customer": customer, **_facts(delivery.anchor, locale, customer.time_zone)}
    if delivery.payment is not None:  # with those that go along in a digest
        payments = [delivery.payment, *[one.payment for one in delivery.companions if one.payment]]
        context["payments"] = [_owed(payment, locale) for payment in payments]
    subject = " ".join(render_to_string(f"{folder}.subject.txt", context).split())  # a header is one line
    return Message(
        to=customer.address(delivery.channel),
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
            "starts_in": _in(anchor.starts_at - timezone.now(), locale) if anchor.starts_at > timezone.now() else "",
            "starts": format_datetime(anchor.starts_at, "full", tzinfo=venue, locale=locale),
            "starts_for_customer": format_datetime(anchor.starts_at, "full", tzinfo=own, locale=locale)
            if differs
            else "",
            "zone": get_timezone_name(anchor.starts_at.astimezone(venue), locale=locale),
        }
    return _owed(anchor, locale)


def _owed(payment: Payment, locale: Locale) -> dict[str, Any]:
    owed = Decimal(payment.amount - payment.paid_amount).scaleb(-get_currency_precision(payment.currency))
    return {
        "payment": payment,
        "due": format_date(payment.due_on, "full", locale=locale),
        "owed": format_currency(owed, payment.currency, locale=locale),
    }


def _in(left: timedelta, locale: Locale) -> str:
    """ "in 40 minutes": a message that was held up must not say "in one hour"."""
    return format_timedelta(max(left, timedelta(minutes=1)), "minute", threshold=2, add_direction=True, locale=locale)


def _locale(name: str) -> Locale:
    """The customer's locale; English for one that nobody knows."""
    try:
        return Locale.parse(name.replace("-", "_"))
    except (UnknownLocaleError, ValueError):
        return Locale("en")
