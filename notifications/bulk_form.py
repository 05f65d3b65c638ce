"""What comes in from people about many bookings at once, checked: the selection, the change, the words.

Used by the admin's pages of bulk changes; what it hands on are the arguments of `bulk.start`.
"""

from datetime import timedelta
from typing import Any

import pydantic
from django import forms
from django.utils.translation import gettext, gettext_lazy as _
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from config.theme.forms import Day, Moment, ThemedForm
from notifications import bulk
from notifications.models import BulkChange, Channel


class BulkForm(ThemedForm):
    """One change to many bookings: which, what, why, and the words. `asked` is what `bulk.start` takes."""

    kind = forms.ChoiceField(choices=BulkChange.Kind.choices, label=_("What"))
    tenant = forms.CharField(required=False, max_length=100, widget=forms.HiddenInput)
    on = forms.DateField(required=False, widget=Day, label=_("On"), help_text=_("by the venue's clocks"))
    starts_from = forms.SplitDateTimeField(required=False, widget=Moment, label=_("Starts from"))
    starts_before = forms.SplitDateTimeField(required=False, widget=Moment, label=_("Starts before"))
    service = forms.CharField(required=False, max_length=200, label=_("Service"))
    location = forms.CharField(required=False, max_length=300, label=_("Location"))
    customer = forms.IntegerField(required=False, min_value=1, label=_("Customer's number"))
    search = forms.CharField(required=False, max_length=200, label=_("Search"), help_text=_("as in the list"))
    ids = forms.CharField(required=False, label=_("Bookings' numbers"), help_text=_("only these; with commas"))
    days = forms.IntegerField(
        required=False,
        min_value=-bulk.FURTHEST,
        max_value=bulk.FURTHEST,
        label=_("Move by days"),
        help_text=_("times on the wall stay; negative is back"),
    )
    reason = forms.CharField(max_length=1000, label=_("Reason"), help_text=_("kept with the change, not sent"))
    subject = forms.CharField(required=False, label=_("Subject"), max_length=500)
    text = forms.CharField(
        required=False,
        label=_("Text"),
        widget=forms.Textarea,
        help_text=_("Liquid, as in message templates: {{ customer.name }}, {{ booking.service }}, {{ starts }}."),
    )
    sms = forms.CharField(required=False, label=_("Text for SMS"), help_text=_("if the text is too long for one"))
    channels = forms.MultipleChoiceField(
        required=False,
        choices=Channel.choices,
        initial=[Channel.EMAIL, Channel.SMS],
        widget=UnfoldAdminCheckboxSelectMultipleWidget(),
        label=_("Channels"),
        help_text=_("the first that reaches the customer, by their preference"),
    )
    hours = forms.IntegerField(
        required=False,
        min_value=1,
        max_value=24 * 366,
        label=_("Of use for hours"),
        help_text=_("also after the start; empty: until the start"),
    )
    at_any_hour = forms.BooleanField(required=False, label=_("Also at night"), help_text=_("else 8:00 to 21:00"))

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        if self.errors:
            return data
        data, kind = dict(data), bulk.Kind(data["kind"])  # what has an error is taken out of the original
        if kind == bulk.Kind.MOVE and not data["days"]:
            self.add_error("days", gettext("Say how far."))
        self.asked: dict[str, Any] = {
            "kind": kind,
            "selection": self._selection(data),
            "days": data["days"] or 0,
            "message": self._circular(data, kind),
        }
        return data

    def _selection(self, data: dict[str, Any]) -> bulk.Selection | None:
        said = {name: data[name] for name in bulk.Selection.model_fields if name != "ids" and data[name]}
        if data["ids"]:
            said["ids"] = [part.strip() for part in data["ids"].split(",") if part.strip()]
        try:
            return bulk.Selection.model_validate(said)
        except pydantic.ValidationError as exc:
            self.add_error(None, _told(exc))
            return None

    def _circular(self, data: dict[str, Any], kind: bulk.Kind) -> bulk.Circular | None:
        said = {name: data[name] for name in ("subject", "text", "sms", "channels")}
        if not data["text"].strip() and kind != bulk.Kind.MESSAGE:
            if data["subject"] or data["sms"]:
                self.add_error("text", gettext("Say what to write, or leave subject and SMS empty too."))
            return None
        night: dict[str, Any] = {"quiet_from": None, "quiet_until": None} if data["at_any_hour"] else {}
        useful = {"useful_for": timedelta(hours=data["hours"])} if data["hours"] else {}
        try:
            circular = bulk.Circular.model_validate(said | night | useful)
        except pydantic.ValidationError as exc:
            self.add_error("channels" if not data["channels"] else None, _told(exc))
            return None
        for part, why in circular.wrong():
            self.add_error(part if part in self.fields else None, why)
        return circular


def _told(exc: pydantic.ValidationError) -> str:
    return "; ".join(str(error["msg"]).removeprefix("Value error, ") for error in exc.errors())
