"""The day in figures: bookings of today and of the next days, payments that are overdue. Kept warm for the dashboard.

Registered by the app when it starts (`jobs.library.warm`). Counts only; each by an index of its own.
"""

from datetime import date, timedelta
from typing import Any

from django.utils import timezone

from jobs.library.warm import Figure
from notifications.models import Booking, Payment

NAME = "notifications.day"
AHEAD = timedelta(days=7)
TTL = 600  # seconds


def counted() -> dict[str, Any]:
    """Three statements. The day is that of this installation's zone."""
    today = timezone.localdate()
    booked = Booking.objects.filter(status=Booking.Status.BOOKED)
    return {
        "day": today.isoformat(),
        "today": booked.filter(wall_date=today).count(),
        "ahead": booked.filter(wall_date__gt=today, wall_date__lte=today + AHEAD).count(),
        "overdue": Payment.objects.filter(status=Payment.Status.OPEN, due_on__lt=today).count(),
    }


def of_today(value: dict[str, Any]) -> bool:
    return date.fromisoformat(value["day"]) == timezone.localdate()


DAY = Figure(NAME, counted, TTL, of_today)
