"""Cancel and move bookings at the very moment when their reminders go out: `python -m bench.races --bookings 10000`.

Real workers on a whole stack of their own, a real mail server in a process of its own. A receipt that says "cancelled"
or "moved" is a promise about the mail server's log, and so is one that says "already sent". Exit 1 when one is broken.
DATABASE_URL may name a PostgreSQL server; else it is SQLite.
"""

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

LEAD = timedelta(minutes=15)  # of the rule whose reminders fall due
HEAD_START = 5.0  # seconds between planning and the first reminder
PATIENCE = 300.0


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--bookings", type=int, default=10_000)
    options.add_argument("--rate", type=float, default=40, help="reminders that fall due in a second")
    asked = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="races-") as directory, stack(Path(directory)) as log:
        began = time.monotonic()
        receipts = race(asked.bookings, asked.rate)
        settled()
        wrong = judge(receipts, log, time.monotonic() - began)
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
    import psycopg

    name = f"punctual_races_{os.getpid()}"
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}")
        try:
            yield urlsplit(server)._replace(path=f"/{name}").geturl()
        finally:
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


def race(many: int, rate: float) -> list[tuple[str, Any]]:
    """Each booking is cancelled or moved while its reminder is on its way. Returns (what, receipt) each."""
    from django.utils import timezone

    from notifications import bookings

    unraced = book(many, rate)
    receipts: list[tuple[str, Any]] = []
    end = time.monotonic() + PATIENCE + many
    while unraced and time.monotonic() < end:
        if (pk := on_its_way(unraced)) is None:
            time.sleep(0.002)  # until the next reminder falls due
            continue
        booking = unraced.pop(pk)
        if random.random() < 0.5:
            receipts.append(("cancel", bookings.cancel(booking)))
        else:
            # Far away, or so near that the reminder of the new time falls due while the race still runs.
            near = timezone.now() + LEAD + timedelta(seconds=3)
            start = random.choice([booking.starts_at + timedelta(days=30), near])
            moved = bookings.reschedule(booking, starts_at=start, ends_at=start + timedelta(hours=1))
            receipts.append(("move", moved))
    return receipts


def on_its_way(unraced: dict[UUID, Any]) -> UUID | None:
    """A delivery that a worker has or is about to get; at times one that has just been sent."""
    from jobs.models import Job
    from notifications.models import Delivery

    held = Job.objects.filter(task="notifications.deliver", state__in=["running", "queued"]).order_by("-state")
    sent = Delivery.objects.filter(state__in=["sending", "sent"]).order_by("-intent_at")
    choices = [list(held.values_list("pk", flat=True)[:40]), list(sent.values_list("pk", flat=True)[:40])]
    if random.random() < 0.3:
        choices.reverse()
    return next((pk for some in choices for pk in some if pk in unraced), None)


def book(many: int, rate: float) -> dict[UUID, Any]:
    """The bookings, by the delivery that falls due."""
    from django.db import transaction
    from django.utils import timezone

    from notifications import bookings, reminders
    from notifications.models import Booking, Customer, Delivery, ReminderRule

    ReminderRule.objects.update(quiet_from=None, quiet_until=None)  # it may be three in the morning
    customers = Customer.objects.bulk_create(
        [Customer(name=f"Customer {n}", email=f"c{n}@example.com") for n in range(many)], batch_size=500
    )
    first = timezone.now() + LEAD + timedelta(seconds=HEAD_START + many / 70)  # planning takes a while
    rows = []
    for n, customer in enumerate(customers):
        start = first + timedelta(seconds=n / rate)
        when = bookings.schedule(start, start + timedelta(hours=1), "UTC")
        rows.append(Booking(customer=customer, service=f"Service {n}", **when))
    made = Booking.objects.bulk_create(rows, batch_size=500)
    for at in range(0, many, 500):
        with transaction.atomic():
            reminders.plan(made[at : at + 500])
    planned = dict(Delivery.objects.filter(state="planned").values_list("booking_id", "pk"))
    left = (first - LEAD - timezone.now()).total_seconds()
    print(
        f"{many:,} bookings, {len(planned):,} reminders planned, the first in {left:.0f} s, {rate:.0f} a second",
        flush=True,
    )
    return {planned[booking.pk]: booking for booking in made if booking.pk in planned}


def settled() -> None:
    """Every reminder that is due has an end."""
    from django.utils import timezone

    from notifications.models import Delivery

    end = time.monotonic() + PATIENCE
    soon = timezone.now() + timedelta(seconds=10)
    while Delivery.objects.filter(state__in=["planned", "sending"], send_at__lt=soon).exists():
        if time.monotonic() > end:
            raise SystemExit("reminders without an end")
        time.sleep(0.5)


def judge(receipts: list[tuple[str, Any]], log: Path, seconds: float) -> list[str]:
    """Prints what was promised and what the mail server took. Returns what is wrong."""
    from django.db import connection

    from notifications.models import Delivery

    taken = Counter(log.read_text().split())
    told: Counter[str] = Counter()
    broken: Counter[str] = Counter()
    for what, receipt in receipts:
        word = "cancelled" if what == "cancel" else "moved"
        for delivery in receipt.cancelled:
            told[word] += 1
            broken[f"sent after {word}"] += taken[str(delivery.pk)] > 0
        for delivery in receipt.already_sent:
            told["already sent"] += 1
            broken["called sent, and never taken"] += taken[str(delivery.pk)] != 1
        told["in flight"] += len(receipt.in_flight)
        told["in doubt"] += len(receipt.in_doubt)
        broken["a receipt about nothing"] += not (
            receipt.cancelled or receipt.already_sent or receipt.in_flight or receipt.in_doubt
        )
    states = dict(Delivery.objects.filter(state__in=["sent", "in_doubt", "refused"]).values_list("pk", "state"))
    sent = {str(pk) for pk, state in states.items() if state == "sent"}
    broken["twice"] = sum(count - 1 for count in taken.values())
    broken["sent by our books only"] = len(sent - taken.keys())
    broken["taken, and not in our books"] = len(taken.keys() - {str(pk) for pk in states})
    print(f"{len(receipts):,} races in {seconds:.0f} s on {connection.vendor}: {dict(told)}")
    print(f"the mail server took {taken.total():,}; broken: {dict(broken)}")
    return [f"{name}: {count}" for name, count in broken.items() if count]


if __name__ == "__main__":
    main()
