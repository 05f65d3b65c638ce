"""What the commands of this app show: a progress bar on a terminal, and numbers at the end.

Used by the importing commands and `schedule_reminders`. The promise: without a terminal there is no bar and no escape
sequence, so that the output of a cron job stays text.
"""

import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

KINDS = ("planned", "moved", "withdrawn", "in flight", "skipped")
MEANINGS = {"in flight": "being sent at this moment"}


class Bar:
    """A progress bar with a number that the caller moves."""

    def __init__(self, progress: Progress, total: int) -> None:
        self._progress = progress
        self._task = progress.add_task("", total=max(total, 1))

    def at(self, done: int, rows: int) -> None:
        self._progress.update(self._task, completed=done, description=f"{rows:,} rows")


@contextmanager
def progress_bar(total: int, *, numbers: bool = False) -> Iterator[Bar]:
    """`numbers` shows how much of `total` is done, where people can count it."""
    console = Console(file=sys.stderr)
    columns = [TextColumn("{task.description}"), BarColumn(), *([MofNCompleteColumn()] if numbers else [])]
    hidden = not console.is_terminal
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True, disable=hidden) as progress:
        yield Bar(progress, total)


def table(lines: Iterable[tuple[str, int, str]]) -> list[str]:
    """Lines of a word, a number and a remark, aligned."""
    return [f"  {word:<12}{number:>9,}  {remark}".rstrip() for word, number, remark in lines]


def as_data(counts: Counter[tuple[str, str]]) -> list[dict[str, str | int]]:
    """The same as `deliveries`, for programs."""
    return [{"kind": kind, "reason": reason, "number": number} for (kind, reason), number in _ordered(counts)]


def deliveries(counts: Counter[tuple[str, str]]) -> list[str]:
    """What became of deliveries, by kind and reason, the most frequent reason first."""
    return table((kind, number, reason or MEANINGS.get(kind, "")) for (kind, reason), number in _ordered(counts))


def _ordered(counts: Counter[tuple[str, str]]) -> list[tuple[tuple[str, str], int]]:
    return sorted(counts.items(), key=lambda item: (KINDS.index(item[0][0]), -item[1], item[0]))
