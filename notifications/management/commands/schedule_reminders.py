"""`manage.py schedule_reminders`: plan what is missing, move and withdraw what does not fit the rules any more.

The same that beat does every hour, at once and with an account of it. A second run has nothing to change.
"""

import json
from argparse import ArgumentParser
from collections import Counter
from typing import Any

from django.utils import timezone

from jobs.management.operator import OperatorCommand
from notifications import zones
from notifications.changes import CHUNK
from notifications.imports.outcomes import tally
from notifications.management.importing import tenant
from notifications.management.reporting import as_data, deliveries, progress_bar
from notifications.models import Booking, Payment
from notifications.reconciler import reconcile


class Command(OperatorCommand):
    help = "Make the reminders of all upcoming bookings and open payments match the rules."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="show what would change, change nothing")
        parser.add_argument("--json", action="store_true", help="a JSON object instead of a list")
        parser.add_argument("--tenant", type=tenant, help="only what belongs to this tenant")

    def handle(self, *args: Any, **options: Any) -> None:
        moved = 0 if options["dry_run"] else zones.refresh()
        if moved and not options["json"]:
            self.stdout.write(f"{moved:,} bookings are at another moment by the new zone database.")
        changed = self._reconcile(options["dry_run"], options["tenant"])
        if options["json"]:
            told = {"dry_run": options["dry_run"], "bookings_moved": moved, "reminders": as_data(changed)}
            self.stdout.write(json.dumps(told))
            return
        if not changed:
            self.stdout.write("Nothing to change: all reminders match the rules.")
            return
        head = "Dry run, nothing was changed. It would be:" if options["dry_run"] else "Reminders:"
        self.stdout.write("\n".join([head, *deliveries(changed)]))

    def _reconcile(self, dry_run: bool, tenant: str | None) -> Counter[tuple[str, str]]:
        theirs = {} if tenant is None else {"tenant": tenant}
        upcoming = Booking.objects.filter(status=Booking.Status.BOOKED, starts_at__gt=timezone.now(), **theirs).count()
        expected = upcoming + Payment.objects.filter(status=Payment.Status.OPEN, **theirs).count()
        changed: Counter[tuple[str, str]] = Counter()
        with progress_bar(expected, numbers=True) as bar:
            for number, plan in enumerate(reconcile(dry_run=dry_run, tenant=tenant), start=1):
                changed += tally(plan)
                done = min(number * CHUNK, expected)
                bar.at(done, done)
        return changed
