"""The buttons of a booking's page. What each does is a verb of `bookings`; here is only what it asks for."""

from datetime import timedelta
from typing import Any

from django import forms
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext, gettext_lazy as _

from config.theme.forms import Clock, Day
from config.theme.verbs import Verb, VerbForm
from notifications import bookings, timing
from notifications.models import Booking

CHANGE = "notifications.change_booking"


class MoveForm(VerbForm):
    """The new time, as the venue's clocks show it; what goes on is a pair of moments."""

    day = forms.DateField(label=_("Day"), widget=Day)
    at = forms.TimeField(label=_("Time"), widget=Clock, help_text=_("by the venue's clocks"))
    minutes = forms.IntegerField(label=_("Duration in minutes"), min_value=1, max_value=7 * 24 * 60)
    reason = forms.CharField(
        label=_("Reason"), required=False, max_length=300, help_text=_("kept in the log, not sent")
    )

    revision = forms.IntegerField(required=False, widget=forms.HiddenInput)  # of the time that the page showed

    def __init__(self, about: Booking, data: Any = None, **kwargs: Any) -> None:
        start = about.local_start
        minutes = (about.ends_at - about.starts_at) // timedelta(minutes=1)
        initial = {"day": start.date(), "at": start.time().replace(microsecond=0), "minutes": minutes}
        initial["revision"] = about.revision
        super().__init__(about, data, initial=initial, **kwargs)

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        if self.errors:
            return data
        zone = self.about.time_zone
        if not timing.exists(data["day"], data["at"], zone):
            told = gettext("The clocks of %(zone)s leave out %(time)s on that day.")
            self.add_error("at", told % {"zone": zone, "time": f"{data['at']:%H:%M}"})
            return data
        try:
            starts_at = timing.instant(data["day"], data["at"], zone)
            times = {"starts_at": starts_at, "ends_at": starts_at + timedelta(minutes=data["minutes"])}
            bookings.schedule(**times, time_zone=zone)
        except (ValueError, OverflowError) as exc:
            self.add_error("day", str(exc))
            return data
        return times | {"reason": data["reason"], "revision": data["revision"]}


class ReasonForm(VerbForm):
    reason = forms.CharField(
        label=_("Reason"), required=False, max_length=300, help_text=_("kept in the log, not sent")
    )


class ConfirmForm(VerbForm):
    """Which time is confirmed: the one that the page showed."""

    revision = forms.IntegerField(widget=forms.HiddenInput)

    def __init__(self, about: Booking, data: Any = None, **kwargs: Any) -> None:
        super().__init__(about, data, initial={"revision": about.revision}, **kwargs)


def move(booking: Booking, request: HttpRequest, *, reason: str, **times: Any) -> bookings.Receipt:
    return bookings.reschedule(booking, **times)


def cancel(booking: Booking, request: HttpRequest, *, reason: str) -> bookings.Receipt:
    return bookings.cancel(booking)


def confirm(booking: Booking, request: HttpRequest, *, revision: int) -> bookings.Receipt:
    return bookings.confirm(booking, revision=revision)


def complete(booking: Booking, request: HttpRequest) -> bookings.Receipt:
    return bookings.complete(booking)


def no_show(booking: Booking, request: HttpRequest, *, reason: str) -> bookings.Receipt:
    return bookings.no_show(booking)


def _on(booking: Booking) -> bool:
    return booking.status == Booking.Status.BOOKED


def _begun(booking: Booking) -> bool:
    return _on(booking) and booking.starts_at <= timezone.now()


VERBS = (
    Verb(
        "confirm",
        _("Confirm"),
        CHANGE,
        confirm,
        lambda booking: _on(booking) and not booking.confirmed_at,
        ConfirmForm,
        _("The customer will come. Reminders that are not needed then are withdrawn."),
        icon="event_available",
    ),
    Verb(
        "reschedule",
        _("Reschedule"),
        CHANGE,
        move,
        _on,
        MoveForm,
        _("Reminders of the old time are withdrawn, the new time gets its own."),
        icon="event_repeat",
    ),
    Verb("complete", _("Completed"), CHANGE, complete, _begun, icon="task_alt"),
    Verb("no_show", _("No show"), CHANGE, no_show, _begun, ReasonForm, _("The customer did not come."), True),
    Verb(
        "cancel",
        _("Cancel the booking"),
        CHANGE,
        cancel,
        _on,
        ReasonForm,
        _("This cannot be undone. What has not gone out is withdrawn; you are told what had gone out already."),
        grave=True,
        icon="event_busy",
        many=_("Cancel..."),
    ),
)
