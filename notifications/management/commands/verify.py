"""`manage.py verify`: ask the database whether the promises were kept. Ends with 1 and a list when one was not.

manage.py verify                 for people
manage.py verify --json          for programs
manage.py verify --limit 100     show more of what is broken (default: 10 of each)
"""

import json
import re
import sys
import time
from argparse import ArgumentParser, ArgumentTypeError
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.db.models import Model

from jobs.management.operator import OperatorCommand
from notifications.verify import CHECKS, Check, counted, with_room

BROKEN = 1


def rows(text: str) -> int:
    if not re.fullmatch(r"\d{1,9}", text, re.ASCII):
        raise ArgumentTypeError(f"{text[:60]!r} is not a number of rows.")
    return int(text)


class Command(OperatorCommand):
    help = "Check the whole database against the promises: nothing lost, twice, after a cancel, early or late."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="a JSON object instead of a list")
        parser.add_argument(
            "--limit", type=rows, default=10, metavar="NUMBER", help="show at most this many rows of each (default: 10)"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        started = time.monotonic()
        with with_room():
            found = self._found(options)
        broken = sum(1 for count, _ in found.values() if count)
        if options["json"]:
            told = {name: {"broken": count, "rows": rows} for name, (count, rows) in found.items()}
            self.stdout.write(json.dumps({"kept": not broken, "checks": told}, cls=DjangoJSONEncoder, indent=2))
        else:
            verdict = f"{broken} of {len(CHECKS)} promises are broken." if broken else "All promises are kept."
            self.stdout.write(f"{verdict} ({time.monotonic() - started:.1f} s)")
        if broken:
            sys.exit(BROKEN)

    def _found(self, options: dict[str, Any]) -> dict[str, tuple[int, list[str]]]:
        """How many rows break each promise, and the first of them."""
        began, found = time.monotonic(), {}
        together = counted()
        if not options["json"]:
            self.stdout.write(f"  {len(together)} questions in one pass ({time.monotonic() - began:.1f} s)")
        for check in CHECKS:
            began, rows = time.monotonic(), check.broken()
            count = together[check.name] if check.name in together else rows.count()
            found[check.name] = (count, [_shown(row) for row in rows[: options["limit"]]] if count else [])
            if not options["json"]:
                self._tell(check, *found[check.name], time.monotonic() - began)
        return found

    def _tell(self, check: Check, count: int, rows: list[str], seconds: float) -> None:
        if not count:
            self.stdout.write(f"  ok      {check.name:<20}{check.promise} ({seconds:.1f} s)")
            return
        self.stdout.write(
            self.style.ERROR(f"  BROKEN  {check.name:<20}{check.promise}: {count:,} rows. {check.advice}")
        )
        self.stdout.write("".join(f"            {row}\n" for row in rows), ending="")
        if count > len(rows):
            self.stdout.write(f"            and {count - len(rows):,} more")


def _shown(row: Any) -> str:
    """A row by its ids alone: what is printed may be logged."""
    if isinstance(row, Model):
        return f"{row._meta.model_name} {row.pk}"
    return ", ".join(f"{name} {value}" for name, value in row.items() if value is not None)
