"""`manage.py why BOOKING`: for every rule and channel what became of the reminder, and for what reason.

manage.py why 17                    by number
manage.py why B-2027-113            by your own (external) id
manage.py why 01a2...               by the id of one of its deliveries, as in a mail's Message-ID
manage.py why --payment 3 --json    a payment, for programs
"""

import json
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any
from zoneinfo import ZoneInfo

from django.core.management.base import CommandError
from django.core.serializers.json import DjangoJSONEncoder
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from jobs.management.operator import OperatorCommand
from notifications.models import Booking, Payment
from notifications.occurrences import Anchor
from notifications.why import Answer, NotFound, find, why

NOT_FOUND = 3
COLOURS = {"sent": "green", "planned": "cyan", "sending": "cyan", "refused": "red", "in_doubt": "magenta"}


class Command(OperatorCommand):
    help = "Tell why each reminder of a booking or payment went out, waits, or did not go out."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("which", help="number, external id, or the id of a delivery")
        parser.add_argument("--payment", action="store_true", help="WHICH is a payment, not a booking")
        parser.add_argument("--json", action="store_true", help="a JSON object instead of a table")

    def handle(self, *args: Any, **options: Any) -> None:
        kind: type[Anchor] = Payment if options["payment"] else Booking
        try:
            anchor = find(options["which"], kind)
        except NotFound as exc:
            hint = "" if options["payment"] else " For a payment add --payment."
            raise CommandError(f"{exc}{hint}", returncode=NOT_FOUND) from None
        answers = why(anchor)
        if options["json"]:
            name = kind.__name__.lower()
            told = {"kind": name, "id": anchor.pk, "status": anchor.status, "revision": anchor.revision}
            told["reminders"] = [asdict(answer) for answer in answers]
            self.stdout.write(json.dumps(told, cls=DjangoJSONEncoder, indent=2))
        else:
            self._table(anchor, answers)

    def _table(self, anchor: Anchor, answers: list[Answer]) -> None:
        out: Any = self.stdout  # Django's wrapper, which rich takes for a file
        console = Console(file=out, width=None if out.isatty() else 200)
        zone = ZoneInfo(anchor.time_zone)
        status = anchor.status.replace("_", " ")
        console.print(
            f"{type(anchor).__name__} {anchor.pk}: {anchor} ({status}, revision {anchor.revision})", markup=False
        )
        table = Table(box=None, padding=(0, 2, 0, 0))
        for column in ("Rule", "Channel", f"Due ({anchor.time_zone})", "What became of it"):
            table.add_column(column, overflow="fold")
        for answer in answers:
            due = f"{answer.send_at.astimezone(zone):%Y-%m-%d %H:%M}" if answer.send_at else "-"
            table.add_row(
                escape(answer.rule), answer.channel, due, escape(answer.text), style=COLOURS.get(answer.state, "dim")
            )
        console.print(table if answers else "There is no rule about it.")
