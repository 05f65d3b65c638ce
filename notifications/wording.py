"""The words of a message: the owner's from `MessageTemplate`, or the ones that come with Punctual.

The owner's text is written in Liquid and never meets Django's engine: loops, output and names are limited, nothing but
the facts of `rendering` can be said, and a placeholder that is not known is an error, not a gap. Words are looked for
in the customer's locale, then in its language, then in English, then in this installation's language, then in any: an
owner who writes one language wants to be heard in it.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any

import css_inline
from django.conf import settings
from liquid import BoundTemplate, Environment, StrictUndefined
from liquid.exceptions import LiquidError
from markupsafe import Markup

from notifications.channels import segments
from notifications.models import Channel, MessageTemplate

FOLDER = Path(settings.BASE_DIR) / "templates" / "messages"
LONGEST = 100_000  # characters that a text may have
LOOPS = ("forloop", "tablerowloop")  # what loops say of themselves
SPECIAL = ("size", "first", "last")  # what Liquid says of lists and texts
INSTEAD = {Channel.WEBHOOK: Channel.INBOX}  # a webhook's receiver gets data; its words are those of the app


class BadTemplate(Exception):
    """The words cannot be used; says which part and why. Holds nothing about a customer."""


class _Plain(Environment):
    loop_iteration_limit = 1_000
    output_stream_limit = 200_000
    local_namespace_limit = 50_000
    context_depth_limit = 10


_TEXT = _Plain(undefined=StrictUndefined)
_HTML = _Plain(undefined=StrictUndefined, autoescape=True)
_INLINER = css_inline.CSSInliner(load_remote_stylesheets=False)


@dataclass(frozen=True)
class Words:
    """Liquid, before the facts are put in."""

    subject: str
    text: str
    html: str = ""
    locale: str = field(default="", compare=False)  # in which they are written; empty: nobody knows

    def say(self, facts: dict[str, Any]) -> "Words":
        """The same with the facts. Raises BadTemplate."""
        subject = " ".join(_render("subject", self.subject, facts).split())  # a header is one line
        return Words(subject, _render("text", self.text, facts).strip() + "\n", _page(self.html, facts))


def words(
    message: str, channel: str, locale: str, tenant: str = "", *, among: Sequence[MessageTemplate] | None = None
) -> Words:
    """In each language the tenant's own, then those of all tenants, then the ones that are shipped.

    One query; none where the rows that may be meant are known, and the words are found `among` them.

    Raises BadTemplate if there are no words for this message and channel.
    """
    channel = INSTEAD.get(Channel(channel), Channel(channel)).value
    rows: Iterable[MessageTemplate]
    if among is None:
        rows = MessageTemplate.objects.filter(message=message, channel=channel, tenant__in={"", tenant})
    else:
        rows = [row for row in among if (row.message, row.channel) == (message, channel) and row.tenant in ("", tenant)]
    own = {row.locale.lower(): row for row in sorted(rows, key=lambda row: row.tenant)}
    for name in _locales(locale):
        if name in own:
            return _stored(own[name])
        shipped = _shipped(message, channel, name)
        if shipped:
            return replace(shipped, locale=name)
    for name in [*_locales(settings.LANGUAGE_CODE), *sorted(own)]:
        if name in own:
            return _stored(own[name])
    raise BadTemplate(f"There are no words for {message!r} by {channel}. Write them under Message templates.")


def _stored(row: MessageTemplate) -> Words:
    return Words(row.subject, row.text, row.html, row.locale)


def of_bulk(message: dict[str, Any], channel: str) -> Words:
    """The words of a message to many: an SMS may have a text of its own."""
    text = message["sms"] if channel == Channel.SMS and message.get("sms") else message["text"]
    return Words(message.get("subject", ""), text)


def known() -> set[str]:
    """The messages that come with Punctual."""
    return {path.name for path in FOLDER.iterdir() if path.is_dir()}


def ours(message: str, channel: str, locale: str) -> Words | None:
    """The words that come with Punctual, in exactly this language; None where there are none, whatever is asked."""
    there = channel in Channel.values and message in known() and locale in languages(message)
    return _shipped(message, channel, locale) if there else None


def languages(message: str) -> list[str]:
    """In which a message that comes with Punctual is written."""
    return sorted(path.name for path in (FOLDER / message).iterdir() if path.is_dir())


def unsaid(message: str, channels: Sequence[str], tenant: str = "") -> list[str]:
    """The channels by which there are no words for this message, in no language. With a `tenant`: none it may use."""
    rows = MessageTemplate.objects.filter(message=message)
    own = set((rows.filter(tenant__in={"", tenant}) if tenant else rows).values_list("channel", flat=True))
    said_by = {name: INSTEAD.get(Channel(name), Channel(name)).value for name in channels}
    return [name for name in channels if said_by[name] not in own and not _shipped(message, said_by[name], "en")]


def check(channel: str, template: Words, facts: dict[str, Any]) -> list[str]:
    """What is wrong with an owner's words, said with `facts` of an example; empty if nothing is."""
    try:
        subject = _render("subject", template.subject, facts)
        said = template.say(facts)
    except BadTemplate as exc:
        return [str(exc)]
    wrong = list(_unknown(template, facts))
    if any(sign in subject.strip() for sign in "\r\n"):
        wrong.append("subject: it is one line")
    if channel in (Channel.EMAIL, Channel.INBOX) and not said.subject:
        wrong.append("subject: it is empty")
    if not said.text.strip():
        wrong.append("text: it is empty")
    if channel == Channel.SMS and segments.count(said.text.strip()) > 1:
        length, parts = len(said.text.strip()), segments.count(said.text.strip())
        wrong.append(f"text: {length} characters are {parts} SMS, and cost as much; one takes 160, or 70 with emoji")
    return wrong


