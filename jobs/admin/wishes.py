"""What people asked of jobs and what became of it, as the ledger writes it, in the reader's words.

Used by the pages of jobs and of orders. A word that is not known here (of another program's record) is shown as it is.
"""

from typing import Any

from django.utils.translation import gettext_lazy as _

from jobs.models import Job, Order

OUTCOMES: dict[str, Any] = {
    "cancelled": _("cancelled"),
    "in flight": _("in flight, asked to stop"),
    "finished": _("finished before"),
    "done": _("done"),
    "left alone": _("left alone"),
}
VERBS: dict[str, Any] = dict(Order.Verb.choices) | {"import": _("import")}
STATES: dict[str, Any] = dict(Job.State.choices) | {"retrying": _("tried again"), "overdue": _("overdue")}


def outcome(word: str) -> str:
    """A state, or a receipt."""
    return str(OUTCOMES.get(word) or state(word))


def verb(word: str) -> str:
    return str(VERBS.get(word, word))


def state(word: str) -> str:
    return str(STATES.get(word, word))
