"""Reading a file of bookings or payments, a line at a time, and the CSV among them.

Called by `imports`. The promise: memory does not depend on the size of the file, nor on what is in it; what cannot be
read is named with its line, and what follows it is read all the same.
"""

import csv
import sqlite3
from collections import deque
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from notifications.imports.rows import AnyRow, BadRow, Cells, Columns

LONGEST_LINE = 128 * 1024  # bytes; also the longest field that Python's csv module takes
MOST_LINES = 100  # that one row may span; beyond it, somebody forgot to close a quote
OUR_COLUMNS = ("line", "errors")  # that the list of bad rows adds, so that it can be corrected and imported
BOM = b"\xef\xbb\xbf"
UTF16 = (b"\xff\xfe", b"\xfe\xff")


class UnusableFile(Exception):
    """Nothing of the file can be read. The message says what to do."""


class Source:
    """A file, read once from its beginning to its end."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.position = 0  # bytes read so far
        self.columns: Sequence[str] = ()  # what a list of bad rows has to show
        self.warnings: list[str] = []
        try:
            self._file: BinaryIO = self.path.open("rb")
            self.size = self.path.stat().st_size
        except OSError as exc:
            raise UnusableFile(f"{self.path} cannot be read: {exc.strerror}.") from exc

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self._file.close()

    def starts_with(self, text: bytes) -> bool:
        """Whether the file begins with `text`, white space, case and a byte order mark aside. Reads nothing away."""
        beginning = self._file.read(1024)
        self._file.seek(0)
        return beginning.removeprefix(BOM).lstrip().upper().startswith(text)

    def lines(self) -> Iterator[tuple[int, bytes]]:
        """Each line with its number. Of a line that is too long, one byte more than allowed."""
        number = 0
        while line := self._file.readline(LONGEST_LINE + 1):
            number += 1
            self.position += len(line)
            if number == 1:
                line = self._without_bom(line)
            rest = line
            while len(rest) > LONGEST_LINE and not rest.endswith(b"\n"):
                rest = self._file.readline(LONGEST_LINE + 1)
                self.position += len(rest)
            yield number, line

    def _without_bom(self, line: bytes) -> bytes:
        if line.startswith(UTF16) or b"\0" in line[:4]:
            raise UnusableFile(f"{self.path} is UTF-16. Save it as UTF-8 (in Excel: 'CSV UTF-8').")
        return line.removeprefix(BOM)


def decoded(number: int, line: bytes) -> str:
    """The text of a line. Raises ValueError where it is too long, or not UTF-8."""
    if len(line) > LONGEST_LINE:
        raise ValueError(f"the line is longer than {LONGEST_LINE:,} bytes")
    try:
        return line.decode()
    except UnicodeDecodeError as exc:
        raise ValueError(
            f"byte {exc.start + 1} of line {number} (0x{line[exc.start]:02x}) is not UTF-8. "
            "Save the file as UTF-8 (in Excel: 'CSV UTF-8')."
        ) from None


def unique(rows: Iterator[AnyRow | BadRow]) -> Iterator[AnyRow | BadRow]:
    """Refuses the second row of an external id. The ids seen are kept in a temporary file, not in memory."""
    seen = sqlite3.connect("", isolation_level=None)  # SQLite's own temporary file; gone when closed
    try:
        seen.execute("CREATE TABLE seen (id TEXT PRIMARY KEY, line INTEGER) WITHOUT ROWID")
        seen.execute("BEGIN")
        for row in rows:
            if not isinstance(row, BadRow):
                entry = (row.external_id, row.line)
                if not seen.execute("INSERT OR IGNORE INTO seen VALUES (?, ?)", entry).rowcount:
                    first = seen.execute("SELECT line FROM seen WHERE id = ?", entry[:1]).fetchone()[0]
                    reason = f"{row.external_id!r} is already on line {first} of this file; an id names one thing"
                    yield BadRow.because(row.line, "external_id", reason, row.cells)
                    continue
            yield row
    finally:
        seen.close()


# --- CSV -----------------------------------------------------------------------------------------------


class _Endless(Exception):
    """A row goes on for too many lines."""


class _Feed:
    """Gives lines to a csv.reader; takes those back that it swallowed by mistake."""

    def __init__(self, source: Source) -> None:
        self._fresh = source.lines()
        self._again: deque[tuple[int, bytes]] = deque()
        self.taken: list[tuple[int, bytes]] = []  # for the current row

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> str:
        if len(self.taken) >= MOST_LINES:
            raise _Endless
        number, line = self._again.popleft() if self._again else next(self._fresh)
        self.taken.append((number, line))
        return decoded(number, line)

    def take_back(self) -> bool:
        """All lines of the current row but its first are read again. Returns whether there were any."""
        self._again.extendleft(reversed(self.taken[1:]))
        return len(self.taken) > 1


def read_csv(source: Source, columns: Columns) -> Iterator[tuple[int, Cells] | BadRow]:
    """The rows below the header, as cells by column. Raises UnusableFile if the header is not one."""
    feed = _Feed(source)
    header, delimiter = _header(source, feed)
    source.columns = [name for name in header if name not in OUR_COLUMNS]
    source.warnings += _check(header, columns)
    reader = csv.reader(feed, delimiter=delimiter, strict=True)
    while True:
        feed.taken.clear()
        try:
            values = next(reader, None)
        except (csv.Error, _Endless, ValueError) as exc:
            spans = feed.take_back()
            yield BadRow.because(feed.taken[0][0], "", _unreadable(exc, spans))
            continue
        if values is None:
            return
        if not any(value.strip() for value in values):  # an empty line, or what Excel leaves below the table
            continue
        line = feed.taken[0][0]
        if len(values) == len(header):
            yield line, dict(zip(header, values, strict=True))
        elif feed.take_back():
            yield BadRow.because(line, "", "a quote is opened on this line and not closed where it should be")
        else:
            reason = (
                f"the row has {len(values)} cells, the header has {len(header)}. Put quotes around text with commas."
            )
            yield BadRow.because(line, "", reason, dict(zip(header, values, strict=False)))


def _unreadable(exc: Exception, spans: bool) -> str:
    """What to tell about a row that csv.reader gave up."""
    if isinstance(exc, ValueError):
        return str(exc)
    if isinstance(exc, _Endless) or "unexpected end" in str(exc):
        return "a quote is opened on this line and never closed"
    if "field limit" in str(exc):
        return f"a cell is longer than {LONGEST_LINE:,} characters" + (" or its quote is not closed" if spans else "")
    return f"this is not CSV: {exc}"


def _header(source: Source, feed: _Feed) -> tuple[list[str], str]:
    try:
        first = next(feed, "")
    except ValueError as exc:
        raise UnusableFile(f"{source.path}: {exc}") from None
    if not first.strip():
        nothing = "is empty" if not source.size else "begins with an empty line"
        raise UnusableFile(f"{source.path} {nothing}. The first line has to name the columns.")
    delimiter = max(",;\t", key=first.count)
    try:
        names = next(csv.reader([first], delimiter=delimiter, strict=True))
    except csv.Error as exc:
        raise UnusableFile(f"{source.path}: the first line is not a CSV header: {exc}") from None
    return [name.strip().casefold().replace(" ", "_") for name in names], delimiter


def _check(header: list[str], columns: Columns) -> list[str]:
    """Raises UnusableFile where columns are missing or doubled; warns of those that nobody knows."""
    unknown = [name for name in header if name and name not in columns.known + OUR_COLUMNS]
    missing = [name for name in columns.required if name not in header]
    missing += [" or ".join(group) for group in columns.either if not set(group) & set(header)]
    problems = [f"column {name} is missing{_perhaps(name, unknown)}" for name in missing]
    problems += [f"column {name} is there twice" for name in columns.known if header.count(name) > 1]
    if problems:
        raise UnusableFile(f"The header does not fit: {'; '.join(problems)}. Known: {', '.join(columns.known)}.")
    free = [name for name in columns.known if name not in header]
    return [f"column {name!r} is not known and is left out{_perhaps(name, free)}" for name in unknown]


def _perhaps(name: str, candidates: list[str]) -> str:
    near = get_close_matches(name, candidates, n=1)
    return f" (is it {near[0]!r}?)" if near else ""
