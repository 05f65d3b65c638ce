"""A great many jobs at once, made by the database itself: for measurements and for tests of query plans."""

from typing import Any

from django.db import connection

from jobs.models import Job

# The words of each database for the same thing; {i} counts the rows from 1.
WORDS = {
    "postgresql": {"id": "gen_random_uuid()", "seconds_from_now": "now() + {} * interval '1 second'"},
    "sqlite": {
        "id": "lower(hex(randomblob(16)))",
        "seconds_from_now": "strftime('%%Y-%%m-%%d %%H:%%M:%%f', 'now', '+' || ({}) || ' seconds')",
    },
}


def copies(template: Job, number: int, *, seconds: str = "0", **columns: str) -> None:
    """Insert `number` jobs like `template` (which is not inserted), due `seconds` from now: SQL, where i is the row.

    `columns` are SQL as well.
    """
    words = WORDS[connection.vendor]
    given = {"id": words["id"], "run_at": words["seconds_from_now"].format(seconds), **columns}
    fields: list[Any] = list(Job._meta.concrete_fields)
    values = [field.get_db_prep_save(getattr(template, field.attname), connection) for field in fields]
    selected = ", ".join(given.get(field.attname, "%s") for field in fields)
    parameters = [value for field, value in zip(fields, values, strict=True) if field.attname not in given]
    names = ", ".join(f'"{field.column}"' for field in fields)
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO jobs_job ({names}) "
            f"WITH RECURSIVE rows(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM rows WHERE i < {number}) "
            f"SELECT {selected} FROM rows",
            parameters,
        )


def analyze() -> None:
    """What autovacuum does in time: tell the planner what is in the table."""
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE jobs_job")
