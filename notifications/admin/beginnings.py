"""What the form of a message template offers to whoever has not written one yet: our words to begin with, and what may
be said in them.

Both come from what is really used: the files of templates/messages, and the facts of an example.
"""

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlencode

from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from notifications import wording
from notifications.examples import example
from notifications.models import Channel

EXAMPLES = ("booking_upcoming", "payment_upcoming")  # a booking's facts, a payment's


def initial(asked: Mapping[str, Any]) -> dict[str, str]:
    """Subject, text and html of ours, where message, channel and locale are asked for; else nothing."""
    message, channel, locale = (str(asked.get(name, "")) for name in ("message", "channel", "locale"))
    ours = wording.ours(message, channel, locale)
    return {"subject": ours.subject.strip(), "text": ours.text, "html": ours.html} if ours else {}


def links() -> SafeString:
    """To the form with our words in it: a line for each message, in it each channel and language."""
    url = reverse("admin:notifications_messagetemplate_add")
    lines = [
        (message, format_html_join(" · ", '<a href="{}">{}</a>', _links(url, message)))
        for message in sorted(wording.known())
    ]
    return format_html('<ul class="offered">{}</ul>', format_html_join("", "<li><code>{}</code>: {}</li>", lines))


def _links(url: str, message: str) -> Iterator[tuple[str, str]]:
    for channel, label in Channel.choices:
        for locale in wording.languages(message):
            if wording.ours(message, channel, locale):
                asked = {"message": message, "channel": channel, "locale": locale}
                yield f"{url}?{urlencode(asked)}", f"{label} ({locale})"


def placeholders(message: str, locale: str) -> SafeString:
    """Each with what it says in an example. Without a message: of bookings and of payments."""
    rows = {name: said for each in [message] if message for name, said in _facts(example(each, locale))}
    for each in () if message else EXAMPLES:
        rows |= dict(_facts(example(each, locale)))
    may_be_missing = _("not always there")
    shown = ((f"{{{{ {name} }}}}", may_be_missing if said is None else said) for name, said in rows.items())
    return format_html('<ul class="offered">{}</ul>', format_html_join("", "<li><code>{}</code> {}</li>", shown))


def _facts(facts: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for name, said in facts.items():
        if isinstance(said, Mapping):
            yield from _facts(said, f"{above}{name}.")
        elif not isinstance(said, list):  # a digest's; who loops knows Liquid
            yield f"{above}{name}", said
