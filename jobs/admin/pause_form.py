"""What pausing asks of a person: why, and until when. Shown before anything is paused, as a page of its own."""

from datetime import datetime
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy
from unfold.widgets import UnfoldAdminSplitDateTimeWidget as Moment, UnfoldAdminTextInputWidget as Text

from jobs import pauses
from jobs.models import Pause


class ReasonForm(forms.Form):
    reason = forms.CharField(max_length=1000, widget=Text(), label=gettext_lazy("Reason"))


class _Ending:
    """Refuses an end that no pause may have."""

    cleaned_data: dict[str, Any]

    def clean_until(self) -> datetime | None:
        until = self.cleaned_data["until"]
        try:
            return pauses.ending(until)
        except ValueError as exc:
            raise forms.ValidationError(str(exc)) from None


class PauseForm(_Ending, ReasonForm):
    until = forms.SplitDateTimeField(
        required=False,
        widget=Moment(),
        label=gettext_lazy("Until"),
        help_text=gettext_lazy("empty: until somebody resumes it"),
    )


class PauseRowForm(_Ending, forms.ModelForm[Pause]):
    class Meta:
        model = Pause
        fields = ("kind", "name", "reason", "until")
