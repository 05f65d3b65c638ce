"""After an outage of three hours: what still reaches people in time, oldest first and as it is done here.

`python -m bench.recovery [--bookings 20000] [--rate 2]`: the real planning and the real dispatcher with a clock of its
own; the senders are a number: so many messages a second. A message that is superseded or too late costs no sending.
DATABASE_URL may name a PostgreSQL server; else it is SQLite.
"""

import argparse
import os
from collections import defaultdict
from datetime import timedelta
from typing import Any

from bench.database import throwaway

OUTAGE, DAY = timedelta(hours=3), timedelta(days=1)
AT_ONCE = 50  # the window: so many may wait at the broker


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--bookings", type=int, default=20_000, help="that start within 27 hours")
    options.add_argument("--rate", type=float, default=2.0, help="messages a second, as a multiple of what falls due")
    asked = options.parse_args()
    os.environ |= {"BROKER_URL": "memory://", "LOG_LEVEL": "CRITICAL"}
    with throwaway() as kind:
        print(f"{asked.bookings:,} bookings, {OUTAGE} without workers, on {kind}")
        oldest = recover(asked.bookings, asked.rate, urgent_first=False)
        urgent = recover(asked.bookings, asked.rate, urgent_first=True)
    assert urgent["told"] >= oldest["told"], "no better than oldest first"


def recover(many: int, rate: float, *, urgent_first: bool) -> dict[str, int]:
    """Plans, lets three hours pass, and drains. Returns how many of what."""
    from jobs import ledger, windows
    from jobs.models import Job, Priority, Queue
    from notifications.models import Delivery

    down = book(many)
    Queue.objects.update_or_create(name="messages", defaults={"window": AT_ONCE})
    if not urgent_first:
        Job.objects.update(priority=Priority.NORMAL)
    now = up = down + OUTAGE
    each = timedelta(seconds=1 / (rate * many * 3 / (27 * 3600)))  # three reminders of each booking
    waiting = {row.pk: row for row in Delivery.objects.filter(state="planned", send_at__lt=up + OUTAGE)}
    by_booking: dict[Any, list[Any]] = defaultdict(list)
    for row in waiting.values():
        by_booking[row.booking_id].append(row)
    reachable = {pk for pk, rows in by_booking.items() if any(row.send_at <= up < row.useful_until for row in rows)}
    told: set[Any] = set()
    counts = {"sent": 0, "superseded": 0, "too late": 0}
    late_work = 0
    while now < up + OUTAGE:
        jobs = windows.fill("messages", ["notifications.deliver"], now=now)
        if not jobs:
            due = (
                Job.objects.filter(state="scheduled", run_at__gt=now)
                .order_by("run_at")
                .values_list("run_at", flat=True)
            )
            now = due.first() or up + OUTAGE
            continue
        ledger.succeed_many(ledger.claim_many([job.pk for job in jobs], "bench", now=now))
        for job in jobs:
            row = waiting[job.pk]
            fate = what_becomes(row, by_booking[row.booking_id], now)
            counts[fate] += 1
            late_work += fate == "too late" and row.useful_until > up
            if fate == "sent":
                told.add(row.booking_id)
                now += each
    counts |= {"told": len(told & reachable), "lost": late_work}
    name = "urgent first" if urgent_first else "oldest first"
    share = counts["told"] / max(len(reachable), 1)
    print(
        f"{name}: {counts['told']:,} of {len(reachable):,} bookings whose reminders were held up are told in time "
        f"({share:.1%}); messages sent {counts['sent']:,}, superseded {counts['superseded']:,}, "
        f"of use at the end of the outage and lost afterwards {late_work:,}",
        flush=True,
    )
    return counts


def what_becomes(row: Any, same: list[Any], now: Any) -> str:
    """As the intent fence decides."""
    if row.useful_until <= now:
        return "too late"
    later = [one for one in same if row.send_at < one.send_at <= now < one.useful_until]
    return "superseded" if later else "sent"


def book(many: int) -> Any:
    """Bookings all over the next 27 hours. Returns when the workers go down."""
    from django.db import transaction
    from django.utils import timezone

    from jobs.models import Attempt, Job
    from notifications import bookings, reminders
    from notifications.models import Booking, Customer, Delivery, ReminderRule

    for model in (Delivery, Booking, Attempt, Job):
        model.objects.all().delete()
    ReminderRule.objects.update(quiet_from=None, quiet_until=None)
    customer, _ = Customer.objects.get_or_create(name="Alice", email="alice@example.com")
    down = timezone.now() + DAY + timedelta(hours=1)
    rows = []
    for n in range(many):
        start = down + n * timedelta(hours=27) / many + timedelta(minutes=1)
        rows.append(Booking(customer=customer, service="x", **bookings.schedule(start, start + DAY / 24, "UTC")))
    made = Booking.objects.bulk_create(rows, batch_size=500)
    for at in range(0, many, 500):
        with transaction.atomic():
            reminders.plan(made[at : at + 500])
    # What fell due before the outage went out.
    over = list(Delivery.objects.filter(send_at__lt=down).values_list("pk", flat=True))
    for at in range(0, len(over), 500):
        Delivery.objects.filter(pk__in=over[at : at + 500]).update(state="sent")
        Job.objects.filter(pk__in=over[at : at + 500]).delete()
    return down


if __name__ == "__main__":
    main()
