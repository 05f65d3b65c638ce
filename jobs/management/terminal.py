"""Where a command writes: tables and sentences on a terminal, one JSON object a line everywhere else.

Used by every verb of `manage.py jobs` and by commands that print figures. The promise: what goes into a pipe is JSON
and nothing but JSON, complaints go to stderr, and no text from a job reaches a terminal with its control characters.
"""

import json
import sys
from argparse import ArgumentParser
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

ERROR, USAGE, NOT_DONE = 1, 2, 3
EMPTY: tuple[Any, ...] = (None, "", [], {})
LEAST = 12  # letters of a column that is folded: less cannot be read
Record = Mapping[str, Any]


class Usage(CommandError):
    """It was asked for in a way that has no meaning. Nothing was done."""

    def __init__(self, text: str) -> None:
        super().__init__(text, returncode=USAGE)


class NotDone(CommandError):
    """Nothing was found, or it is not done yet."""

    def __init__(self, text: str) -> None:
        super().__init__(text, returncode=NOT_DONE)


def add_options(parser: ArgumentParser) -> None:
    shapes = parser.add_mutually_exclusive_group()
    shapes.add_argument("--json", action="store_true", help="one JSON object a line, as in a pipe")
    shapes.add_argument("--table", action="store_true", help="tables and sentences, in a pipe too")


class Terminal:
    def __init__(self, command: BaseCommand, options: Mapping[str, Any]) -> None:
        out: Any = command.stdout
        self.out, self.err = getattr(out, "_out", out), command.stderr  # Django's wrapper ends what rich does not
        self.json = options["json"] or not (options["table"] or _is_terminal(self.out))
        self.console = Console(file=self.out, highlight=False)

    def record(self, record: Record) -> None:
        """One JSON object, at once: whoever reads the pipe need not wait for the end."""
        self.out.write(json.dumps(record, default=_plain) + "\n")
        self.out.flush()

    def say(self, sentence: str, **facts: Any) -> None:
        """A sentence to a person, or the facts of it to a program."""
        self.record(facts) if self.json else self.out.write(harmless(sentence) + "\n")

    def warn(self, sentence: str) -> None:
        self.err.write(harmless(sentence))

    def rows(self, records: Iterable[Record], columns: Sequence[str], title: str = "") -> int:
        """All of each record in a pipe; of a table the columns. Returns how many there were."""
        if self.json:
            number = 0
            for number, record in enumerate(records, 1):  # noqa: B007  (counted)
                self.record(record)
            return number
        shown = list(records)
        if shown:
            self.console.print(drawn(shown, columns, self.console, title))
        return len(shown)

    def facts(self, record: Record) -> None:
        """One record, a line for each of its names."""
        if self.json:
            self.record(record)
            return
        self.console.print(_grid(record))

    @contextmanager
    def progress(self, total: int, what: str) -> Iterator[Any]:
        """A bar on the terminal of stderr, and nothing elsewhere. Yields a function of how many are done."""
        console = Console(file=sys.stderr)
        columns = [TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()]
        with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
            task = bar.add_task(what, total=max(total, 1))
            yield lambda done: bar.update(task, completed=done, total=max(total, done, 1))


def drawn(records: Sequence[Record], columns: Sequence[str], console: Console, title: str = "") -> RenderableType:
    """A table of what is not empty; where it is too wide to be read, a paragraph for each record."""
    columns = [name for name in columns if any(record.get(name) not in EMPTY for record in records)]
    made = _table(records, columns, title)
    if console.measure(made, options=console.options.update(width=10_000)).minimum <= console.width:
        return made
    return Group(*(Padding(_grid({name: one.get(name) for name in columns}), (0, 0, 1, 0)) for one in records))


def _grid(record: Record) -> Table:
    grid = Table.grid(padding=(0, 2))
    for name, value in record.items():
        grid.add_row(Text(_heading(name), style="bold"), Text(shown(value), overflow="fold"))
    return grid


def _table(records: Sequence[Record], columns: Sequence[str], title: str) -> Table:
    made = Table(title=title or None, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for name in columns:
        right = all(isinstance(record.get(name), int | float | None) for record in records)
        whole = right or name in ("id", "state", "queue")  # a folded id cannot be copied
        widest = max((len(shown(record.get(name))) for record in records), default=0)
        least = min(LEAST, max(widest, len(name)))
        made.add_column(
            _heading(name), justify="right" if right else "left", overflow="fold", no_wrap=whole, min_width=least
        )
    for record in records:
        made.add_row(*(Text(shown(record.get(name))) for name in columns))
    return made


def shown(value: Any) -> str:
    """A value as a person reads it."""
    if value in EMPTY:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return f"{timezone.localtime(value):%Y-%m-%d %H:%M:%S %Z}"
    if isinstance(value, timedelta):
        return lasting(value)
    if isinstance(value, int) and abs(value) >= 10_000:
        return f"{value:,}"
    if isinstance(value, Mapping | list | tuple):
        return harmless(json.dumps(value, default=_plain, ensure_ascii=False, indent=2))
    return harmless(str(value))


def lasting(span: timedelta) -> str:
    seconds = span.total_seconds()
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if abs(seconds) >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s" if abs(seconds) >= 10 else f"{seconds:.1f} s"


def harmless(text: str) -> str:
    """Without what would move the cursor or change the terminal: a job's error text is anybody's."""
    return "".join(one if one.isprintable() or one == "\n" else one.encode("unicode_escape").decode() for one in text)


def _heading(name: str) -> str:
    return name.replace("_", " ")


def _is_terminal(stream: Any) -> bool:
    return bool(getattr(stream, "isatty", lambda: False)())


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, set | frozenset):
        return sorted(value)
    raise TypeError(f"{value!r} is not for a pipe")
