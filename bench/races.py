"""Cancel and move bookings at the very moment when their reminders go out: `python -m bench.races --bookings 10000`.

Real workers on a whole stack of their own, a real mail server in a process of its own. A receipt that says "cancelled"
or "moved" is a promise about the mail server's log, and so is one that says "already sent". Exit 1 when one is broken.
DATABASE_URL may name a PostgreSQL server; else it is SQLite.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from bench.aims import Race, Racers
from bench.database import created
from bench.receipts import judge

LEAD = timedelta(hours=24)  # of the one rule; what it sends is of use for 22 hours, however slow the machine is
HEAD_START = 5.0  # seconds between planning and the first reminder
PATIENCE = 300.0


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--bookings", type=int, default=10_000)
    options.add_argument("--rate", type=float, default=40, help="reminders that fall due in a second")
    options.add_argument("--hands", type=int, default=3, help="people who cancel and move at the same time")
    asked = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="races-") as directory, stack(Path(directory)) as log:
        began = time.monotonic()
        races = race(asked.bookings, asked.rate, asked.hands)
        took = time.monotonic() - began
        settled()
        wrong = judge(races, log, took)
        if len(races) < asked.bookings:
            wrong.append(f"only {len(races)} races were run in time")
    print("every receipt was true" if not wrong else f"BROKEN: {'; '.join(wrong)}")
    sys.exit(bool(wrong))


@contextmanager
def stack(directory: Path) -> Iterator[Path]:
    """Everything that runs in production, and this process's Django on its database. Yields the mail server's log."""
    import django

    from config.stack import Stack
    from config.stack.ports import free

    (port,), log = free(), directory / "mails"
    with database() as url:
        mails = subprocess.Popen([sys.executable, "-m", "bench.mailserver", str(port), str(log)])
        env = {"EMAIL_URL": f"smtp://127.0.0.1:{port}", "LOG_LEVEL": "WARNING"}
        running = Stack(
            directory / "data", env=env, without={"web", "flower"}, database_url=url, log=directory / "stack.log"
        )
        try:
            running.start()
            running.wait_ready()
            os.environ |= running.env | {"DJANGO_SETTINGS_MODULE": "config.settings"}
            django.setup()
            yield log
        finally:
            from django.db import connection

            connection.close()
            running.stop()
            mails.terminate()
            mails.wait()


@contextmanager
def database() -> Iterator[str]:
    """A database of its own on the server that DATABASE_URL names, or the stack's own."""
    server = os.environ.pop("DATABASE_URL", "")
    if not server.startswith("postgres"):
        yield ""
        return
    with created(server, f"punctual_races_{os.getpid()}") as url:
        yield url


def race(many: int, rate: float, hands: int) -> list[Race]:
    """Each booking is cancelled or moved, half of them each, while its reminder is on its way."""
    racers = Racers(book(many, rate), LEAD)
    racers.run(hands, until=time.monotonic() + PATIENCE + many)
    return racers.races


def book(many: int, rate: float) -> dict[UUID, Any]:
    """The bookings, by the delivery that falls due."""
    from django.db import transaction
    from django.utils import timezone

    from notifications import bookings, reminders
    from notifications.models import Booking, Customer, Delivery, ReminderRule

    ReminderRule.objects.exclude(offset=-LEAD).update(active=False)
    ReminderRule.objects.update(quiet_from=None, quiet_until=None)  # it may be three in the morning
    customers = Customer.objects.bulk_create(
        [Customer(name=f"Customer {n}", email=f"c{n}@example.com") for n in range(many)], batch_size=500
    )
    first = timezone.now() + LEAD + timedelta(seconds=HEAD_START + many / 100)  # planning takes a while
    rows = []
    for n, customer in enumerate(customers):
        start = first + timedelta(seconds=n / rate)
        when = bookings.schedule(start, start + timedelta(hours=1), "UTC")
        rows.append(Booking(customer=customer, service=f"Service {n}", **when))
    made = Booking.objects.bulk_create(rows, batch_size=500)
    for at in range(0, many, 500):
        with transaction.atomic():
            reminders.plan(made[at : at + 500])
    planned = dict(Delivery.objects.filter(rule__offset=-LEAD, state="planned").values_list("booking_id", "pk"))
    left = (first - LEAD - timezone.now()).total_seconds()
    print(
        f"{many:,} bookings, {len(planned):,} reminders planned, the first in {left:.0f} s, {rate:.0f} a second",
        flush=True,
    )
    return {planned[booking.pk]: booking for booking in made if booking.pk in planned}


def settled() -> None:
    """Every reminder that is due has an end. On a busy machine that takes as long as it takes, if there is progress."""
    from django.utils import timezone

    from notifications.models import Delivery

    soon = timezone.now() + timedelta(seconds=10)
    waiting = Delivery.objects.filter(state__in=["planned", "sending"], send_at__lt=soon)
    left, end = waiting.count(), time.monotonic() + PATIENCE
    while left:
        time.sleep(0.5)
        before, left = left, waiting.count()
        if left < before:
            end = time.monotonic() + PATIENCE
        elif time.monotonic() > end:
            raise SystemExit(f"{left} reminders without an end")


if __name__ == "__main__":
    main()
