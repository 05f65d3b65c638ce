"""Exports for tests: customers, and what is in the file."""

import csv
import io
import json
from typing import Any

import openpyxl

from jobs.files import Export
from jobs.library import storage
from jobs.models import Job
from notifications.models import Customer

FORMATS = ("csv", "json", "jsonl", "xlsx")


def customers(names: list[str], **fields: Any) -> None:
    rows = (Customer(name=name, email=f"c{n}@example.com", **fields) for n, name in enumerate(names))
    Customer.objects.bulk_create(rows)


def content(export: Export) -> bytes:
    export.refresh_from_db()
    assert export.file is not None, Job.objects.get(pk=export.pk).reason
    with storage.read(export.file) as opened:
        return bytes(opened.read())


def rows_of(form: str, written: bytes) -> list[list[Any]]:
    """As an independent reader has them, without the heading."""
    if form == "csv":
        return list(csv.reader(io.StringIO(written.decode(), newline="")))[1:]
    if form == "json":
        return [list(one.values()) for one in json.loads(written)]
    if form == "jsonl":
        return [list(json.loads(line).values()) for line in written.splitlines()]
    sheet = openpyxl.load_workbook(io.BytesIO(written)).worksheets[0]
    return [list(row) for row in sheet.iter_rows(min_row=2, values_only=True)]
