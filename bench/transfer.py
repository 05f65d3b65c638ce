"""N jobs out into a file, into an empty ledger, and in again: seconds, rows a second, statements, memory.

`python -m bench.transfer [--rows 1000000]`, on a throw-away SQLite database, or on PostgreSQL where DATABASE_URL names
a server. A tenth of the rows first, then all of them, each step in a process of its own: memory is flat when the two
do not differ. The second import must change nothing, which is checked by the sum of an export before and after.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench.cost import cost, peak
from bench.database import throwaway

STEPS = ("export", "dry run", "import", "import again", "export again")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rows", type=int, default=1_000_000)
    options.add_argument("--once", metavar="STEP", choices=STEPS, help="within the database of another run of this")
    options.add_argument("--file", type=Path, help="of the step")
    chosen = options.parse_args()
    if chosen.once:
        print(json.dumps(step(chosen.once, chosen.file)))
        return
    with throwaway() as kind, tempfile.TemporaryDirectory() as directory:
        print(f"Jobs on {kind}, in chunks of a transaction each", flush=True)
        few, many = (moved(rows, Path(directory)) for rows in (chosen.rows // 10, chosen.rows))
        for name in STEPS:
            peaks = f"memory {many[name]['peak']:4.0f} MB, {few[name]['peak']:4.0f} MB for a tenth"
            print(f"{name:13} {peaks}, {many[name]['before']:.0f} MB before")


def moved(rows: int, directory: Path) -> dict[str, dict[str, Any]]:
    """All steps with so many jobs; the ledger is empty again afterwards."""
    file, found = directory / "jobs.jsonl", {}
    fill(rows)
    for name in STEPS:
        if name == "dry run":
            empty()
        target = directory / "again.jsonl" if name == "export again" else file
        found[name] = told = measured(name, target)
        per_row = f"{told['statements'] * 1000 / rows:6.1f} statements per 1,000 rows"
        speed = f"{told['seconds']:7.1f} s (own {told['own']:6.1f} s) {rows / told['seconds']:8,.0f} rows/s"
        print(f"{rows:9,} jobs, {name:13}{speed} {per_row}  {told['counts']}", flush=True)
    same = sums(file) == sums(directory / "again.jsonl")
    right = found["import"]["counts"] == {"added": rows} and found["import again"]["counts"] == {"there": rows}
    if not (same and right):
        sys.exit("Not what was expected: each job added once, as it was, and nothing changed the second time.")
    empty()
    return found


def fill(rows: int) -> None:
    """Jobs due over a month, each with arguments of its own; every tenth has a unique key."""
    from datetime import timedelta

    from django.utils import timezone

    from bench.tasks import moved as task
    from jobs import ledger

    first = timezone.now() + timedelta(days=1)
    for start in range(0, rows, 5_000):
        ledger.enqueue_many(
            [
                task.job(
                    kwargs={"invoice": n, "text": f"Ähre {n}"},
                    eta=first + timedelta(microseconds=n * 2_592_001),
                    unique_key=None if n % 10 else f"invoice-{n}",
                    tenant=f"venue-{n % 7}",
                )
                for n in range(start, min(start + 5_000, rows))
            ]
        )


def empty() -> None:
    from django.db import connection

    from jobs.models import Job, JobEvent, UniqueKey

    with connection.cursor() as cursor:
        for model in (JobEvent, UniqueKey, Job):
            if connection.vendor == "postgresql":
                cursor.execute(f"TRUNCATE {model._meta.db_table} CASCADE")
            else:
                cursor.execute(f"DELETE FROM {model._meta.db_table}")


def sums(file: Path) -> Any:
    """What the last line says of the jobs, and of all between the first line and the last a sum of its own."""
    import hashlib

    sum_of_rows, last = hashlib.sha256(), b""
    with file.open("rb") as lines:
        next(lines)
        for line in lines:
            sum_of_rows.update(last)
            last = line
    return sum_of_rows.hexdigest(), json.loads(last)["counts"]


def measured(name: str, file: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "bench.transfer", "--once", name, "--file", str(file)]
    answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    told: dict[str, Any] = json.loads(answer.stdout.splitlines()[-1])
    return told


def step(name: str, file: Path) -> dict[str, Any]:
    """What the command does: the figures of it in this process."""
    import django

    django.setup()

    import bench.tasks  # noqa: F401  (the import knows what is registered)

    before = peak()
    counts, spent = cost(
        lambda: _exported(file) if name.startswith("export") else _imported(file, dry=name == "dry run")
    )
    return {
        "seconds": spent.seconds,
        "own": spent.own,
        "statements": spent.statements,
        "counts": counts,
        "peak": peak(),
        "before": before,
    }


def _exported(file: Path) -> dict[str, int]:
    from jobs.listing import Selection
    from jobs.transfer import exporting

    return dict(exporting.to_path(Selection(), file)["counts"])


def _imported(file: Path, *, dry: bool) -> dict[str, int]:
    from jobs.transfer import importing
    from jobs.transfer.rows import Wanted
    from jobs.transfer.sources import Source

    with Source(file) as source:
        done = importing.look(source, Wanted())
        if not dry:
            done = importing.bring_in(source, Wanted(), by="bench", reason="measured")
    return {name: number for name, number in done.counts.items() if number}


if __name__ == "__main__":
    main()
