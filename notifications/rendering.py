"""A message from the rows as they are now: facts for the words, links, the calendar entry, a webhook's data.

Called by `reminders.deliver` right before sending, so a changed name or place is right even in a reminder that was
planned weeks ago, and "in 40 minutes" is true when it is read.
"""

import json
from collections.abc import Sequence
from datetime import datetime
from email.utils import parseaddr
from hashlib import sha256
from typing import Any
from zoneinfo import ZoneInfo

from babel import Locale, UnknownLocaleError
from babel.dates import (
    format_date,
    format_datetime,
    format_time,
    format_timedelta,
    get_datetime_format,
    get_timezone_name,
)
from django.conf import settings
from django.utils import timezone, translation
from django.utils.translation import gettext

from notifications import amounts, invitations, links, overrides
from notifications.channels.base import Message
from notifications.models import Booking, Channel, Customer, Delivery, Payment, ReminderRule
from notifications.wording import Words, of_bulk, words

NOTICES = frozenset(  # of what the customer's calendar has to follow
    kind for kind in ReminderRule.Anchor.values if kind.startswith("booking_") and kind != "booking_start"
) | {ReminderRule.Anchor.BULK_MOVE, ReminderRule.Anchor.BULK_CANCEL}


def render(
    delivery: Delivery,
    *,
    payments: Sequence[Payment] = (),
    now: datetime | None = None,
    own: Words | None = None,
    harmless: bool = False,
) -> Message:
    """`payments` are all that a digest is about. Raises `wording.BadTemplate` when the words are missing or wrong.

    For a look at them: `own` words instead of the stored ones; `harmless` links do nothing in the customer's name.
    """
    voice = _most_pressing(delivery)
    customer, channel, rule = delivery.customer, delivery.channel, overrides.rule_of(voice)
    said_by = own or _words(delivery, rule.message)
    facts = facts_of(voice.anchor, customer, payments=payments, now=now, words_in=said_by.locale)
    facts["level"] = rule.level + voice.occurrence
    if channel == Channel.EMAIL:
        facts |= _unsubscribing(customer, facts["locale"])
    if harmless:
        facts |= {name: settings.PUBLIC_URL for name in ("confirm_url", "unsubscribe_url") if facts.get(name)}
    return _message(delivery, said_by.say(facts), facts, now or timezone.now())


def _most_pressing(delivery: Delivery) -> Delivery:
    """Of a digest's parts the one whose words it uses: what is overdue must not be called upcoming."""
    parts = [part for part in (delivery, *delivery.companions) if part.payment]
    return min(parts, key=lambda part: (part.anchor.due_on, part.pk), default=delivery)  # type: ignore[union-attr]


def fingerprint(message: Message) -> str:
    """Of what the recipient reads; whom it goes to the fence has checked."""
    return sha256(json.dumps([message.subject, message.text, message.html]).encode()).hexdigest()


def _words(delivery: Delivery, message: str) -> Words:
    if delivery.bulk is not None:
        return of_bulk(delivery.bulk.parameters["message"], delivery.channel)
    return words(message, delivery.channel, delivery.customer.locale, delivery.customer.tenant)


def _message(delivery: Delivery, said: Words, facts: dict[str, Any], now: datetime) -> Message:
    customer, channel, anchor = delivery.customer, delivery.channel, delivery.anchor
    extra: dict[str, Any] = {}
    if channel == Channel.EMAIL:
        # RFC 8058: the mail program's own button, which posts to the same address
        extra["headers"] = {
            "List-Unsubscribe": f"<{facts['unsubscribe_url']}>",
            "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
        }
        if isinstance(anchor, Booking):
            sender, invites = parseaddr(settings.DEFAULT_FROM_EMAIL)[1], delivery.rule.anchor in NOTICES
            extra["attachments"] = (invitations.entry(anchor, sender, invites=invites, now=now),)
    elif channel == Channel.WEBHOOK:
        extra = {"metadata": _data(delivery), "secret": customer.webhook_secret}
    elif channel == Channel.INBOX:
        level = "warning" if facts["level"] else "info"
        extra["metadata"] = {"level": level, "kind": delivery.rule.message, **_data(delivery)["about"]}
    return Message(
        to=customer.address(channel),
        subject=said.subject,
        text=said.text if channel != Channel.SMS else said.text.strip(),
        html=said.html,
        **extra,
    )


def facts_of(
    anchor: Booking | Payment,
    customer: Customer,
    *,
    payments: Sequence[Payment] = (),
    now: datetime | None = None,
    words_in: str = "",
) -> dict[str, Any]:
    """What words may say, already in the customer's language. Plain values: words get no hold of the tables.

    `words_in` is the locale of the words. Where there are none in the customer's language, dates and amounts are in
    that of the words: nobody is told "your appointment, dans 60 minutes".

    What there is not is None and never an empty text: to Liquid that is as true as any other.
    """
    locale = spoken(customer.locale, words_in)
    facts: dict[str, Any] = {"customer": {"name": customer.name}, "locale": str(locale).replace("_", "-"), "level": 0}
    facts |= {"unsubscribe_url": None, "unsubscribe_text": None}
    if isinstance(anchor, Booking):
        return facts | _of_booking(anchor, customer, locale, now or timezone.now())
    return facts | _of_payment(anchor, locale) | _of_payments(payments or [anchor], locale)


