"""The demo: a stack of its own, the sample files, a few changes under way, and the proof that nothing was lost.

`manage.py demo` runs it, in a process whose settings are those of the throw-away directory (see the command).
Promise: the figures at the end compare the database with the mails that its mail server really received.
"""

import logging
import re
import shlex
import time
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from io import StringIO
from pathlib import Path
from zoneinfo import ZoneInfo

from django.core.management import CommandError, call_command
from django.utils import timezone
from rich.console import Console

from config.demo.mailbox import Mailbox, MailboxError
from config.demo.screen import Scene, Screen, reason_in_words
from config.demo.story import Story
from config.demo.verdict import Outcome, Verdict, verdict
from config.stack import BASE_DIR, START_ERRORS, Stack, stop_on_signals
from config.stack.console import Terminal
from notifications.models import Delivery, ReminderRule

SAMPLES = BASE_DIR / "notifications" / "samples"
ZONE = ZoneInfo("Europe/Berlin")  # of the sample payments whose reminders come first
LOOK = 0.25  # seconds between two looks at the database
GRACE = timedelta(seconds=20)  # what is due may take that long before it counts as lost
GRACE_AFTER_KILL = timedelta(seconds=60)  # a lost worker's jobs come back when their lease is over
# Of the demo's length: when the first bookings' reminders are due, the payments', and the calendar's.
BOOKINGS_AT, PAYMENTS_AT, CALENDAR_AT = 0.25, 0.6, 0.7
MINUTE = 0.1  # what a minute of the sample bookings becomes

DEMO_ERRORS = (*START_ERRORS, MailboxError, CommandError)


class Interrupted(Exception):
    """Somebody pressed Ctrl-C, or ended us."""


@dataclass(frozen=True)
class Options:
    """What the user asked for."""

    directory: Path
    length: timedelta
    chaos: bool = False


