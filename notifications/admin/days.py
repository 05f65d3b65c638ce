"""The bookings of one day by location and time, with what became of their reminders at a glance.

A day is one on the venue's wall, wherever the venue is. The promise: two queries however many bookings there are.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import groupby
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.db.models import Count, F
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.http import urlencode
from django.utils.translation import gettext as _

from config.theme.tenancy import within
from notifications.admin.booking_filters import day_of
from notifications.admin.stories import LOOKS
from notifications.models import Booking, Delivery

MOST = 2_000  # bookings that a page shows
ORDER = ("in_doubt", "refused", "sending", "planned", "sent")  # what needs somebody first
ONE = timedelta(days=1)


@dataclass(frozen=True)
class Entry:
    booking: Booking
    begins: str
    ends: str
    reminders: list[tuple[str, str]]  # look, words


class OfADay:
    """The view; goes before ModelAdmin."""

    def day_view(self, request: HttpRequest) -> HttpResponse:
        if not self.has_view_permission(request):  # type: ignore[attr-defined]  # the admin's
            raise PermissionDenied
        location, service = request.GET.get("location", ""), request.GET.get("service", "")
        day = day_of(request.GET.get("day")) or _today()
        found = list(
            within(request, Booking.objects.all())
            .filter(wall_date=day)
            .select_related("customer")
            .order_by("location", "wall_time", "starts_at", "pk")[:MOST]
        )
        chosen = [one for one in found if location in ("", one.location) and service in ("", one.service)]
        told = _reminders(chosen) if request.user.has_perm("notifications.view_delivery") else {}
        zone = found[0].time_zone if len({one.time_zone for one in found}) == 1 else ""
        context = {
            **self.admin_site.each_context(request),  # type: ignore[attr-defined]
            "opts": self.opts,  # type: ignore[attr-defined]
            "title": date_format(day, "DATE_FORMAT"),
            "day": day,
            "weekday": date_format(day, "l"),
            "is_today": day == _today(zone),
            "zone": zone,
            "places": [(place, list(rows)) for place, rows in groupby(_entries(chosen, told), _place)],
            "number": len(chosen),
            "cut": len(found) == MOST,
            "locations": _choices({one.location for one in found}, location),
            "services": _choices({one.service for one in found}, service),
            "chosen": {"location": location, "service": service},
            "before": _link(_shifted(day, -ONE), location, service),
            "after": _link(_shifted(day, ONE), location, service),
            "today": _link(_today(zone), location, service),
        }
        return TemplateResponse(request, "admin/notifications/booking/day.html", context)


def _today(zone: str = "") -> date:
    """By the clocks of the venue, or those of the installation."""
    return timezone.now().astimezone(ZoneInfo(zone or settings.TIME_ZONE)).date()


def _shifted(day: date, by: timedelta) -> date:
    try:
        return day + by
    except OverflowError:
        return day


def _link(day: date, location: str, service: str) -> str:
    said = {"day": day.isoformat(), "location": location, "service": service}
    query = urlencode({name: value for name, value in said.items() if value})
    return f"{reverse('admin:notifications_booking_day')}?{query}"


def _choices(found: set[str], chosen: str) -> list[str]:
    return sorted(one for one in found | {chosen} if one)


def _place(entry: Entry) -> str:
    return entry.booking.location


def _entries(found: list[Booking], told: dict[int, list[tuple[str, str]]]) -> list[Entry]:
    return [Entry(one, _clock(one.starts_at, one), _clock(one.ends_at, one), told.get(one.pk, [])) for one in found]


def _clock(moment: datetime, booking: Booking) -> str:
    return date_format(moment.astimezone(ZoneInfo(booking.time_zone)).replace(tzinfo=None), "H:i")


def _reminders(found: list[Booking]) -> dict[int, list[tuple[str, str]]]:
    """For each booking its labels: how many of its reminders are in which state. What is skipped is not at a glance."""
    days = {one.wall_date for one in found}
    rows = Delivery.objects.filter(booking__wall_date__in=days, booking__revision=F("revision"), state__in=ORDER)
    counts: dict[int, Counter[str]] = defaultdict(Counter)
    for booking, state, number in rows.values_list("booking", "state").annotate(n=Count("pk")).order_by():
        counts[booking or 0][state] = number
    names: dict[str, Any] = dict(Delivery.State.choices)
    return {
        pk: [
            (LOOKS[state], _("{n} {state}").format(n=count[state], state=names[state]))
            for state in ORDER
            if count[state]
        ]
        for pk, count in counts.items()
    }
