"""What a person decides about a message in doubt, of whatever kind: who knows says what became of it, and how that is
known.

Used by the pages of deliveries, direct messages and mails of reports. Nothing here changes a message: the `resolve` of
its kind does, by a guarded UPDATE whose row count is the answer. The promise: whoever comes second is told so.
"""

from collections.abc import Callable
from typing import Any

from django import forms
from django.http import HttpRequest
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from config.theme.verbs import VerbForm

RESOLVE = "notifications.resolve_delivery"
IN_DOUBT = "in_doubt"  # the same word for each kind of message
SOMEBODY = _("It was not in doubt any more: somebody else has said what became of it.")


class NothingDone(Exception):
    """The message is not in a state for it any more."""


class KnownForm(VerbForm):
    reason = forms.CharField(
        label=_("How it is known"),
        max_length=300,
        widget=forms.TextInput(attrs={"autofocus": True}),
        help_text=_("kept with the message and in the log"),
    )


def held(message: Any) -> bool:
    """It waits for somebody who knows."""
    return bool(message.state == IN_DOUBT)


def decided(resolve: Callable[..., int], outcome: str, otherwise: str | Promise = SOMEBODY) -> Callable[..., None]:
    """What a button does. `resolve` takes ids, the outcome, who decides and why, and returns how many it applied to."""

    def decide(message: Any, request: HttpRequest, *, reason: str) -> None:
        insist(resolve([message.pk], outcome, str(request.user), reason), otherwise)

    return decide


def insist(done: int, otherwise: str | Promise) -> None:
    if not done:
        raise NothingDone(str(otherwise))
