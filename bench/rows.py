"""A great many rows at once, made by the database itself: for measurements and for tests of query plans."""

from typing import Any

from django.db import connection
from django.db.models import Model

from jobs.models import Job

# The words of each database for the same thing; {i} counts the rows from 1.
WORDS = {
    "postgresql": {"id": "gen_random_uuid()", "seconds_from_now": "now() + ({}) * interval '1 second'"},
    "sqlite": {
        "id": "lower(hex(randomblob(16)))",
        "seconds_from_now": "strftime('%%Y-%%m-%%d %%H:%%M:%%f', 'now', ({}) || ' seconds')",
    },
}


def copies(template: Model, number: int = 0, *, seconds: str = "0", source: str = "", **columns: str) -> None:
    """Insert `number` rows like `template` (which is not inserted), or one for each row of `source`, a table.

    `columns` are SQL, in which i counts the rows from 1. Jobs are due `seconds` from now, SQL as well.
    """
    words = WORDS[connection.vendor]
    given = columns
    if isinstance(template, Job):
        given = {"id": words["id"], "run_at": words["seconds_from_now"].format(seconds), **columns}
    fields: list[Any] = list(template._meta.concrete_fields)
    values = [field.get_db_prep_save(getattr(template, field.attname), connection) for field in fields]
    selected = ", ".join(given.get(field.attname, "%s") for field in fields)
    parameters = [value for field, value in zip(fields, values, strict=True) if field.attname not in given]
    names = ", ".join(f'"{field.column}"' for field in fields)
    counted = f"WITH RECURSIVE rows(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM rows WHERE i < {number})"
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {template._meta.db_table} ({names}) "
            f"{'' if source else counted} SELECT {selected} FROM {source or 'rows'}",
            parameters,
        )


def analyze(*tables: str) -> None:
    """What autovacuum does in time: tell the planner what is in the tables, that of jobs if none is named."""
    with connection.cursor() as cursor:
        for table in tables or ("jobs_job",):
            cursor.execute(f"ANALYZE {table}")
