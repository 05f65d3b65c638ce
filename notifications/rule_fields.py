"""How people say when and by what: "24 hours before", "1 day", "first email, then SMS". Form fields.

Used by the admin for rules and customers. The promise: what is shown is said back exactly; a duration that has no whole
unit is shown in seconds rather than rounded.
"""

from datetime import time, timedelta
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.formats import time_format
from django.utils.translation import gettext, gettext_lazy as _, ngettext
from unfold.widgets import UnfoldAdminIntegerFieldWidget, UnfoldAdminSelectWidget

from notifications.models import Channel

UNITS = {
    "weeks": timedelta(weeks=1),
    "days": timedelta(days=1),
    "hours": timedelta(hours=1),
    "minutes": timedelta(minutes=1),
    "seconds": timedelta(seconds=1),
}
NAMES = [
    ("minutes", _("minutes")),
    ("hours", _("hours")),
    ("days", _("days")),
    ("weeks", _("weeks")),
    ("seconds", _("seconds")),
]
SIDES = [("before", _("before")), ("after", _("after"))]
# A week is said as such only where nothing smaller is usual: 14 days are 14 days.
SAID = ("days", "hours", "minutes", "seconds")


def split(value: timedelta) -> tuple[int, str]:
    """The largest unit of which it is a whole number; up to two days in hours, as reminders are spoken of."""
    length = abs(value)
    for name in SAID:
        if length >= UNITS[name] and not length % UNITS[name]:
            number = length // UNITS[name]
            return (number * 24, "hours") if name == "days" and number == 1 else (number, name)
    return length // UNITS["seconds"], "seconds" if length else "minutes"


def said(value: timedelta) -> str:
    """24 hours"""
    number, unit = split(value)
    words = {
        "days": ngettext("{n} day", "{n} days", number),
        "hours": ngettext("{n} hour", "{n} hours", number),
        "minutes": ngettext("{n} minute", "{n} minutes", number),
        "seconds": ngettext("{n} second", "{n} seconds", number),
    }
    return words[unit].format(n=number)


def moment(offset: timedelta, at: time | None) -> str:
    """24 hours before; the day before at 18:00"""
    if at is None:
        if not offset:
            return gettext("at that moment")
        return (gettext("{length} before") if offset < timedelta() else gettext("{length} after")).format(
            length=said(offset)
        )
    days, clock = offset // timedelta(days=1), time_format(at, "H:i")
    words = {-1: gettext("the day before at {at}"), 0: gettext("that day at {at}"), 1: gettext("the day after at {at}")}
    if days in words:
        return words[days].format(at=clock)
    many = gettext("{n} days before at {at}") if days < 0 else gettext("{n} days after at {at}")
    return many.format(n=abs(days), at=clock)


class _Beside(forms.MultiWidget):
    """Its parts stand in one line and each has a name of its own."""

    template_name = "theme/beside.html"


class DurationWidget(_Beside):
    def __init__(self, attrs: Any = None, *, sides: bool = False) -> None:
        self.sides = sides
        parts: list[forms.Widget] = [
            UnfoldAdminIntegerFieldWidget(attrs={"min": 0, "aria-label": _("number")}),
            UnfoldAdminSelectWidget(attrs={"aria-label": _("unit")}, choices=NAMES),
        ]
        if sides:
            parts.append(UnfoldAdminSelectWidget(attrs={"aria-label": _("before or after")}, choices=SIDES))
        super().__init__(parts, attrs)

    def decompress(self, value: Any) -> list[Any]:
        if value is None or value == "":
            return [None, "hours", "before"][: 3 if self.sides else 2]
        number, unit = split(value)
        if not value:
            unit = "days"
        return [number, unit, "after" if value > timedelta() else "before"][: 3 if self.sides else 2]


class DurationField(forms.MultiValueField):
    """A number and a unit; with `sides` also whether before (negative) or after."""

    def __init__(self, *, sides: bool = False, empty: timedelta | None = None, **kwargs: Any) -> None:
        self.empty = empty
        kwargs.pop("max_length", None)
        parts: list[forms.Field] = [
            forms.IntegerField(min_value=0, max_value=100_000_000),
            forms.ChoiceField(choices=NAMES),
        ]
        if sides:
            parts.append(forms.ChoiceField(choices=SIDES))
        kwargs["widget"] = DurationWidget(sides=sides)
        kwargs.setdefault("required", False)
        super().__init__(parts, require_all_fields=False, **kwargs)

    def clean(self, value: Any) -> timedelta | None:
        """Only the number decides whether something was said: the unit always stands there."""
        if not value or value[0] in (None, ""):
            if self.required:
                raise ValidationError(self.error_messages["required"], code="required")
            return self.empty
        return self.compress([field.clean(part) for field, part in zip(self.fields, value, strict=True)])

    def compress(self, data_list: list[Any]) -> timedelta:
        length = timedelta(seconds=data_list[0] * UNITS[data_list[1]].total_seconds())
        return -length if data_list[2:] == ["before"] else length

    def has_changed(self, initial: Any, data: Any) -> bool:
        try:
            return bool(self.clean(data) != (initial if initial not in ("", None) else self.empty))
        except ValidationError:
            return True


class ChannelsWidget(_Beside):
    def __init__(self, attrs: Any = None) -> None:
        choices = [("", "–"), *Channel.choices]
        names = [_("first"), _("second"), _("third"), _("fourth")]
        super().__init__(
            [UnfoldAdminSelectWidget(attrs={"aria-label": name}, choices=choices) for name in names], attrs
        )

    def decompress(self, value: Any) -> list[Any]:
        known = list(value or [])
        return (known + [""] * len(self.widgets))[: len(self.widgets)]


class ChannelsField(forms.MultiValueField):
    """Channels in an order, best first. `empty` is what none at all means."""

    def __init__(self, *, empty: Any = (), **kwargs: Any) -> None:
        self.empty = empty
        for name in ("encoder", "decoder"):
            kwargs.pop(name, None)
        kwargs["widget"] = ChannelsWidget()
        kwargs["require_all_fields"] = False
        parts = [forms.ChoiceField(choices=[("", "–"), *Channel.choices], required=False) for _part in Channel]
        super().__init__(parts, **kwargs)

    def clean(self, value: Any) -> Any:
        found = [field.clean(part) for field, part in zip(self.fields, value or [], strict=False) if part]
        if len(set(found)) < len(found):
            raise ValidationError(gettext("Each channel only once."))
        if not found and self.required:
            raise ValidationError(self.error_messages["required"], code="required")
        return found or (list(self.empty) if self.empty is not None else None)

    def has_changed(self, initial: Any, data: Any) -> bool:
        try:
            return bool(self.clean(data) != (list(initial) if initial else self.clean([]) if not self.required else []))
        except ValidationError:
            return True
