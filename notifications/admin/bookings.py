"""Bookings: their list, and the page of one with its reminders and all that can be done with it.

They change through `bookings`, never by a raw save, so that reminders always follow.
"""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import path
from django.utils.translation import gettext as _, gettext_lazy

from config.theme.pages import ModelAdmin, labelled
from config.theme.paging import Bounded
from config.theme.tenancy import OfTenants
from notifications import bookings, searches
from notifications.admin.booking_filters import DayFilter, LocationFilter, ServiceFilter
from notifications.admin.booking_verbs import VERBS
from notifications.admin.bulk_changes import ToMany
from notifications.admin.by_verb import ByVerb
from notifications.admin.clocks import at_customer, at_venue, listed
from notifications.admin.days import OfADay
from notifications.admin.masking import Masked, may_reveal
from notifications.forms import BookingForm
from notifications.models import Booking

LOOKS = {
    Booking.Status.BOOKED: "info",
    Booking.Status.CANCELLED: "danger",
    Booking.Status.COMPLETED: "success",
    Booking.Status.NO_SHOW: "warning",
}


@admin.register(Booking)
class BookingAdmin(OfTenants, OfADay, Masked, ToMany, ByVerb, ModelAdmin[Booking]):
    make, change, verbs = staticmethod(bookings.book), staticmethod(bookings.change), VERBS
    form, typed = BookingForm, {"wall": "", "minutes": ""}  # "begins" and "ends" are there
    readonly_fields = ("status", "confirmed_at", "begins", "ends", "revision")
    fields = (
        "customer",
        "service",
        "location",
        "wall",
        "minutes",
        "time_zone",
        "external_id",
        *readonly_fields,
        "seen",
    )
    list_display = ("service", "customer", "start", "location", "stands", "revision")
    list_filter = ("status", DayFilter, LocationFilter, ServiceFilter)
    list_filter_submit = True
    list_select_related = ("customer",)
    paginator = Bounded
    search_fields = ("external_id", "service", "customer__name", "customer__email")  # shows the box; `searches` looks
    search_help_text = gettext_lazy(
        "A part of the customer's name, address or phone number; the beginning of a booking's number or service"
    )
    autocomplete_fields = ("customer",)
    ordering = ("-id",)
    actions = ("cancel_many", "move_many", "message_many")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Booking], search_term: str
    ) -> tuple[QuerySet[Booking], bool]:
        return searches.searched(queryset, search_term, whole=not may_reveal(request)), False

    @admin.display(description=gettext_lazy("starts, as its clocks show it"), ordering="starts_at")
    def start(self, booking: Booking) -> str:
        return listed(booking.starts_at, booking.time_zone)

    @labelled(gettext_lazy("status"), LOOKS, "status")
    def stands(self, booking: Booking) -> tuple[str, str]:
        return booking.status, booking.get_status_display()

    @admin.display(description=gettext_lazy("starts"))
    def begins(self, booking: Booking) -> str:
        return self._clocks(booking, "starts_at")

    @admin.display(description=gettext_lazy("ends"))
    def ends(self, booking: Booking) -> str:
        return self._clocks(booking, "ends_at")

    def _clocks(self, booking: Booking, name: str) -> str:
        moment = getattr(booking, name)
        if moment is None:
            return "-"
        own = at_customer(moment, booking)
        venue = at_venue(moment, booking)
        return _("{venue}; for the customer {own}").format(venue=venue, own=own) if own else venue

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(self.day_view)
        return [path("day/", view, name="notifications_booking_day"), *super().get_urls()]

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """One way to cancel: who may change many at once does it there, with a preview of whom it would reach."""
        found = super().get_actions(request)
        if "cancel_many" in found:
            found.pop("cancel", None)
        return found
