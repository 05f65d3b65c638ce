"""The command behind `import_bookings` and `import_payments`: reads a file, tells what became of it.

Exit codes: 0 all rows are in, 1 some rows are bad and the others are in, 2 nothing could be read, 130 interrupted.
"""

import csv
import json
from abc import ABC, abstractmethod
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Generic, TextIO

from django.core.management.base import CommandError
from django.db import DatabaseError

from jobs.management.operator import OperatorCommand
from notifications.imports import cells
from notifications.imports.files import OUR_COLUMNS, Source, UnusableFile
from notifications.imports.outcomes import KINDS, Outcome
from notifications.imports.rows import AnyRow, BadRow, Columns
from notifications.management.reporting import as_data, deliveries, progress_bar, table
from notifications.models import Customer

ALWAYS = ("created", "changed", "cancelled", "unchanged", "bad")  # shown even when there were none
REMARKS = {
    "moved": "to another time; reminders of the old one are withdrawn",
    "left": "cancelled or over here, whatever the file says; see --reopen",
}
SHOWN = 20  # changes and errors on the screen; all of them with --verbosity 2 and --errors


class ImportCommand(OperatorCommand, ABC, Generic[AnyRow]):
    columns: Columns

    @abstractmethod
    def read(self, source: Source, *, zone: str | None) -> Iterator[AnyRow | BadRow]: ...

    @abstractmethod
    def write(
        self, rows: Iterator[AnyRow | BadRow], *, dry_run: bool, reopen: bool, tenant: str
    ) -> Iterator[Outcome]: ...

    @abstractmethod
    def shift(self, rows: Callable[[], Iterator[AnyRow | BadRow]], options: dict[str, Any]) -> Any:
        """By how much all rows are to be shifted; None: not at all. `rows` reads the file another time."""

    @abstractmethod
    def shifted(self, rows: Iterator[AnyRow | BadRow], by: Any) -> Iterator[AnyRow | BadRow]: ...

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, help=f"CSV columns: {', '.join(self.columns.known)}")
        parser.add_argument("--dry-run", action="store_true", help="show what would change, change nothing")
        parser.add_argument("--tenant", type=tenant, default="", help="whose rows they are, if there are tenants")
        parser.add_argument("--time-zone", metavar="ZONE", help="where the file names none, e.g. Europe/Berlin")
        parser.add_argument("--errors", type=Path, metavar="FILE", help="write bad rows to FILE, to correct and import")
        parser.add_argument("--json", action="store_true", help="a JSON object instead of a list")
        parser.add_argument(
            "--reopen", action="store_true", help="bring back what is cancelled here, if the file says so"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        total = Outcome()
        try:
            self._import(total, _zone(options["time_zone"]), options)
        except UnusableFile as exc:
            raise CommandError(str(exc), returncode=2) from exc
        except DatabaseError as exc:
            self._summary(total, options)
            raise CommandError(f"The database failed; what is listed above is in: {exc}", returncode=2) from exc
        except KeyboardInterrupt as exc:
            self._summary(total, options)
            raise CommandError(
                "Interrupted. What is listed above is in; run it again to go on.", returncode=130
            ) from exc
        self._summary(total, options)
        if bad := total.rows["bad"]:
            others = "would go in" if options["dry_run"] else "are in"
            raise CommandError(f"{bad:,} bad {'row' if bad == 1 else 'rows'}; the others {others}.", returncode=1)

    def _import(self, total: Outcome, zone: str | None, options: dict[str, Any]) -> None:
        def again() -> Iterator[AnyRow | BadRow]:
            with Source(options["file"]) as source:
                yield from self.read(source, zone=zone)

        by = self.shift(again, options)
        with Source(options["file"]) as source, _errors_file(options["errors"], source) as errors:
            rows = self.read(source, zone=zone)
            rows = rows if by is None else self.shifted(rows, by)
            with progress_bar(source.size) as bar:
                for outcome in self.write(rows, **{name: options[name] for name in ("dry_run", "reopen", "tenant")}):
                    errors(outcome.bad)
                    self._keep_some(total, outcome, options)
                    total.add(outcome)
                    bar.at(source.position, total.rows.total())
            for warning in source.warnings:
                self.stderr.write(self.style.WARNING(f"Warning: {warning}"))

    def _keep_some(self, total: Outcome, outcome: Outcome, options: dict[str, Any]) -> None:
        """What is shown at the end. A large file with nothing but errors must not fill the memory."""
        most = None if options["verbosity"] > 1 else SHOWN
        total.bad = (total.bad + outcome.bad)[:most]
        if options["dry_run"] or options["verbosity"] > 1:
            total.changes = (total.changes + outcome.changes)[:most]

    def _summary(self, total: Outcome, options: dict[str, Any]) -> None:
        if options["json"]:
            self._data(total, options)
            return
        lines = [str(change) for change in total.changes]
        if lines and (more := sum(total.rows[kind] for kind in KINDS if kind != "unchanged") - len(lines)) > 0:
            lines.append(f"... and {more:,} more; --verbosity 2 shows them all")
        head = "Dry run, nothing was changed. It would be:" if options["dry_run"] else f"{options['file'].name}:"
        kinds: list[str] = [kind for kind in (*KINDS, "bad") if kind in ALWAYS or total.rows[kind]]
        lines += [head, *table((kind, total.rows[kind], REMARKS.get(kind, "")) for kind in kinds)]
        lines += ["Customers:", *table((kind, total.customers[kind], "") for kind in ("created", "changed"))]
        lines += ["Reminders:", *(deliveries(total.deliveries) or ["  nothing to change"])]
        self.stdout.write("\n".join(lines))
        for row in total.bad:
            for error in row.errors:
                self.stderr.write(str(error))
        if (more := total.rows["bad"] - len(total.bad)) > 0:
            self.stderr.write(f"... and {more:,} more bad rows; --errors FILE writes them all to a file")

    def _data(self, total: Outcome, options: dict[str, Any]) -> None:
        bad = [{"line": row.line, "errors": [str(error) for error in row.errors]} for row in total.bad]
        counts = {kind: total.rows[kind] for kind in (*KINDS, "bad")}
        told = {"file": str(options["file"]), "dry_run": options["dry_run"], "rows": counts}
        told |= {"customers": dict(total.customers), "reminders": as_data(total.deliveries), "bad": bad}
        self.stdout.write(json.dumps(told))


def tenant(text: str) -> str:
    """A name as the tables take it. Raises ArgumentTypeError."""
    longest = Customer._meta.get_field("tenant").max_length or 0
    if len(text) > longest or not text.isprintable() or text != text.strip():
        raise ArgumentTypeError(f"a tenant has a name of at most {longest} characters, without spaces around it")
    return text


def _zone(name: str | None) -> str | None:
    try:
        return cells.zone(name) if name else None
    except ValueError as exc:
        raise UnusableFile(f"--time-zone: {exc}") from None


@contextmanager
def _errors_file(path: Path | None, source: Source) -> Iterator[Callable[[list[BadRow]], None]]:
    """Writes bad rows with the columns of `source`, so that they can be corrected and imported."""
    if path is None:
        yield lambda rows: None
        return
    if path.exists() and path.samefile(source.path):
        raise UnusableFile(f"--errors {path} is the file to import, which it would overwrite.")
    try:
        file = path.open("w", newline="", encoding="utf-8")
    except OSError as exc:
        raise UnusableFile(f"--errors {path} cannot be written: {exc.strerror}.") from exc
    with file:
        yield lambda rows: _write_errors(file, source, rows)


def _write_errors(file: TextIO, source: Source, rows: list[BadRow]) -> None:
    writer = csv.writer(file)
    if rows and file.tell() == 0:
        writer.writerow([*source.columns, *OUR_COLUMNS])
    for row in rows:
        told = "; ".join(f"{error.field}: {error.reason}" if error.field else error.reason for error in row.errors)
        writer.writerow([*(row.cells.get(name, "") for name in source.columns), row.line, told])
