"""The calendar entry of a booking, attached to mails about it.

Pure but for the clock's stamp. The promise: one booking is one entry (UID) in the customer's calendar; each change has
a higher SEQUENCE, so that calendars move or remove the entry they have.
"""

from datetime import UTC, datetime

from icalendar import Calendar, Event, vText

from notifications.channels.base import Attachment
from notifications.models import Booking


def entry(booking: Booking, sender: str, *, invites: bool, now: datetime) -> Attachment:
    """`sender` is our mail address; `invites` asks the calendar to take it in. A cancelled booking takes it out."""
    cancelled = booking.status == Booking.Status.CANCELLED
    method = "CANCEL" if cancelled else "REQUEST" if invites else "PUBLISH"
    calendar = Calendar()
    calendar.add("prodid", "-//Punctual//Reminders//EN")
    calendar.add("version", "2.0")
    calendar.add("method", method)
    event = Event()
    event.add("uid", f"booking-{booking.pk}@{sender.partition('@')[2] or 'localhost'}")
    event.add("sequence", booking.sequence)
    event.add("dtstamp", now.astimezone(UTC))
    event.add("dtstart", booking.starts_at.astimezone(UTC))
    event.add("dtend", booking.ends_at.astimezone(UTC))
    event.add("summary", booking.service)
    event.add("status", "CANCELLED" if cancelled else "CONFIRMED")
    if booking.location:
        event.add("location", booking.location)
    event.add("organizer", f"mailto:{sender}")
    if booking.customer.email and method != "PUBLISH":  # RFC 5546: what is only published invites nobody
        event.add("attendee", f"mailto:{booking.customer.email}", parameters={"CN": vText(booking.customer.name)})
    calendar.add_component(event)
    # Without a charset: Django's mails add theirs, and a second one makes a mail that some servers refuse.
    return Attachment("appointment.ics", f"text/calendar; method={method}", calendar.to_ical())
