"""`manage.py verify`: ask the database whether the promises were kept. Ends with 1 and a list when one was not.

manage.py verify                 for people
manage.py verify --json          for programs
manage.py verify --limit 100     show more of what is broken (default: 10 of each)
"""

import json
import sys
import time
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from django.core.serializers.json import DjangoJSONEncoder
from django.db.models import Model

from notifications.verify import CHECKS, Check

BROKEN = 1


class Command(BaseCommand):
    help = "Check the whole database against the promises: nothing lost, twice, after a cancel, early or late."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="a JSON object instead of a list")
        parser.add_argument("--limit", type=int, default=10, help="show at most this many rows of each (default: 10)")

    def handle(self, *args: Any, **options: Any) -> None:
        found, started = {}, time.monotonic()
        for check in CHECKS:
            began = time.monotonic()
            rows = check.broken()
            count = rows.count()
            found[check.name] = (count, [_shown(row) for row in rows[: max(options["limit"], 0)]] if count else [])
            if not options["json"]:
                self._tell(check, *found[check.name], time.monotonic() - began)
        broken = sum(1 for count, _ in found.values() if count)
        if options["json"]:
            told = {name: {"broken": count, "rows": rows} for name, (count, rows) in found.items()}
            self.stdout.write(json.dumps({"kept": not broken, "checks": told}, cls=DjangoJSONEncoder, indent=2))
        else:
            verdict = f"{broken} of {len(CHECKS)} promises are broken." if broken else "All promises are kept."
            self.stdout.write(f"{verdict} ({time.monotonic() - started:.1f} s)")
        if broken:
            sys.exit(BROKEN)

    def _tell(self, check: Check, count: int, rows: list[str], seconds: float) -> None:
        if not count:
            self.stdout.write(f"  ok      {check.name:<18}{check.promise} ({seconds:.1f} s)")
            return
        self.stdout.write(
            self.style.ERROR(f"  BROKEN  {check.name:<18}{check.promise}: {count:,} rows. {check.advice}")
        )
        self.stdout.write("".join(f"            {row}\n" for row in rows), ending="")
        if count > len(rows):
            self.stdout.write(f"            and {count - len(rows):,} more")


def _shown(row: Any) -> str:
    """A row by its ids alone: what is printed may be logged."""
    if isinstance(row, Model):
        return f"{row._meta.model_name} {row.pk}"
    return ", ".join(f"{name} {value}" for name, value in row.items() if value is not None)
