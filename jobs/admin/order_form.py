"""What an order asks of a person beside which jobs: why, and the verb's own parameters.

Used by the page of orders. `parameters` is what the order keeps.
"""

from datetime import datetime
from typing import Any

from django import forms
from django.utils import timezone
from django.utils.translation import gettext as _, gettext_lazy
from unfold.widgets import (
    UnfoldAdminIntegerFieldWidget as Number,
    UnfoldAdminSelectWidget as Choice,
    UnfoldAdminSplitDateTimeWidget as Moment,
    UnfoldAdminTextInputWidget as Text,
)

from jobs.models import Order, Priority

Verb = Order.Verb
LONGEST_MINUTES = 366 * 24 * 60


class OrderForm(forms.Form):
    reason = forms.CharField(
        max_length=1000, widget=Text(), label=gettext_lazy("Reason"), help_text=gettext_lazy("kept with each job")
    )

    def __init__(self, verb: str, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.verb = Verb(verb)
        own = OWN.get(self.verb, {})
        self.fields = {name: make() for name, make in own.items()} | self.fields

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        if self.verb == Verb.POSTPONE and not self.errors and bool(data["minutes"]) == bool(data["until"]):
            raise forms.ValidationError(_("Say by how many minutes, or until when."))
        until: datetime | None = data.get("until")
        if until and until <= timezone.now():
            self.add_error("until", _("That is past."))
        return data

    @property
    def parameters(self) -> dict[str, Any]:
        said = self.cleaned_data
        if self.verb == Verb.RETRY:
            return {"per_minute": said["per_minute"]} if said["per_minute"] else {}
        if self.verb == Verb.POSTPONE:
            return {"run_at": said["until"].isoformat()} if said["until"] else {"seconds": said["minutes"] * 60}
        return {"priority": int(said["priority"])} if self.verb == Verb.REPRIORITISE else {}


OWN: dict[str, dict[str, Any]] = {
    Verb.RETRY: {
        "per_minute": lambda: forms.IntegerField(
            required=False,
            min_value=1,
            max_value=1_000_000,
            widget=Number(),
            label=gettext_lazy("At most so many a minute"),
            help_text=gettext_lazy("empty: all at once"),
        )
    },
    Verb.POSTPONE: {
        "minutes": lambda: forms.IntegerField(
            required=False,
            min_value=1,
            max_value=LONGEST_MINUTES,
            widget=Number(),
            label=gettext_lazy("By minutes"),
            help_text=gettext_lazy("counted from its time, or from now if that is past"),
        ),
        "until": lambda: forms.SplitDateTimeField(required=False, widget=Moment(), label=gettext_lazy("Or until")),
    },
    Verb.REPRIORITISE: {
        "priority": lambda: forms.ChoiceField(
            choices=Priority.choices, widget=Choice(), initial=Priority.NORMAL, label=gettext_lazy("Priority")
        )
    },
}
