"""The file of an import, which is read twice and has to be the same both times.

Used by `importing`. Memory does not grow with the file: lines are read one at a time, and the ids seen are kept in a
temporary file. Whatever cannot be read as lines of UTF-8 is refused with what to do about it.
"""

import hashlib
import os
import sqlite3
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from jobs.transfer.owed import BadRow

LONGEST_LINE = 4 * 1024**2  # bytes; a job of ours has at most a few times 64 KiB
# How files begin that are no text, or not in UTF-8: what they are, and what to do.
BEGINNINGS = {
    b"\x1f\x8b": "gzip: unpack it first, gunzip FILE",
    b"BZh": "bzip2: unpack it first, bunzip2 FILE",
    b"\xfd7zXZ": "xz: unpack it first, unxz FILE",
    b"\x28\xb5\x2f\xfd": "Zstandard: unpack it first, unzstd FILE",
    b"PK\x03\x04": "ZIP: unpack it first, unzip FILE",
    b"\xff\xfe": "UTF-16: make it UTF-8 first, iconv -f UTF-16 -t UTF-8 FILE",
    b"\xfe\xff": "UTF-16: make it UTF-8 first, iconv -f UTF-16 -t UTF-8 FILE",
}


class Source:
    """Opened once, so that another file of that name is none of ours. Raises OSError, BadRow."""

    def __init__(self, path: Path) -> None:
        if not stat.S_ISREG(path.stat().st_mode):  # before it is opened: a pipe would wait for its writer
            raise BadRow("it is no regular file, and it has to be read twice: save it as one first")
        self._file = path.open("rb")
        self.seen, self.sha256 = Seen(), ""
        self._as_opened = self._state()
        begins = self._file.peek(8)
        if found := next((told for magic, told in BEGINNINGS.items() if begins.startswith(magic)), ""):
            self.close()
            raise BadRow(f"it is {found}")

    def lines(self) -> Iterator[tuple[int, bytes]]:
        """From the first on, with their numbers. A file without line ends must not fill the memory."""
        self._file.seek(0)
        number, digest = 0, hashlib.sha256()
        while raw := self._file.readline(LONGEST_LINE):
            number += 1
            if len(raw) == LONGEST_LINE and not raw.endswith(b"\n"):
                raise BadRow(f"line {number} has more than {LONGEST_LINE:,} bytes; a file has one job a line")
            digest.update(raw)
            yield number, raw
        self.sha256 = digest.hexdigest()

    def check(self) -> None:
        """Raises BadRow if somebody wrote to the file since it was opened."""
        if self._state() != self._as_opened:
            raise BadRow("the file was changed while it was read: import it again when nobody writes to it any more")

    def _state(self) -> tuple[int, int]:
        now = os.fstat(self._file.fileno())
        return now.st_size, now.st_mtime_ns

    def close(self) -> None:
        self._file.close()
        self.seen.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Seen:
    """On which line each id was first; the same when the file is read again."""

    def __init__(self) -> None:
        self._rows = sqlite3.connect("", isolation_level=None)  # SQLite's own temporary file; gone when closed
        self._rows.execute("CREATE TABLE seen (id BLOB PRIMARY KEY, line INTEGER) WITHOUT ROWID")
        self._rows.execute("BEGIN")

    def first(self, identities: Sequence[tuple[str, ...]], line: int) -> int:
        """The line that had one of them first, which may be this."""
        lines = [line]
        for one in identities:
            key = hashlib.blake2b("\0".join(one).encode(), digest_size=16).digest()
            if not self._rows.execute("INSERT OR IGNORE INTO seen VALUES (?, ?)", (key, line)).rowcount:
                lines += self._rows.execute("SELECT line FROM seen WHERE id = ?", (key,)).fetchone()
        return min(lines)

    def close(self) -> None:
        self._rows.close()