class Demo:
    """One run."""

    def __init__(self, options: Options, console: Console) -> None:
        self._options = options
        self._length = options.length
        self._console = console
        self._mailbox = Mailbox()
        self._log = options.directory / "stack.log"
        self._stack = Stack(options.directory, env={"EMAIL_URL": self._mailbox.url}, log=self._log)

    def run(self) -> bool:
        """Whether every promise was kept. Raises what DEMO_ERRORS names, and Interrupted."""
        stop_on_signals(self._stack)
        # Ours go to the file as well: they would be written across the board. INFO would name recipients there.
        logging.basicConfig(filename=self._log, level=logging.WARNING, force=True)
        with ExitStack() as exits:
            exits.enter_context(self._mailbox)
            self._start(exits)
            story = self._import()
            with Screen(self._console) as screen:
                self._play(story, screen)
        result = self._judge(story)
        self._show_verdict(result, story)
        return result.kept and not story.missing and result.sent > 0

    # --- The steps -------------------------------------------------------------------------------------

    def _start(self, exits: ExitStack) -> None:
        self._say("Starting a stack of its own: web, Flower, worker, clock, beat, broker ...")
        began = time.monotonic()
        exits.enter_context(self._stack)
        exits.callback(self._say, "\nStopping the stack, so that nothing can arrive any more ...")
        if not self._stack.wait_ready():
            raise self._stack.failure or Interrupted
        user, password = self._stack.admin
        rows = {
            "Admin": f"{self._stack.urls['admin']}  (user {user}, password {password})",
            "Flower": f"{self._stack.urls['flower']}  ({self._stack.installation.flower_login})",
            "Mail server": f"{self._stack.urls['mail']}  (this process: no mail leaves the machine)",
            "Directory": f"{self._options.directory}  (stack.log is what the processes say)",
        }
        Terminal().table(f"Ready after {time.monotonic() - began:.1f} s. Ctrl-C stops it.", rows)

    def _import(self) -> Story:
        """The sample files, by the real commands; returns the story that begins with them."""
        began_at, length = timezone.now(), self._length.total_seconds()
        day_in_zone = (began_at + PAYMENTS_AT * self._length).astimezone(ZONE)
        ReminderRule.objects.filter(anchor=ReminderRule.Anchor.PAYMENT_DUE).update(at_time=day_in_zone.time())
        ReminderRule.objects.update(quiet_from=None, quiet_until=None)  # the demo is shown at any hour
        self._say(
            f"\nA minute between two sample bookings becomes {self._minute} s, and reminders of payments, which "
            f"go out at 9:00, do so at {day_in_zone:%H:%M:%S} in {ZONE.key}. There are no quiet hours here."
        )
        bookings = self._options.directory / "bookings.csv"
        bookings.write_text(quickened((SAMPLES / "bookings.csv").read_text("utf-8"), self._minute), "utf-8")
        first_due = (day_in_zone.date() - timezone.localdate()).days
        self._call("import_bookings", bookings, f"--first-reminder-in={BOOKINGS_AT * length:g}")
        self._call("import_bookings", SAMPLES / "bookings.ics", f"--first-reminder-in={CALENDAR_AT * length:g}")
        self._call("import_payments", SAMPLES / "payments.csv", f"--first-due-in={first_due}")
        return Story(began_at, self._length, kill=self._stack.kill if self._options.chaos else None)

    @property
    def _minute(self) -> int:
        """In whole seconds, rounded down: the last reminders have to be due before the end."""
        return max(1, min(60, int(MINUTE * self._length.total_seconds())))

    def _call(self, command: str, file: Path, option: str) -> None:
        shown = file.relative_to(BASE_DIR) if file.is_relative_to(BASE_DIR) else file
        self._say(f"\n$ manage.py {command} {shlex.quote(str(shown))} {option}")
        output = StringIO()
        try:
            call_command(command, str(file), option, stdout=output, stderr=output)
        except CommandError as error:
            raise CommandError(f"The import failed: {error}\n{output.getvalue()}".rstrip()) from error
        self._say("\n".join(f"    {line}" for line in without_zeros(output.getvalue().splitlines())))

    def _play(self, story: Story, screen: Screen) -> None:
        """Until everything that is due by the end of the story has happened, or has had its time."""
        deadline = story.ends_at + (GRACE_AFTER_KILL if self._options.chaos else GRACE)
        while True:
            story.go_on(timezone.now())
            now, deliveries = timezone.now(), _deliveries()
            told = sorted(story.told)
            screen.show(Scene(now, story.began_at, story.ends_at, deliveries, self._mailbox.mails, told))
            waiting = [each for each in deliveries if each.state in _OPEN and each.send_at <= story.ends_at]
            if (story.over and not waiting) or now > deadline:
                return
            if self._stack.stopping:
                raise self._stack.failure or Interrupted
            time.sleep(LOOK)

    def _judge(self, story: Story) -> Verdict:
        outcomes = [
            Outcome(
                id=str(each.pk),
                what=f"{each.rule} of {each.anchor} to {each.customer}",
                recipient=each.customer.email,
                state=each.state,
                reason=reason_in_words(each.reason),
                send_at=each.send_at,
            )
            for each in _deliveries()
        ]
        return verdict(outcomes, self._mailbox.mails, story.withdrawals, due_by=story.ends_at)

    def _show_verdict(self, result: Verdict, story: Story) -> None:
        problems = [*result.problems, *story.missing] + ([] if result.sent else ["nothing was sent"])
        self._say(f"\nThe database, compared with the {len(self._mailbox.mails)} mails that really arrived:\n")
        self._say(str(result), style="bold red" if problems else "bold green")
        if problems:
            self._say("\nWhat is wrong:\n" + "\n".join(f"  {problem}" for problem in problems))
            return
        self._say(
            "\nEach reminder that was due went out once, to its recipient, "
            f"at most {result.slowest.total_seconds():.1f} s after its time.\n"
            "Nothing arrived for what had been cancelled, moved or paid."
        )

    # --- Smaller things --------------------------------------------------------------------------------

    def _say(self, text: str, style: str | None = None) -> None:
        self._console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)


_OPEN = (Delivery.State.PLANNED, Delivery.State.SENDING)


def _deliveries() -> list[Delivery]:
    return list(Delivery.objects.select_related("rule", "customer", "booking", "payment").order_by("pk"))


def without_zeros(lines: list[str]) -> list[str]:
    """Of a command's summary, what there was some of; and the headings that then still head something."""
    some = [line for line in lines if not line.endswith(" 0")]
    return [line for line, below in zip(some, [*some[1:], ""], strict=True) if line[:1] == " " or below[:1] == " "]


def quickened(csv: str, minute: int) -> str:
    """The sample bookings, closer together: of their times, the minutes past a quarter of an hour become shorter."""

    def closer(found: re.Match[str]) -> str:
        minutes = int(found["minute"])
        passed = timedelta(seconds=minutes % 15 * minute, minutes=minutes - minutes % 15)
        return f"T{found['hour']}:{passed.seconds // 60:02}:{passed.seconds % 60:02}"

    return re.sub(r"T(?P<hour>\d\d):(?P<minute>\d\d)(?=[,+-])", closer, csv)
