"""What comes in from people, checked: the admin's forms of bookings and payments.

A form speaks in wall time; what it hands on are the keyword arguments of `bookings` and `payments`.
"""

from datetime import timedelta
from typing import Any

from django import forms
from django.utils.translation import gettext, gettext_lazy
from unfold.widgets import (
    UnfoldAdminDecimalFieldWidget,
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSplitDateTimeWidget,
)

from notifications import amounts, bookings, payments, tenants, timing
from notifications.models import Booking, Payment


class OncePerTenant:
    """A form whose page may not ask for the tenant: what is unique within it is checked all the same."""

    def _get_validation_exclusions(self) -> set[str]:
        excluded: set[str] = super()._get_validation_exclusions()  # type: ignore[misc]  # Django's
        return excluded - {"tenant"}


class OfCustomer(OncePerTenant):
    """The form of what belongs to a customer, and to their tenant for good."""

    def of_one_tenant(self, data: dict[str, Any], *related: str) -> None:
        row: Booking | Payment = self.instance  # type: ignore[attr-defined]  # the form's
        if not row.pk:
            row.tenant = data["customer"].tenant
        for name in related:
            try:
                tenants.shared_by(row.tenant, data.get(name))
            except tenants.OtherTenant as exc:
                self.add_error(name, str(exc))  # type: ignore[attr-defined]

    def keep_seen(self, data: dict[str, Any]) -> None:
        """Whoever moved it while the form was open is not overruled: the verb asks for what the form showed."""
        seen = data.pop("seen", None)
        if self.instance.pk:  # type: ignore[attr-defined]
            data["revision"] = seen


class BookingForm(OfCustomer, forms.ModelForm[Booking]):
    seen = forms.IntegerField(required=False, widget=forms.HiddenInput())  # the revision that the page showed
    wall = forms.SplitDateTimeField(
        label=gettext_lazy("Starts"),
        help_text=gettext_lazy("as the clocks of the time zone below show it"),
        widget=UnfoldAdminSplitDateTimeWidget(),
    )
    minutes = forms.IntegerField(
        label=gettext_lazy("Duration in minutes"),
        min_value=1,
        max_value=7 * 24 * 60,
        initial=60,
        widget=UnfoldAdminIntegerFieldWidget(),
    )

    class Meta:
        model = Booking
        fields = ("customer", "service", "location", "time_zone", "external_id")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk:
            self.initial["seen"] = self.instance.revision
            self.initial["wall"] = self.instance.local_start.replace(tzinfo=None, microsecond=0)
            self.initial["minutes"] = (self.instance.ends_at - self.instance.starts_at) // timedelta(minutes=1)

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        if self.errors:
            return data
        self.of_one_tenant(data, "customer")
        if self.errors:
            return data
        self.keep_seen(data)
        wall, minutes = data.pop("wall").replace(tzinfo=None), data.pop("minutes")
        if wall.year >= bookings.FIRST_YEAR and not timing.exists(wall.date(), wall.time(), data["time_zone"]):
            self.add_error(
                "wall",
                gettext("The clocks of %(zone)s leave out %(time)s on that day.")
                % {"zone": data["time_zone"], "time": f"{wall:%H:%M}"},
            )
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


class PaymentForm(OfCustomer, forms.ModelForm[Payment]):
    """The amount is typed as people write it, 45.50, and handed on in minor units."""

    seen = forms.IntegerField(required=False, widget=forms.HiddenInput())  # the revision that the page showed
    owed = forms.DecimalField(
        label=gettext_lazy("Amount"),
        help_text=gettext_lazy("as one writes it: 45.50"),
        max_digits=18,
        decimal_places=4,
        widget=UnfoldAdminDecimalFieldWidget(),
    )

    class Meta:
        model = Payment
        fields = ("customer", "booking", "subject", "currency", "due_on", "time_zone", "external_id")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk:
            self.initial["seen"] = self.instance.revision
            self.initial["owed"] = amounts.major(self.instance.amount, self.instance.currency)

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        if self.errors:
            return data
        self.of_one_tenant(data, "customer", "booking")
        if self.errors:
            return data
        self.keep_seen(data)
        owed = data.pop("owed")
        data["external_id"] = data["external_id"] or None
        for field, check in (
            ("currency", lambda: payments.money(1, data["currency"])),
            ("owed", lambda: data.update(payments.money(amounts.minor(owed, data["currency"]), data["currency"]))),
            ("due_on", lambda: payments.due_date(data["due_on"])),
        ):
            try:
                check()
            except ValueError as exc:
                self.add_error(field, str(exc))
                return data
        return data
