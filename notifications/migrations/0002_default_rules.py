"""The rules a new installation starts with. They are the owner's from then on."""

from datetime import time, timedelta

from django.db import migrations

# Each stops being useful before the next one is due: after an outage a customer gets one message, not three.
BOOKING = [
    ("24 hours before a booking", timedelta(hours=-24), timedelta(hours=22)),
    ("1 hour before a booking", timedelta(hours=-1), timedelta(minutes=40)),
    ("15 minutes before a booking", timedelta(minutes=-15), None),
]
PAYMENT = [
    ("3 days before a payment is due", -3, "payment_upcoming"),
    ("On the day a payment is due", 0, "payment_upcoming"),
    ("1 day after a payment was due", 1, "payment_overdue"),
    ("7 days after a payment was due", 7, "payment_overdue"),
    ("14 days after a payment was due", 14, "payment_overdue"),
]


def create(apps, schema_editor):
    rules = apps.get_model("notifications", "ReminderRule").objects
    for name, offset, useful_for in BOOKING:
        rules.get_or_create(
            name=name,
            defaults={
                "anchor": "booking_start",
                "offset": offset,
                "useful_for": useful_for,
                "message": "booking_upcoming",
            },
        )
    for name, days, message in PAYMENT:
        rules.get_or_create(
            name=name,
            defaults={
                "anchor": "payment_due",
                "offset": timedelta(days=days),
                "at_time": time(9),
                "message": message,
            },
        )


class Migration(migrations.Migration):
    dependencies = [("notifications", "0001_initial")]
    operations = [migrations.RunPython(create, migrations.RunPython.noop)]
