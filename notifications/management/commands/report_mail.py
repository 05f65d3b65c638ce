"""`manage.py report_mail`: mails of reports of which nobody knows whether they were taken, and what became of one.

manage.py report_mail                                              those that are in doubt
manage.py report_mail 01a2... sent --reason "she has it"           it arrived
manage.py report_mail 01a2... resend --reason "not in the log"     send it again, though it may arrive twice
"""

from argparse import ArgumentParser
from typing import Any
from uuid import UUID

from jobs.management import terminal, words
from jobs.management.operator import OperatorCommand
from jobs.management.terminal import NotDone, Terminal, Usage
from notifications.models import ReportMail
from notifications.reports import mail_ends

MOST = 100
COLUMNS = ("id", "report", "user", "detail")


class Command(OperatorCommand):
    help = "List the mails of reports that are in doubt, or say what became of one."

    def add_arguments(self, parser: ArgumentParser) -> None:
        terminal.add_options(parser)
        parser.add_argument("id", nargs="?", type=UUID, help="of a mail in doubt (default: list them)")
        parser.add_argument("outcome", nargs="?", choices=mail_ends.OUTCOMES, help="it arrived, or send it again")
        words.add_why(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        said = Terminal(self, options)
        if options["id"] is None:
            _list(said)
            return
        if options["outcome"] is None:
            raise Usage(f"Say what became of it: {' or '.join(mail_ends.OUTCOMES)}.")
        try:
            done = mail_ends.resolve([options["id"]], options["outcome"], options["by"], options["reason"])
        except ValueError as exc:
            raise Usage(f"{exc} Use --by and --reason.") from None
        if not done:
            raise NotDone(f"{options['id']} is no mail in doubt. Without an id, those that are one are listed.")
        told = "It is kept as sent." if options["outcome"] == "sent" else "It is sent again."
        said.say(told, id=options["id"], outcome=options["outcome"])


def _list(said: Terminal) -> None:
    held = ReportMail.objects.filter(state=ReportMail.State.IN_DOUBT).select_related("report", "user")
    found = list(held.order_by("pk")[: MOST + 1])
    if not found:
        said.say("Nothing is in doubt.", in_doubt=0)
    said.rows(
        [
            {"id": mail.pk, "report": str(mail.report), "user": str(mail.user), "detail": mail.detail}
            for mail in found[:MOST]
        ],
        COLUMNS,
    )
    if len(found) > MOST:
        said.warn(f"These are the {MOST} oldest; there are more.")
