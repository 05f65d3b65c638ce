"""What a direct message says: its words with the facts of the customer and the variables of whoever wrote it.

A template is looked for as for a reminder (`wording.words`): the tenant's own words first, in each language.

Used by `direct` when it is written, so that a mistake is told at once, and by `direct_sending` right before it goes, so
that a changed name is right.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from django.utils import translation
from django.utils.translation import gettext

from notifications import attachments, links, rendering, wording
from notifications.channels.base import Message
from notifications.models import Channel, DirectMessage
from notifications.wording import Words

Find = Callable[[str, str, str, str], Words]
OURS = frozenset({"customer", "locale", "level", "unsubscribe_url", "unsubscribe_text"})


def check(message: DirectMessage, words: Find = wording.words) -> None:
    """Raises ValueError for words that cannot be said. `words` finds a template's."""
    try:
        said = _said(message, words)
    except wording.BadTemplate as exc:
        raise ValueError(str(exc)) from None
    if message.channel in (Channel.EMAIL, Channel.INBOX) and not said.subject:
        raise ValueError("An email and an in-app message have a subject: write one.")
    if not said.text.strip():
        raise ValueError("The text is empty.")


def address(message: DirectMessage) -> str:
    """Where it goes, as the rows are now; empty if there is no such place."""
    return message.address if message.customer is None else message.customer.address(message.channel)


def render(message: DirectMessage) -> Message:
    """Raises wording.BadTemplate, and attachments.Withheld."""
    said = _said(message)
    extra: dict[str, Any] = {}
    if message.channel == Channel.INBOX:
        extra["metadata"] = {**message.metadata, "level": message.level}
    elif message.channel == Channel.EMAIL:
        extra["attachments"] = attachments.opened(message)
        if message.customer is not None:
            url = links.unsubscribe_url(message.customer, Channel.EMAIL)
            extra["headers"] = {"List-Unsubscribe": f"<{url}>", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"}
    text = said.text.strip() if message.channel == Channel.SMS else said.text
    return Message(to=address(message), subject=said.subject, text=text, html=said.html, **extra)


def _said(message: DirectMessage, words: Find = wording.words) -> Words:
    locale = message.customer.locale if message.customer else "en"
    own = Words(message.subject, message.text, message.html)
    if message.message:
        found = words(message.message, message.channel, locale, message.tenant)
        own = replace(found, subject=message.subject or found.subject)
    return own.say(_facts(message, str(rendering.spoken(locale, own.locale))))


def _facts(message: DirectMessage, locale: str) -> dict[str, Any]:
    facts: dict[str, Any] = dict.fromkeys(OURS) | message.variables
    facts |= {"locale": locale.replace("_", "-"), "level": 0, "customer": {"name": None}}
    if message.customer is not None:
        facts["customer"] = {"name": message.customer.name}
        if message.channel == Channel.EMAIL:
            with translation.override(locale.replace("_", "-").lower()):
                facts["unsubscribe_text"] = gettext("No more reminders by email")
            facts["unsubscribe_url"] = links.unsubscribe_url(message.customer, Channel.EMAIL)
    return facts
