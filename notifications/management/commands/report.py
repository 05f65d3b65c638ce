"""`manage.py report day|week|month`: the report of a period, here and now, without a worker.

manage.py report week                              the last whole week, as text
manage.py report month --on 2025-10-31 --out october.pdf
manage.py report week --json                       its figures, for programs
manage.py report day --language de --out gestern.html
"""

from argparse import ArgumentParser, ArgumentTypeError
from datetime import date
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError
from django.utils import timezone

from jobs.management.operator import OperatorCommand
from notifications import timing
from notifications.models import Customer
from notifications.reports import figures, periods
from notifications.reports.documents import Document

WRONG_INPUT = 2
FORMS = (".html", ".pdf", ".txt", ".json")


class Command(OperatorCommand):
    help = "Count and write the report of a day, a week or a month: messages, bookings, reminders, payments, jobs."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("kind", choices=periods.KINDS)
        parser.add_argument("--on", type=_day, help="a day of it, YYYY-MM-DD (default: the last whole one)")
        parser.add_argument("--zone", default=settings.TIME_ZONE, help="whose clocks (default: %(default)s)")
        parser.add_argument("--language", default="en", choices=[code for code, _name in settings.LANGUAGES])
        parser.add_argument("--tenant", default="", help="of one tenant alone (default: of all)")
        parser.add_argument("--json", action="store_true", help="the figures as a JSON object, instead of text")
        parser.add_argument("--out", type=Path, help=f"a file that ends in {', '.join(FORMS)} (default: text, printed)")

    def handle(self, *args: Any, **options: Any) -> None:
        out: Path | None = options["out"]
        if out is not None and out.suffix not in FORMS:
            raise CommandError(f"{out}: the name has to end in {', '.join(FORMS)}.", returncode=WRONG_INPUT)
        now = timezone.now()
        try:
            zone = timing.zone(options["zone"])
            on, kind = options["on"], options["kind"]
            period = periods.containing(kind, on, zone) if on else periods.last_whole(kind, now, zone)
        except ValueError as exc:
            raise CommandError(str(exc), returncode=WRONG_INPUT) from None
        if period.begins > now:
            told = f"The {kind} of {period.first} has not begun yet: there is nothing to report."
            raise CommandError(told, returncode=WRONG_INPUT)
        tenant = options["tenant"]
        if tenant and not Customer.objects.filter(tenant=tenant).exists():
            self.stderr.write(f"No customer is of the tenant {tenant!r}: is it misspelt?")
        counted = figures.count(period, options["tenant"])
        document = Document(counted, period, options["language"], options["tenant"], now)
        if out is None:
            self.stdout.write(_written(document, ".json" if options["json"] else ".txt").decode().removesuffix("\n"))
            return
        try:
            out.write_bytes(_written(document, out.suffix))
        except OSError as exc:
            raise CommandError(f"{out}: {exc.strerror}. Name a file in a folder that is there.") from None
        self.stdout.write(f"Written to {out}.")


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError(f"{text[:60]!r} is no day. Write it as 2027-01-31.") from None


def _written(document: Document, form: str) -> bytes:
    if form == ".html":
        return document.html()
    if form == ".pdf":
        return document.pdf()
    return (document.text() if form == ".txt" else document.figures.model_dump_json(indent=2)).encode()
