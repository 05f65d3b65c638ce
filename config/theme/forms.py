"""Forms outside of ModelAdmin with the theme's widgets: Django's own are exchanged for those that look the same.

Used by the small forms of verbs and by the pages of changes to many. The promise: nothing but looks changes.
"""

import json
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext, gettext_lazy as _
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


class Names(forms.Field):
    """A list of names, written with commas between them. What commas cannot say (an empty name) is written as JSON."""

    widget = widgets.UnfoldAdminTextInputWidget

    def prepare_value(self, value: Any) -> Any:
        if not isinstance(value, list):
            return value  # as it was typed
        plain = all(isinstance(one, str) and one and not set(one) & MARKS for one in value)
        return ", ".join(value) if plain else json.dumps(value, ensure_ascii=False)

    def to_python(self, value: Any) -> list[str]:
        text = str(value or "").strip()
        told = gettext("Write names with commas between them, such as: default, messages")
        if not text.startswith("["):
            found = [one.strip() for one in text.split(",")]
            if any(set(one) & MARKS for one in found):
                raise ValidationError(told, "invalid")
            return list(dict.fromkeys(one for one in found if one))
        try:
            said = json.loads(text)
        except ValueError:
            raise ValidationError(told, "invalid") from None
        if not all(isinstance(one, str) and "\x00" not in one for one in said):
            raise ValidationError(told, "invalid")
        return list(said)

    def has_changed(self, initial: Any, data: Any) -> bool:
        try:
            return bool(self.to_python(data) != (initial or []))
        except ValidationError:
            return True


MARKS = set(',"[]{}\x00')  # of JSON, and what separates
CLASSES = " ".join(widgets.INPUT_CLASSES)
THEMED: dict[type[forms.Widget], str] = {
    forms.TextInput: CLASSES,
    forms.EmailInput: CLASSES,
    forms.NumberInput: CLASSES,
    forms.Select: " ".join(widgets.SELECT_CLASSES),
    forms.NullBooleanSelect: " ".join(widgets.SELECT_CLASSES),
    forms.Textarea: " ".join(widgets.TEXTAREA_CLASSES),
    forms.CheckboxInput: " ".join(widgets.CHECKBOX_CLASSES),
    forms.CheckboxSelectMultiple: " ".join(widgets.CHECKBOX_CLASSES),  # of each box: to be drawn one by one
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
