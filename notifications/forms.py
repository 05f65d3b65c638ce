"""What comes in from people, checked: the admin's forms of bookings and payments.

A form speaks in wall time; what it hands on are the keyword arguments of `bookings` and `payments`.
"""

from datetime import timedelta
from typing import Any

from django import forms
from django.contrib.admin.widgets import AdminSplitDateTime

from notifications import bookings, payments, timing
from notifications.models import Booking, Payment


class BookingForm(forms.ModelForm[Booking]):
    wall = forms.SplitDateTimeField(
        label="Starts", help_text="as the clocks of the time zone below show it", widget=AdminSplitDateTime()
    )
    minutes = forms.IntegerField(label="Duration in minutes", min_value=1, max_value=7 * 24 * 60, initial=60)

    class Meta:
        model = Booking
        fields = ("customer", "service", "location", "time_zone", "external_id")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk:
            self.initial["wall"] = self.instance.local_start.replace(tzinfo=None, microsecond=0)
            self.initial["minutes"] = (self.instance.ends_at - self.instance.starts_at) // timedelta(minutes=1)

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        if self.errors:
            return data
        wall, minutes = data.pop("wall").replace(tzinfo=None), data.pop("minutes")
        if wall.year >= bookings.FIRST_YEAR and not timing.exists(wall.date(), wall.time(), data["time_zone"]):
            self.add_error("wall", f"The clocks of {data['time_zone']} leave out {wall:%H:%M} on that day.")
            return data
        data["external_id"] = data["external_id"] or None
        shown = [self.initial.get(name) for name in ("wall", "minutes", "time_zone")]
        if self.instance.pk and [wall, minutes, data["time_zone"]] == shown:
            # Shown without fractions and without the half of a doubled hour: keep what was agreed.
            return data | {"starts_at": self.instance.starts_at, "ends_at": self.instance.ends_at}
        try:
            data["starts_at"] = timing.instant(wall.date(), wall.time(), data["time_zone"])
            data["ends_at"] = data["starts_at"] + timedelta(minutes=minutes)
            bookings.schedule(data["starts_at"], data["ends_at"], data["time_zone"])
        except (ValueError, OverflowError) as exc:
            self.add_error("wall", str(exc))
        return data


class PaymentForm(forms.ModelForm[Payment]):
    class Meta:
        model = Payment
        fields = ("customer", "booking", "subject", "amount", "currency", "due_on", "time_zone", "external_id")

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        if self.errors:
            return data
        for field, check in (
            ("amount", lambda: payments.money(data["amount"], "EUR")),
            ("currency", lambda: payments.money(1, data["currency"])),
            ("due_on", lambda: payments.due_date(data["due_on"])),
        ):
            try:
                check()
            except ValueError as exc:
                self.add_error(field, str(exc))
        data["external_id"] = data["external_id"] or None
        return data
