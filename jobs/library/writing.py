"""Rows as bytes: CSV, a JSON array, JSON Lines, and the rows of which `workbooks` makes a sheet. Pure.

Used by `exports`. The promise: bytes depend on the rows alone, and not on how they were cut into chunks; and no cell of
a CSV is a formula, whatever somebody called himself.
"""

import csv
import io
import json
from collections.abc import Iterable, Sequence

from jobs.library.sources import Plain

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")  # spreadsheets run what begins so
Row = Sequence[Plain]

# (format) -> what stands before the first row, and after the last
HEADS = {"csv": None, "json": b"[", "jsonl": b"", "xlsx": b""}
TAILS = {"csv": b"", "json": b"\n]\n", "jsonl": b"", "xlsx": b""}
TYPES = {
    "csv": "text/csv; charset=utf-8",
    "json": "application/json",
    "jsonl": "application/x-ndjson",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}


def head(form: str, names: Sequence[str]) -> bytes:
    fixed = HEADS[form]
    return _csv([names]) if fixed is None else fixed


def tail(form: str) -> bytes:
    return TAILS[form]


def rows(form: str, names: Sequence[str], some: Iterable[Row], *, first: bool) -> bytes:
    """`first`: none was written before."""
    if form == "csv":
        return _csv(some)
    if form == "xlsx":
        return b"".join(_json(list(row)) + b"\n" for row in some)
    objects = [_json(dict(zip(names, row, strict=True))) for row in some]
    if form == "jsonl":
        return b"".join(one + b"\n" for one in objects)
    return b"".join((b"\n" if first and not number else b",\n") + one for number, one in enumerate(objects))


def harmless(value: Plain) -> str:
    """A cell of a CSV. Numbers are ours and may begin with a minus."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    text = str(value)
    return f"'{text}" if isinstance(value, str) and text.startswith(FORMULA) else text


def _csv(some: Iterable[Row]) -> bytes:
    """All in quotes: where programs separate by semicolons, one within a text would begin a cell of its own."""
    text = io.StringIO(newline="")
    csv.writer(text, quoting=csv.QUOTE_ALL).writerows([harmless(value) for value in row] for row in some)
    return text.getvalue().encode()


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
