"""Thousands of rows at once: the same call with other arguments, inserted with one statement or a few.

Used by `Durable.enqueue_many`. The rows differ in id and arguments only, so everything else is prepared once.
PostgreSQL takes them by COPY, at some ten times the speed of INSERT; SQLite by one prepared INSERT.
"""

import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.utils import timezone

from jobs.ids import new_id
from jobs.models import Job

Arguments = tuple[list[Any], dict[str, Any]]


def database_now() -> datetime:
    """The moment by the clock that decides what is due. SQLite's is this machine's."""
    if connection.vendor == "sqlite":
        return timezone.now()
    with connection.cursor() as cursor:
        cursor.execute("SELECT statement_timestamp()")
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
