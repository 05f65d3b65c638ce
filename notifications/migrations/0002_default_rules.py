"""The rules a new installation starts with. They are the owner's from then on."""

from datetime import time, timedelta

from django.db import migrations

# Each stops being useful before the next one is due: after an outage a customer gets one message, not three.
# Nobody is disturbed at night. Whoever comes at half past six is up at six; the others hear of it in the evening.
DAY, NIGHT = (time(21), time(8)), (time(23), time(6))
BOOKING = [
    ("24 hours before a booking", timedelta(hours=-24), timedelta(hours=22), DAY, "later"),
    ("1 hour before a booking", timedelta(hours=-1), timedelta(minutes=40), NIGHT, "earlier"),
    ("15 minutes before a booking", timedelta(minutes=-15), None, NIGHT, "skip"),
]
PAYMENT = [
    ("3 days before a payment is due", -3, "payment_upcoming"),
    ("On the day a payment is due", 0, "payment_upcoming"),
    ("1 day after a payment was due", 1, "payment_overdue"),
    ("7 days after a payment was due", 7, "payment_overdue"),
    ("14 days after a payment was due", 14, "payment_overdue"),
]
# Switched off: who wants them switches them on. They answer what somebody just did, so they know no quiet hours.
NOTICES = [
    ("When a booking is made", "booking_made", "booking_made"),
    ("When a booking is moved", "booking_moved", "booking_moved"),
    ("When a booking is cancelled", "booking_cancelled", "booking_cancelled"),
]


def create(apps, schema_editor):
    rules = apps.get_model("notifications", "ReminderRule").objects
    for name, offset, useful_for, (quiet_from, quiet_until), quiet in BOOKING:
        quiet_hours = {"quiet_from": quiet_from, "quiet_until": quiet_until, "quiet": quiet}
        defaults = {"anchor": "booking_start", "offset": offset, "useful_for": useful_for, "message": "booking_upcoming"}
        rules.get_or_create(name=name, defaults=defaults | quiet_hours)
    for name, days, message in PAYMENT:
        quiet_hours = {"quiet_from": DAY[0], "quiet_until": DAY[1], "quiet": "later"}
        defaults = {"anchor": "payment_due", "offset": timedelta(days=days), "at_time": time(9), "message": message}
        rules.get_or_create(name=name, defaults=defaults | quiet_hours)
    for name, anchor, message in NOTICES:
        defaults = {"anchor": anchor, "offset": timedelta(), "message": message, "active": False}
        rules.get_or_create(name=name, defaults=defaults)


class Migration(migrations.Migration):
    dependencies = [("notifications", "0001_initial")]
    operations = [migrations.RunPython(create, migrations.RunPython.noop)]
