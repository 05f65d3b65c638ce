"""An export of N rows in each format: seconds, and the most memory of the process that writes it.

`python -m bench.exports [--rows 1000000]`, on a throw-away SQLite database, or on PostgreSQL where DATABASE_URL names a
server. Each export runs in a process of its own: a tenth of the rows first, then all of them. Memory is flat when the
two do not differ; what the process had before it began is told beside them.
"""

import argparse
import json
import subprocess
import sys
import time
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

from bench.cost import peak
from bench.database import throwaway

FORMATS = ("csv", "json", "jsonl", "xlsx")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rows", type=int, default=1_000_000)
    options.add_argument("--once", metavar="FORMAT", help="within the database of another run of this: one export")
    chosen = options.parse_args()
    if chosen.once:
        print(json.dumps(written(chosen.once, chosen.rows)))
        return
    with throwaway() as kind:
        began = time.monotonic()
        fill(chosen.rows)
        print(f"{chosen.rows:,} customers on {kind}, made in {time.monotonic() - began:.0f} s", flush=True)
        for form in FORMATS:
            few, many = (measured(form, rows) for rows in (chosen.rows // 10, chosen.rows))
            print(
                f"{form:6}{many['seconds']:8.1f} s{many['size'] / 1e6:8.1f} MB written;"
                f" memory {many['peak']:.0f} MB, {few['peak']:.0f} MB for a tenth, {many['before']:.0f} MB before",
                flush=True,
            )


def fill(many: int) -> None:
    from notifications.models import Customer

    for first in range(0, many, 10_000):
        Customer.objects.bulk_create(
            Customer(name=f"Ähre {n}", email=f"c{n}@example.com", phone=f"+49151{n:08}", locale="de")
            for n in range(first, min(first + 10_000, many))
        )


def measured(form: str, rows: int) -> dict[str, float]:
    command = [sys.executable, "-m", "bench.exports", "--once", form, "--rows", str(rows)]
    answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(answer.stdout.splitlines()[-1])


def written(form: str, rows: int) -> dict[str, float]:
    """What a worker does for the job, of the first so many rows."""
    import django

    django.setup()
    from django.utils import timezone

    from jobs.files import Export
    from jobs.library import exports, people, sources
    from jobs.library.sources import Filter
    from jobs.models import Job
    from jobs.running import Running
    from notifications.exported import CUSTOMERS
    from notifications.models import Customer

    first = Customer.objects.order_by("pk").values_list("pk", flat=True)[0]
    sources.register(replace(CUSTOMERS, filters={"below": Filter("pk__lt", int)}))
    wanted = exports.Wanted(source="customers", format=Export.Format(form), filters={"below": first + rows})
    export = exports.ask(wanted, people.Person("bench", lambda permission: True))
    later = timezone.now() + timedelta(hours=2)
    Job.objects.filter(pk=export.pk).update(state="running", token=1, lease_until=later)
    task: Any = SimpleNamespace(running=Running(Job.objects.get(pk=export.pk)))
    before, began = peak(), time.perf_counter()
    exports._Writer(task, export).write()
    took = time.perf_counter() - began
    export.refresh_from_db()
    assert export.file is not None and export.rows == rows, export.rows
    return {"seconds": took, "size": export.file.size, "peak": peak(), "before": before}


if __name__ == "__main__":
    main()
