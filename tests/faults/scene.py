"""Run as a process of a stack: `python -m tests.faults.scene book 60 6` and `... report`. Answers in JSON.

The tests' own Django talks to the tests' database; this one has the environment of the stack under test.
"""

import json
import os
import sys
from collections.abc import Callable
from datetime import timedelta

import django


def book(many: int, seconds: float) -> object:
    """Bookings whose 15-minute reminders fall due one after the other within `seconds` from now."""
    from django.utils import timezone

    from notifications import bookings
    from notifications.models import Customer, ReminderRule

    ReminderRule.objects.update(quiet_from=None, quiet_until=None)  # it may be three in the morning
    # Booking takes a while on a busy machine; a reminder that is due before its booking is made is skipped.
    first = timezone.now() + timedelta(minutes=15, seconds=1 + many / 8)
    for n in range(many):
        customer = Customer.objects.create(name=f"Customer {n}", email=f"c{n}@example.com")
        starts_at = first + timedelta(seconds=seconds * n / many)
        ends_at = starts_at + timedelta(hours=1)
        bookings.book(customer=customer, service=f"Service {n}", starts_at=starts_at, ends_at=ends_at)
    return many


def report() -> object:
    """Every delivery that was meant to go out: its id, recipient, state and detail."""
    from notifications.models import Delivery

    rows = Delivery.objects.exclude(reason="lead_time_past").values_list("pk", "customer__email", "state", "detail")
    return [(str(pk), *rest) for pk, *rest in rows]


def jobs() -> object:
    """How many jobs of each task are in each state, and the most attempts any of them took."""
    from django.db.models import Count, Max

    from jobs.models import Job

    rows = Job.objects.filter(task="notifications.deliver").values_list("state").annotate(Count("pk"), Max("token"))
    return list(rows)


def slow(many: int, seconds: float, batch: bool = False) -> object:
    """Jobs that take so long, for stacks with tests.faults.slow_settings."""
    from tests.faults import slow

    task = slow.slow_one_of_many if batch else slow.slow
    return [str(pk) for pk in task.enqueue_many([(seconds,)] * many, queue="messages")]


def shrink(processes: int) -> object:
    """Flower's button."""
    from celery import current_app

    return current_app.control.pool_shrink(processes, reply=True, timeout=5)


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    name, *words = sys.argv[1:]
    asked: list[Callable[..., object]] = [book, report, jobs, slow, shrink]
    print(json.dumps({ask.__name__: ask for ask in asked}[name](*[json.loads(word) for word in words])))
