"""Filters of the list of bookings that cost nothing however many there are: a day, and the places of the coming days.

Django's own would read the whole table to know which places there are, and its calendar to know the first and last day.
"""

from collections.abc import Iterable, Iterator
from datetime import date
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.dateparse import parse_date
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import DropdownFilter

from config.theme.forms import Day, ThemedForm
from config.theme.tenancy import within
from notifications.models import Booking

NEXT = 5_000  # bookings in which services and locations are looked for


def day_of(text: str | None) -> date | None:
    """The day, or None for what is none."""
    try:
        return parse_date(text or "")
    except ValueError:  # 30 February
        return None


class DayFilter(admin.SimpleListFilter):
    """By the day on the venue's wall."""

    title = _("day")
    parameter_name = "wall_date"
    template = "unfold/filters/filters_field.html"

    def has_output(self) -> bool:
        return True

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, str]]:
        return ()

    def choices(self, changelist: Any) -> Iterator[Any]:
        form = ThemedForm({self.parameter_name: self.value()})
        form.fields[self.parameter_name] = forms.DateField(label=_("Day"), required=False, widget=Day)
        yield {"form": form}

    def queryset(self, request: HttpRequest, queryset: QuerySet[Booking]) -> QuerySet[Booking]:
        day = day_of(self.value())
        return queryset.filter(wall_date=day) if day else queryset


class _PlaceFilter(DropdownFilter):  # type: ignore[misc]  # the theme is untyped
    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, str]]:
        chosen = request.GET.get(self.parameter_name)
        found = {pair[self.place] for pair in _places(request)} | ({chosen} if chosen else set())
        return [(one, one) for one in sorted(found) if one]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Booking]) -> QuerySet[Booking]:
        return queryset.filter(**{self.parameter_name: self.value()}) if self.value() else queryset


class LocationFilter(_PlaceFilter):
    title, parameter_name, place = _("location"), "location", 0


class ServiceFilter(_PlaceFilter):
    title, parameter_name, place = _("service"), "service", 1


def _places(request: Any) -> set[tuple[str, str]]:
    """Of the next bookings, once for a page."""
    if not hasattr(request, "_places"):
        rows = within(request, Booking.objects.all()).filter(
            status=Booking.Status.BOOKED, starts_at__gte=timezone.now()
        )
        next_ = rows.order_by("starts_at").values("location", "service")[:NEXT]
        request._places = set(next_.values_list("location", "service"))
    found: set[tuple[str, str]] = request._places
    return found
