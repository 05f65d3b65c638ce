"""Figures as the page shows them: a number or a span of time in words, with a tone that is said in words as well.

Used by the sections of the dashboard. Pure text, in the language that is active.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone
from django.utils.formats import date_format, number_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

# What the theme's label calls its colours.
FINE, WARNING, DANGER, PLAIN = "success", "warning", "danger", "default"


@dataclass(frozen=True)
class Figure:
    name: str
    value: str
    note: str = ""
    tone: str = ""  # with a tone, `word` says it
    word: str = ""
    link: str = ""


@dataclass(frozen=True)
class Table:
    title: str
    headers: list[str]
    rows: list[list[Any]]

    @property
    def data(self) -> dict[str, Any]:
        return {"headers": self.headers, "rows": self.rows}


def many(number: int, most: int | None = None) -> str:
    """1234: 1,234. Above `most`, which is as far as was counted: 10,000+."""
    if most is not None and number > most:
        return f"{many(most)}+"
    return number_format(number, use_l10n=True, force_grouping=True)


def span(length: timedelta | None) -> str:
    """3 s, 12 min, 5 h 20 min, 3 d 4 h."""
    if length is None:
        return "-"
    seconds = abs(length.total_seconds())
    if seconds < 10:
        return _("%s s") % number_format(seconds, decimal_pos=1)
    if seconds < 120:
        return _("%d s") % seconds
    minutes, hours = int(seconds // 60), int(seconds // 3600)
    if hours < 1:
        return _("%d min") % minutes
    if hours < 24:
        return _("%(hours)d h %(minutes)d min") % {"hours": hours, "minutes": minutes % 60}
    return _("%(days)d d %(hours)d h") % {"days": hours // 24, "hours": hours % 24}


def moment(at: datetime) -> str:
    return date_format(timezone.localtime(at), "DATETIME_FORMAT")


def linked(text: str, url: str) -> SafeString:
    return format_html('<a class="underline" href="{}">{}</a>', url, text)


def toned(text: str, tone: str) -> SafeString:
    """Within a table: the words tell, the colour helps."""
    colours = {DANGER: "text-red-700 dark:text-red-400 font-semibold", WARNING: "font-semibold"}
    return format_html('<span class="{}">{}</span>', colours.get(tone, ""), text)
