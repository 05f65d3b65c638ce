"""The rows of the queues: which have work, and the lock that a row is.

Used by the dispatcher, `windows` and `pauses`. Every queue that this installation serves has a row, added when it is
first missed: who decides what is sent from a queue holds its row while he does.
"""

from datetime import datetime

from celery import current_app
from django.db import connection
from django.db.models import OuterRef, Q, Subquery
from django.db.models.functions import Now

from jobs.expressions import indexed
from jobs.models import Job, Queue

# The queues that have scheduled jobs, served or not: one look into the index for each, however many jobs.
NAMES = """names(queue) AS (
    SELECT MIN(queue) FROM jobs_job WHERE state = 'scheduled'
    UNION ALL
    SELECT (SELECT MIN(queue) FROM jobs_job WHERE state = 'scheduled' AND queue > names.queue)
    FROM names WHERE queue IS NOT NULL
)"""

LONGEST_SILENCE = "10s"  # after that PostgreSQL takes the row away from a dispatcher that was stopped in the middle


def due(now: datetime | None = None) -> list[str]:
    """The queues that have due jobs, whether they may go or not. One query, however many queues there are."""
    waiting = Job.objects.filter(indexed(Job.State.SCHEDULED), queue=OuterRef("name")).order_by("run_at")
    rows = Queue.objects.annotate(  # the first of each, not EXISTS: for that PostgreSQL may read the whole table
        next_at=Subquery(waiting.values("run_at")[:1]), due=Q(next_at__lte=now or Now())
    ).values_list("name", "due")
    found = dict(rows)
    if _add_missing(set(found)):
        found = dict(rows.all())
    served = current_app.amqp.queues
    return sorted(name for name, has_due in found.items() if has_due and name in served)


def locked(name: str) -> tuple[Queue, datetime] | None:
    """The queue's row, held until the transaction ends, and the database's time. None: another dispatcher holds it."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL idle_in_transaction_session_timeout = '{LONGEST_SILENCE}'")
    rows = Queue.objects.select_for_update(skip_locked=True).filter(pk=name)
    row = rows.annotate(read_at=Now()).first()
    return (row, row.read_at) if row else None


def lock_all() -> None:
    """Hold all rows until the transaction ends; waits for the dispatchers at work."""
    names = Queue.objects.select_for_update().order_by("name").values_list("name", flat=True)
    if _add_missing(set(names)):
        list(names.all())


def waiting() -> list[str]:
    """The queues that have scheduled jobs, served or not. One look into the index for each, however many jobs."""
    with connection.cursor() as cursor:
        cursor.execute(f"WITH RECURSIVE {NAMES} SELECT queue FROM names WHERE queue IS NOT NULL")  # noqa: S608
        return [name for (name,) in cursor.fetchall()]


def _add_missing(known: set[str]) -> bool:
    missing = set(current_app.amqp.queues) - known
    Queue.objects.bulk_create([Queue(name=name) for name in missing], ignore_conflicts=True)
    return bool(missing)
