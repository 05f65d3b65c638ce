"""Times as people at both ends read them: by the venue's clocks, and by the customer's where those differ."""

from datetime import datetime
from zoneinfo import ZoneInfo

from django.utils import timezone
from django.utils.formats import date_format

from notifications.models import Booking, Payment


def clock(moment: datetime, zone: str) -> str:
    """As the clocks of the zone show it."""
    return date_format(moment.astimezone(ZoneInfo(zone)).replace(tzinfo=None), "DATETIME_FORMAT")


def listed(moment: datetime, zone: str) -> str:
    """As the clocks of the zone show it; the zone is named where it is not the reader's own."""
    own = zone == timezone.get_current_timezone_name()
    return clock(moment, zone) if own else f"{clock(moment, zone)} {city(zone)}"


def city(zone: str) -> str:
    """Europe/Berlin: Berlin"""
    return zone.rpartition("/")[2].replace("_", " ")


def both(moment: datetime | None, anchor: Booking | Payment) -> str:
    """By the venue's clocks; and by the customer's, if they show something else."""
    if moment is None:
        return "-"
    venue, own = at_venue(moment, anchor), at_customer(moment, anchor)
    return f"{venue} ({own})" if own else venue


def at_venue(moment: datetime, anchor: Booking | Payment) -> str:
    return f"{clock(moment, anchor.time_zone)} {city(anchor.time_zone)}"


def at_customer(moment: datetime, anchor: Booking | Payment) -> str:
    """Empty if it is the same."""
    own = anchor.customer.time_zone
    if clock(moment, own) == clock(moment, anchor.time_zone):
        return ""
    return f"{clock(moment, own)} {city(own)}"
