"""Thousands of rows at once: the same call with other arguments, inserted with one statement or a few.

Used by `Durable.enqueue_many`. The rows differ in id and arguments only, so everything else is prepared once.
PostgreSQL takes them by COPY, at some ten times the speed of INSERT; SQLite by one prepared INSERT. Rows of an import
each differ, and some are there already: `insert_missing` is one statement that says which were not.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.db.models.functions import Now
from django.utils import timezone

from jobs import beside, keys, subject
from jobs.ids import new_id
from jobs.models import Job

Arguments = tuple[list[Any], dict[str, Any]]


def database_now() -> datetime:
    """The moment by the clock that decides what is due. SQLite's is this machine's."""
    if connection.vendor == "sqlite":
        return timezone.now()
    # As in every other statement, so that tests can freeze it. It looks at no compiler.
    shown, values = Now().as_postgresql(None, connection)  # type: ignore[arg-type]
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {shown}", values)
        now: datetime = cursor.fetchone()[0]
    return now


def insert(template: Job, calls: Iterable[Arguments]) -> list[UUID]:
    """Insert one job for each of `calls` (JSON values), all otherwise like `template`. Returns their ids, in order."""
    fields = Job._meta.concrete_fields
    columns = ", ".join(f'"{field.column}"' for field in fields)
    common = [field.get_db_prep_save(getattr(template, field.attname), connection) for field in fields]
    places = [next(n for n, field in enumerate(fields) if field.attname == name) for name in ("id", "args", "kwargs")]
    ids: list[UUID] = []
    rows = _rows(common, places, calls, ids)
    with transaction.atomic(), connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            with cursor.copy(f"COPY {Job._meta.db_table} ({columns}) FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row)
        else:
            marks = ", ".join(["%s"] * len(fields))
            cursor.executemany(f"INSERT INTO {Job._meta.db_table} ({columns}) VALUES ({marks})", list(rows))  # noqa: S608
        subject.makes(ids)
    return ids


def _rows(common: list[Any], places: list[int], calls: Iterable[Arguments], ids: list[UUID]) -> Iterator[list[Any]]:
    id_at, args_at, kwargs_at = places
    native = connection.features.has_native_uuid_field
    for args, kwargs in calls:
        row, pk = common.copy(), new_id()
        row[id_at] = pk if native else pk.hex
        row[args_at], row[kwargs_at] = json.dumps(args), json.dumps(kwargs)
        ids.append(pk)
        yield row


def insert_missing(jobs: Sequence[Job]) -> set[UUID]:
    """Insert those whose id and key no job has, and had; values only, no expressions. Returns exactly those inserted.

    By their keys in order: two who insert the same ones at a time wait for each other, and never in a circle.
    """
    fields = Job._meta.concrete_fields
    columns = ", ".join(f'"{field.column}"' for field in fields)
    table = Job._meta.db_table
    rows = sorted(jobs, key=lambda job: (job.unique_key or "", job.tenant, job.pk))
    if not rows:
        return set()
    if connection.vendor == "postgresql":
        source = f"SELECT {columns} FROM json_populate_recordset(NULL::{table}, %s::json)"  # noqa: S608
        values = [{field.column: getattr(job, field.attname) for field in fields} for job in rows]
        parameters: list[Any] = [json.dumps(values, default=str)]
    else:
        source = "VALUES " + ", ".join([f"({', '.join(['%s'] * len(fields))})"] * len(rows))
        parameters = [
            field.get_db_prep_save(getattr(job, field.attname), connection) for job in rows for field in fields
        ]
    with transaction.atomic(savepoint=False), connection.cursor() as cursor:
        cursor.execute(f"INSERT INTO {table} ({columns}) {source} ON CONFLICT DO NOTHING RETURNING id", parameters)
        returned = {UUID(str(pk)) for (pk,) in cursor.fetchall()}
        inserted = [job for job in rows if job.pk in returned]
        taken = keys.spent(name for job in inserted for name in keys.names(job)).keys()
        over_again = {job.pk for job in inserted if not taken.isdisjoint(keys.names(job))}
        if over_again:
            Job.objects.filter(pk__in=over_again).delete()
        made = [job for job in inserted if job.pk not in over_again]
        beside.keep(made)
    return {job.pk for job in made}
