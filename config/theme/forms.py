"""Forms outside of ModelAdmin with the theme's widgets: Django's own are exchanged for those that look the same.

Used by the small forms of verbs and by the pages of changes to many. The promise: nothing but looks changes.
"""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _
from unfold import widgets


class Day(forms.DateInput):
    """The browser's own calendar: it needs no script, and speaks the reader's language."""

    input_type = "date"

    def __init__(self, attrs: dict[str, Any] | None = None) -> None:
        super().__init__({"class": CLASSES, **(attrs or {})}, format="%Y-%m-%d")


class Clock(forms.TimeInput):
    input_type = "time"

    def __init__(self, attrs: dict[str, Any] | None = None) -> None:
        super().__init__({"class": CLASSES, **(attrs or {})}, format="%H:%M")


class Moment(forms.SplitDateTimeWidget):
    """Both, in one line."""

    template_name = "theme/beside.html"
    supports_microseconds = False

    def __init__(self, attrs: dict[str, Any] | None = None) -> None:
        named = Day({"aria-label": _("Day")}), Clock({"aria-label": _("Time")})
        forms.MultiWidget.__init__(self, named, attrs)


CLASSES = " ".join(widgets.INPUT_CLASSES)
THEMED: dict[type[forms.Widget], str] = {
    forms.TextInput: CLASSES,
    forms.EmailInput: CLASSES,
    forms.NumberInput: CLASSES,
    forms.Select: " ".join(widgets.SELECT_CLASSES),
    forms.NullBooleanSelect: " ".join(widgets.SELECT_CLASSES),
    forms.Textarea: " ".join(widgets.TEXTAREA_CLASSES),
    forms.CheckboxInput: " ".join(widgets.CHECKBOX_CLASSES),
    forms.CheckboxSelectMultiple: " ".join(widgets.CHECKBOX_CLASSES),
}


class ThemedForm(forms.Form):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field in self.fields.values():
            dress(field.widget)


def dress(widget: forms.Widget) -> None:
    """Give a widget of Django's own the theme's classes; others know how they look."""
    if classes := THEMED.get(type(widget)):
        widget.attrs["class"] = f"{classes} {widget.attrs.get('class', '')}".strip()
