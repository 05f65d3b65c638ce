"""How long an import of bookings takes, with how many statements and how much memory.

`python -m bench.imports [--rows 10000]`, on a throw-away SQLite database, or on PostgreSQL where DATABASE_URL names
one. Imports a tenth of the rows first, then all, then all again: statements per row must not grow with the rows, and
the second time nothing may change.
"""

import csv
import sys
import tempfile
import tracemalloc
from argparse import ArgumentParser
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from bench.cost import cost, peak
from bench.database import throwaway

COLUMNS = (
    "external_id",
    "customer_id",
    "customer_name",
    "customer_email",
    "customer_phone",
    "customer_locale",
    "customer_time_zone",
    "service",
    "location",
    "starts_at",
    "duration_minutes",
    "time_zone",
    "status",
)
ZONES = ("Europe/Berlin", "Europe/London", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe")


def bookings(rows: int, prefix: str) -> Iterator[list[Any]]:
    """Bookings far enough ahead for all of their reminders; each customer has two."""
    first = datetime.now(UTC).replace(tzinfo=None, hour=12, minute=0, second=0, microsecond=0) + timedelta(days=60)
    for number in range(rows):
        customer, zone = number // 2, ZONES[number % len(ZONES)]
        starts_at = (first + timedelta(minutes=15 * (number % 24), days=number % 200)).isoformat(timespec="minutes")
        yield [
            *(f"{prefix}{number}", f"{prefix}C{customer}", f"Jürgen Müller {customer}"),
            *(f"{prefix}{customer}@example.com".lower(), "+493023125123", "de_DE", zone),
            *("Haarschnitt", "Schönhauser Allee 12, Berlin", starts_at, 45, zone, "booked"),
        ]


def write(path: Path, rows: int, prefix: str) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows(bookings(rows, prefix))


def read(path: Path) -> int:
    """Peak memory in bytes of reading and checking all rows, without writing any."""
    from notifications.imports import read_bookings
    from notifications.imports.files import Source

    tracemalloc.start()
    with Source(path) as source:
        rows = read_bookings(source)
        next(rows)  # the zone database, the e-mail patterns: loaded once, whatever the file
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        for _ in rows:
            pass
    peak = tracemalloc.get_traced_memory()[1] - before
    tracemalloc.stop()
    return peak


def run(path: Path, label: str, rows: int) -> Any:
    """Import and print the figures. Returns the outcome."""
    from notifications.imports import import_bookings, read_bookings
    from notifications.imports.files import Source
    from notifications.imports.outcomes import Outcome

    def imported() -> Outcome:
        total = Outcome()
        with Source(path) as source:
            for outcome in import_bookings(read_bookings(source)):
                total.add(outcome)
        return total

    memory = peak()
    total, spent = cost(imported)
    kinds = ", ".join(f"{number:,} {kind}" for kind, number in total.rows.items())
    planned = total.deliveries["planned", ""]
    print(
        f"{label:<28}{spent.seconds:7.2f} s {rows / spent.seconds:8,.0f} rows/s {spent.statements:7,} statements "
        f"({spent.statements * 1000 / rows:5.1f} per 1,000 rows)  memory +{peak() - memory:3.0f} MB  "
        f"{kinds}; {planned:,} reminders planned"
    )
    return total


def main() -> None:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000)
    rows: int = parser.parse_args().rows
    with throwaway() as database, tempfile.TemporaryDirectory() as directory:
        print(f"Importing bookings into {database}, 500 rows a transaction")
        few, many = Path(directory, "few.csv"), Path(directory, "many.csv")
        write(few, rows // 10, "F")
        write(many, rows, "M")
        run(few, f"{rows // 10:,} rows", rows // 10)
        first = run(many, f"{rows:,} rows", rows)
        again = run(many, f"{rows:,} rows, again", rows)
        print(f"Reading alone, peak memory: {read(few) / 1e3:,.0f} kB for {rows // 10:,} rows, ", end="")
        print(f"{read(many) / 1e3:,.0f} kB for {rows:,} rows")
        if first.deliveries != {("planned", ""): 3 * rows} or again.deliveries or again.rows != {"unchanged": rows}:
            sys.exit("Not what was expected: three reminders a booking, and nothing to change the second time.")


if __name__ == "__main__":
    main()
