"""Files for the tests of imports: rows that are right, and what becomes of a file made of them."""

import csv
import io
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from notifications.imports import import_bookings, import_payments, read_bookings, read_payments
from notifications.imports.files import Source
from notifications.imports.outcomes import Outcome

BOOKING = {
    "external_id": "B-1",
    "customer_id": "C-1",
    "customer_name": "Jürgen Müller",
    "customer_email": "juergen@example.com",
    "customer_phone": "+49 30 23125-123",
    "service": "Haarschnitt",
    "starts_at": "2030-05-06T10:00",
    "duration_minutes": "45",
    "time_zone": "Europe/Berlin",
    "status": "booked",
}
PAYMENT = {
    "external_id": "P-1",
    "customer_id": "C-1",
    "customer_name": "Jürgen Müller",
    "customer_email": "juergen@example.com",
    "subject": "Haarschnitt",
    "amount": "45.50",
    "currency": "EUR",
    "due_on": "2030-05-06",
    "time_zone": "Europe/Berlin",
}


def text_of(rows: list[dict[str, str]]) -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def a_file(content: str | bytes, name: str = "rows.csv") -> Path:
    path = Path(tempfile.mkdtemp(), name)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def whole(outcomes: Iterator[Outcome]) -> Outcome:
    total = Outcome()
    for outcome in outcomes:
        total.add(outcome)
        total.bad += outcome.bad
        total.changes += outcome.changes
    return total


def import_rows(*rows: dict[str, str], zone: str | None = None, **options: Any) -> Outcome:
    """Import rows that are like BOOKING or PAYMENT, or a text as it is."""
    with Source(a_file(text_of(list(rows)))) as source:
        if "amount" in rows[0]:
            return whole(import_payments(read_payments(source, zone=zone), **options))
        return whole(import_bookings(read_bookings(source, zone=zone), **options))


def many(number: int, prefix: str = "B", **changes: str) -> list[dict[str, str]]:
    ids = [f"{prefix}-{n}" for n in range(number)]
    return [
        {**BOOKING, "external_id": one, "customer_id": one, "customer_email": f"{one}@example.com", **changes}
        for one in ids
    ]
