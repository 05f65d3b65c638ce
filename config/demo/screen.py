"""What the demo shows: a board of reminders that is alive on a terminal, and lines of text anywhere else.

Used by demo.py. Promise: shows what the database says, and nothing that a customer's name could turn into
terminal commands.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import TracebackType
from typing import Self

from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from config.demo.mailbox import Mail
from config.stack.console import CONTROL
from notifications.models import Booking, Delivery

WORDS = {"lead_time_past": "booked too late"}  # reasons that need more than themselves
COLOURS = {"planned": "cyan", "sending": "yellow", "sent": "green", "skipped": "magenta"}
MAILS, MAILS_ON_A_LOW_SCREEN = 5, 2  # shown, the latest
LOW = 30  # lines
WIDEST = 120
MARGIN = 6  # cells; terminals disagree about the width of some scripts, and a line that wraps breaks the picture
OTHER_LINES = 12  # of the screen, besides the rows of the board, the mails and what was told
ABOVE = 3  # rows that are over, above the first that is not


@dataclass(frozen=True)
class Scene:
    """What there is to show, as of `now`."""

    now: datetime
    began_at: datetime
    ends_at: datetime
    deliveries: Sequence[Delivery]
    mails: Sequence[Mail]
    told: Sequence[tuple[datetime, str]]

    @property
    def board(self) -> list[Delivery]:
        """The deliveries of this demo's time, in order."""
        due = [each for each in self.deliveries if self.began_at <= each.send_at <= self.ends_at]
        return sorted(due, key=lambda each: (each.send_at, each.pk))


class Screen:
    """Use as a context manager; `show` as often as you like."""

    def __init__(self, console: Console) -> None:
        self._console = console
        alive = console.is_terminal and not console.is_dumb_terminal
        self._live = Live(console=console, auto_refresh=False) if alive else None
        self._seen: dict[str, str] = {}
        self._told = 0

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        if self._live:
            self._live.stop()

    def show(self, scene: Scene) -> None:
        if self._live:
            self._live.update(_picture(scene, self._console), refresh=True)
        else:
            self._print_news(scene)

    def _print_news(self, scene: Scene) -> None:
        """One line for whatever was not there the last time."""
        news = [(at, f"** {text}") for at, text in scene.told[self._told :]]
        self._told = len(scene.told)
        for delivery in scene.board:
            key = str(delivery.pk)
            if self._seen.get(key) == delivery.state or delivery.state in ("planned", "sending"):
                continue
            self._seen[key] = delivery.state
            at = delivery.sent_at or scene.now
            news.append((at, f"{_about(delivery)} ({_rule(delivery)}): {delivery.state}{_outcome(delivery, scene)}"))
        for at, text in sorted(news):
            seconds = max((at - scene.began_at).total_seconds(), 0.0)
            self._console.print(f"{seconds:5.1f} s  {_clean(text)}", markup=False, highlight=False, soft_wrap=True)


# --- The picture ---------------------------------------------------------------------------------------


def _picture(scene: Scene, console: Console) -> RenderableType:
    mails = MAILS_ON_A_LOW_SCREEN if console.height < LOW else MAILS
    room = max(console.height - OTHER_LINES - mails - len(scene.told), 3)
    width = max(min(console.width - MARGIN, WIDEST), 40)
    return Group(_headline(scene), _board(scene, room, width), _mails(scene, mails, width), *_events(scene))


def _headline(scene: Scene) -> Text:
    passed = min(scene.now, scene.ends_at) - scene.began_at
    length = scene.ends_at - scene.began_at
    later = sum(each.state == "planned" and each.send_at > scene.ends_at for each in scene.deliveries)
    text = Text(f"\n{passed.total_seconds():.0f} of {length.total_seconds():.0f} s", style="bold")
    text.append(f"   {len(scene.mails)} mails arrived, {later} more reminders are planned for later", style="not bold")
    return text


def _board(scene: Scene, room: int, width: int) -> Table:
    """As many rows as there is room for, around the first that still has to happen."""
    rows = scene.board
    waiting = (number for number, each in enumerate(rows) if each.state in ("planned", "sending"))
    first = max(min(next(waiting, len(rows)) - ABOVE, len(rows) - room), 0)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, width=width)
    table.add_column("Due", width=8, justify="right", no_wrap=True)
    table.add_column("Booking or payment", ratio=1, no_wrap=True, overflow="ellipsis")
    table.add_column("Reminder", width=17, no_wrap=True, overflow="ellipsis")
    table.add_column("State", width=20, no_wrap=True, overflow="ellipsis")
    for each in rows[first : first + room]:
        state = Text(f"{each.state}{_outcome(each, scene)}", style=COLOURS.get(each.state, "red"))
        table.add_row(_due(each, scene.now), Text(_clean(_about(each))), _rule(each), state)
    return table


def _mails(scene: Scene, most: int, width: int) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, width=width)
    table.add_column("Mail at", width=8, justify="right", no_wrap=True)
    table.add_column("To", ratio=3, no_wrap=True, overflow="ellipsis")
    table.add_column("Subject", ratio=7, no_wrap=True, overflow="ellipsis")
    for mail in scene.mails[-most:]:
        to = Text(_clean(", ".join(mail.recipients)))
        table.add_row(_clock(mail.arrived_at), to, Text(_clean(mail.subject)))
    return table


def _events(scene: Scene) -> list[Text]:
    return [
        Text(f"{_clock(at)}  {_clean(text)}", style="bold", no_wrap=True, overflow="ellipsis")
        for at, text in scene.told
    ]


# --- Words ---------------------------------------------------------------------------------------------


def reason_in_words(reason: str) -> str:
    return WORDS.get(reason, reason.replace("_", " "))


def _about(delivery: Delivery) -> str:
    anchor = delivery.anchor
    what = anchor.service if isinstance(anchor, Booking) else anchor.subject
    return f"{delivery.customer}, {what}"


def _rule(delivery: Delivery) -> str:
    """The rule's name, without what the row says anyway."""
    return re.sub(r" a (booking|payment (is|was) due)$", "", _clean(delivery.rule.name))


def _outcome(delivery: Delivery, scene: Scene) -> str:
    if delivery.state == "sent" and delivery.sent_at:
        return f" after {max((delivery.sent_at - delivery.send_at).total_seconds(), 0.0):.1f} s"
    if delivery.state == "planned" and delivery.send_at < scene.now:
        return ", due"
    return f", {reason_in_words(delivery.reason)}" if delivery.reason else ""


def _due(delivery: Delivery, now: datetime) -> str:
    left = delivery.send_at - now
    if delivery.state == "planned" and left > timedelta():
        return f"in {left.total_seconds():.0f} s"
    return _clock(delivery.send_at)


def _clock(moment: datetime) -> str:
    return f"{moment.astimezone():%H:%M:%S}"


def _clean(text: str) -> str:
    return CONTROL.sub("?", text)
