"""An XLSX file of rows that are in a file already, a line of JSON each; in constant memory.

Used by `exports`. The promise: the same rows make the same bytes, and a text is a text: never a formula, a link or a
number. Where a sheet is full, another follows.
"""

import json
import tempfile
from collections.abc import Callable, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any

from jobs.library.sources import Column

ROWS = 1_048_575  # of a sheet, beside its heading
LONGEST = 32_767  # characters of a cell; of more the rest is left out, and it says so
CUT = " [...]"
EVERY = 5_000  # rows between two looks around
OPTIONS = {
    "constant_memory": True,
    "strings_to_formulas": False,
    "strings_to_urls": False,
    "strings_to_numbers": False,
}


def write(
    lines: Path, target: Path, columns: Sequence[Column], created: datetime, look_around: Callable[[int], None]
) -> None:
    """`look_around` is called with the number of rows now and then, and may raise."""
    import xlsxwriter  # 40 ms, for one of four formats

    with tempfile.TemporaryDirectory(dir=target.parent) as folder, lines.open(encoding="utf-8") as source:
        book = xlsxwriter.Workbook(str(target), {**OPTIONS, "tmpdir": folder})
        try:
            book.use_zip64()
            book.set_properties({"created": created.replace(tzinfo=None, microsecond=0)})
            sheets = Sheets(book, columns)
            for number, line in enumerate(source):
                if number % EVERY == 0:
                    look_around(number)
                sheets.add(json.loads(line))
            book.close()
        finally:
            for sheet in book.worksheets():  # its own close would write all of a sheet that nobody wants any more
                sheet.row_data_fh.close()


class Sheets:
    def __init__(self, book: Any, columns: Sequence[Column]) -> None:
        self._book, self._columns = book, columns
        self._bold = book.add_format({"bold": True})
        self._formats = {
            "date": book.add_format({"num_format": "yyyy-mm-dd"}),
            "moment": book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"}),
        }
        self._begin()

    def _begin(self) -> None:
        self._sheet, self._row = self._book.add_worksheet(), 0
        self._sheet.freeze_panes(1, 0)
        for place, column in enumerate(self._columns):
            name = f"{column.name} (UTC)" if column.kind == "moment" else column.name
            self._sheet.set_column(place, place, 20)
            self._sheet.write_string(0, place, name, self._bold)

    def add(self, values: Sequence[Any]) -> None:
        if self._row >= ROWS:
            self._begin()
        self._row += 1
        for place, (column, value) in enumerate(zip(self._columns, values, strict=True)):
            if value is not None:
                self._cell(place, column.kind, value)

    def _cell(self, place: int, kind: str, value: Any) -> None:
        if isinstance(value, bool):
            self._sheet.write_boolean(self._row, place, value)
        elif isinstance(value, int) and abs(value) < 2**53:  # a larger one would lose its last digits
            self._sheet.write_number(self._row, place, value)
        elif kind in self._formats and value[:4] < "1900":  # no spreadsheet has a calendar before
            self._sheet.write_string(self._row, place, value)
        elif kind == "moment":
            moment = datetime.fromisoformat(value).replace(tzinfo=None)
            self._sheet.write_datetime(self._row, place, moment, self._formats[kind])
        elif kind == "date":
            self._sheet.write_datetime(self._row, place, date.fromisoformat(value), self._formats[kind])
        else:
            text = str(value)
            cut = text if len(text) <= LONGEST else text[: LONGEST - len(CUT)] + CUT
            self._sheet.write_string(self._row, place, cut)