def _locales(locale: str) -> list[str]:
    """pt_BR: pt-br, pt, en."""
    exact = locale.replace("_", "-").lower()
    return list(dict.fromkeys([exact, exact.partition("-")[0], "en"]))


@lru_cache(maxsize=256)
def _shipped(message: str, channel: str, locale: str) -> Words | None:
    folder = FOLDER / message / locale
    if folder.parent.parent != FOLDER or not (folder / f"{channel}.txt").is_file():
        return None
    parts = [folder / f"{channel}.subject.txt", folder / f"{channel}.txt", folder / f"{channel}.html"]
    return Words(*[path.read_text() if path.is_file() else "" for path in parts])


@lru_cache(maxsize=512)
def _compiled(source: str, html: bool) -> BoundTemplate:
    return (_HTML if html else _TEXT).from_string(source)


def _render(part: str, source: str, facts: dict[str, Any], html: bool = False) -> str:
    if len(source) > LONGEST:
        raise BadTemplate(f"{part}: {len(source):,} characters are too many; {LONGEST:,} fit")
    try:
        return _compiled(source, html).render(**facts)
    except (LiquidError, RecursionError, ValueError, TypeError, ArithmeticError) as exc:
        raise BadTemplate(f"{part}: {_first_line(exc)}") from None


def _unknown(template: Words, facts: dict[str, Any]) -> Iterator[str]:
    """Placeholders and filters that nobody knows, also in branches that the example does not take."""
    for part in ("subject", "text", "html"):
        parsed = _compiled(getattr(template, part), part == "html")
        found = parsed.analyze(include_partials=False)
        for name in found.filters.keys() - parsed.env.filters.keys():
            yield f"{part}: unknown filter {name!r}"
        for used in chain.from_iterable(found.globals.values()):
            if used.segments[0] not in LOOPS and not _is_said(used.segments, facts):
                yield f"{part}: {'.'.join(map(str, used.segments))!r} is undefined"


def _is_said(path: Sequence[Any], facts: Any) -> bool:
    """Whether the facts have a value at the path; what only the run can tell (a computed key) may be."""
    for step in path:
        if isinstance(facts, dict) and isinstance(step, str):
            if step not in facts:
                return step in SPECIAL
            facts = facts[step]
        else:
            return isinstance(facts, dict | list) or step in SPECIAL
    return True


def _first_line(exc: Exception) -> str:
    return (str(exc).strip() or type(exc).__name__).splitlines()[0][:300]


def _page(source: str, facts: dict[str, Any]) -> str:
    """The owner's HTML in the frame that all mails have, its styles where mail programs look for them."""
    if not source.strip():
        return ""
    content = _render("html", source, facts, html=True)
    frame = _compiled((FOLDER / "base.html").read_text(), html=True)
    return _INLINER.inline(frame.render(**facts, content=Markup(content)))  # noqa: S704  # escaped when rendered
