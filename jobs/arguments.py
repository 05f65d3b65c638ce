"""Arguments and results as they are shown: as they are to who may see them (`jobs.reveal_job`), else by their kind.

Used by the page of a job and by the command line. Arguments are anybody's data: who operates needs to know that there
is a text, not which.
"""

import json
from collections.abc import Mapping
from typing import Any

from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _, ngettext

DEEPEST = 4


def masked(value: Any, depth: int = 0) -> Any:
    """The same shape, with a word in the place of each value. Names of arguments stay; other keys do not."""
    if value is None:
        return None
    if isinstance(value, bool):
        return _("yes or no")
    if isinstance(value, int | float):
        return _("number")
    if isinstance(value, str):
        return ngettext("text of %d character", "text of %d characters", len(value)) % len(value)
    if depth >= DEEPEST or (isinstance(value, list | tuple) and len(value) > 20):
        return ngettext("list of %d", "list of %d", len(value)) % len(value)
    if isinstance(value, Mapping):
        if depth > 0:
            return ngettext("object with %d entry", "object with %d entries", len(value)) % len(value)
        return {name: masked(one, depth + 1) for name, one in value.items()}
    return [masked(one, depth + 1) for one in value]


def shown(value: Any, *, reveal: bool) -> SafeString | str:
    if value in (None, [], {}):
        return "-"
    told = json.dumps(value if reveal else masked(value), indent=2, ensure_ascii=False)
    return format_html('<pre class="overflow-x-auto whitespace-pre-wrap">{}</pre>', told)
