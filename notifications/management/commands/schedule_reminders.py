"""`manage.py schedule_reminders`: plan what is missing, move and withdraw what does not fit the rules any more.

The same that beat does every hour, at once and with an account of it. A second run has nothing to change.
"""

from argparse import ArgumentParser
from collections import Counter
from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from notifications import zones
from notifications.changes import CHUNK
from notifications.imports.outcomes import tally
from notifications.management.reporting import deliveries, progress_bar
from notifications.models import Booking, Payment
from notifications.reconciler import reconcile


class Command(BaseCommand):
    help = "Make the reminders of all upcoming bookings and open payments match the rules."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="show what would change, change nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        if not options["dry_run"] and (moved := zones.refresh()):
            self.stdout.write(f"{moved:,} bookings are at another moment by the new zone database.")
        changed = self._reconcile(options["dry_run"])
        if not changed:
            self.stdout.write("Nothing to change: all reminders match the rules.")
            return
        head = "Dry run, nothing was changed. It would be:" if options["dry_run"] else "Reminders:"
        self.stdout.write("\n".join([head, *deliveries(changed)]))

    def _reconcile(self, dry_run: bool) -> Counter[tuple[str, str]]:
        upcoming = Booking.objects.filter(status=Booking.Status.BOOKED, starts_at__gt=timezone.now()).count()
        expected = upcoming + Payment.objects.filter(status=Payment.Status.OPEN).count()
        changed: Counter[tuple[str, str]] = Counter()
        with progress_bar(expected, numbers=True) as bar:
            for number, plan in enumerate(reconcile(dry_run=dry_run), start=1):
                changed += tally(plan)
                done = min(number * CHUNK, expected)
                bar.at(done, done)
        return changed