def _of_booking(booking: Booking, customer: Customer, locale: Locale, now: datetime) -> dict[str, Any]:
    venue, own = ZoneInfo(booking.time_zone), ZoneInfo(customer.time_zone)
    differs = booking.starts_at.astimezone(venue).utcoffset() != booking.starts_at.astimezone(own).utcoffset()
    return {
        "booking": {
            "service": booking.service,
            "location": booking.location or None,
            "confirmed": bool(booking.confirmed_at),
        },
        "starts": _moment(booking.starts_at, venue, locale),
        "starts_short": _plain(format_datetime(booking.starts_at, "short", tzinfo=venue, locale=locale)),
        "starts_for_customer": _moment(booking.starts_at, own, locale) if differs else None,
        "starts_in": format_timedelta(booking.starts_at - now, add_direction=True, threshold=1.5, locale=locale),
        "zone": get_timezone_name(booking.starts_at.astimezone(venue), locale=locale),
        "confirm_url": links.confirm_url(booking) if not booking.confirmed_at and booking.starts_at > now else None,
    }


def _moment(at: datetime, zone: ZoneInfo, locale: Locale) -> str:
    """Day, time and zone, without the seconds that a locale's own full form has: "Monday, 2 March 2027, 14:00 ..."."""
    there = at.astimezone(zone)
    clock = f"{format_time(there, 'short', locale=locale)} {get_timezone_name(there, locale=locale)}"
    both = str(get_datetime_format("full", locale=locale)).replace("'", "")
    return _plain(both.format(clock, format_date(there, "full", locale=locale)))


def _of_payment(payment: Payment, locale: Locale) -> dict[str, Any]:
    return {
        "payment": {"subject": payment.subject},
        "due": format_date(payment.due_on, "full", locale=locale),
        "due_short": format_date(payment.due_on, "short", locale=locale),
        "owed": _money(payment.amount - payment.paid_amount, payment.currency, locale),
    }


def _of_payments(payments: Sequence[Payment], locale: Locale) -> dict[str, Any]:
    """A digest's list. Its sum is said by currency."""
    sums: dict[str, int] = {}
    for payment in payments:
        sums[payment.currency] = sums.get(payment.currency, 0) + payment.amount - payment.paid_amount
    listed = [
        {
            "subject": payment.subject,
            "owed": _money(payment.amount - payment.paid_amount, payment.currency, locale),
            "due": format_date(payment.due_on, "long", locale=locale),
        }
        for payment in payments
    ]
    return {"payments": listed, "total": ", ".join(_money(sum_, name, locale) for name, sum_ in sums.items())}


def _unsubscribing(customer: Customer, locale: str) -> dict[str, str]:
    with translation.override(locale.lower()):
        text = gettext("No more reminders by email")
    return {"unsubscribe_url": links.unsubscribe_url(customer, Channel.EMAIL), "unsubscribe_text": text}


def _data(delivery: Delivery) -> dict[str, Any]:
    """What a program gets: ids and times, in their own types."""
    anchor = delivery.anchor
    about: dict[str, Any] = {"external_id": anchor.external_id, "status": anchor.status, "revision": anchor.revision}
    if isinstance(anchor, Booking):
        about |= {"booking": anchor.pk, "starts_at": anchor.starts_at.isoformat(), "time_zone": anchor.time_zone}
    else:
        owed = anchor.amount - anchor.paid_amount
        about |= {"payment": anchor.pk, "due_on": anchor.due_on.isoformat(), "owed": owed, "currency": anchor.currency}
    return {"type": f"reminder.{delivery.rule.message}", "delivery": str(delivery.pk), "about": about}


def _money(minor: int, currency: str, locale: Locale) -> str:
    return _plain(amounts.said(minor, currency, locale))


def _plain(text: str) -> str:
    """With ordinary spaces: a single unbreakable one makes an SMS cost twice as much."""
    return text.replace("\u202f", " ").replace("\xa0", " ")


def spoken(customers: str, words_in: str) -> Locale:
    """The customer's locale, or that of the words where they are in another language: if it is one that is known."""
    locale = _known(customers) or Locale("en")
    of_words = _known(words_in) or locale
    return locale if of_words.language == locale.language else of_words


def _known(name: str) -> Locale | None:
    try:
        return Locale.parse(name.replace("-", "_"))
    except (UnknownLocaleError, ValueError):
        return None
