"""Rows of applications that go in with a job, or not at all: the words of a message, what an export is about.

Used by `ledger.enqueue_many` and `bulk.insert_missing` within their transaction. The promise: a row is there exactly
when the job is that has its id, so that a second call under the same unique key leaves nothing behind.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from jobs import subject
from jobs.models import Job


def keep(jobs: Sequence[Job]) -> None:
    """After the jobs were inserted. One query, and one statement for each table; none without such rows.

    Those with a unique key may be another's job: who asked for them finds out, and says so.
    """
    subject.makes([job.pk for job in jobs if job.unique_key is None])
    with_rows = {job.pk: job.beside for job in jobs if job.beside}
    if not with_rows:
        return
    by_table: dict[Any, list[Any]] = defaultdict(list)
    stored = Job.objects.filter(pk__among=list(with_rows)).only("run_at", "useful_until", "tenant")
    for job in stored:  # as the database has them: it may have counted "in an hour" itself
        for row in with_rows[job.pk](job):
            by_table[type(row)].append(row)
    for table, rows in by_table.items():
        table._default_manager.bulk_create(rows, ignore_conflicts=True)
