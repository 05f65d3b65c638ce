"""How PostgreSQL stores the table of jobs. SQLite has no such settings and needs none.

A job is one row that is updated four or five times in its short life, so the table makes dead rows as fast as it does
work, and a backlog of dead rows is what slows queues in PostgreSQL down.

- Vacuum after 1000 dead rows and 1 % of the table, not 20 %: in a table of a million finished jobs the usual setting
  waits for 200 000 dead rows, which every search for due jobs has to step over. The cost limit lets it finish early.
- Fill pages to 70 %: heartbeats, progress and cancel requests change no indexed column, so with room on the page
  PostgreSQL updates in place (HOT) and writes to none of the indexes. Transitions change `state`, which is indexed.
"""

from django.db import migrations

ON = """ALTER TABLE jobs_job SET (
    fillfactor = 70,
    autovacuum_vacuum_threshold = 1000,
    autovacuum_vacuum_scale_factor = 0.01,
    autovacuum_vacuum_cost_limit = 2000,
    autovacuum_analyze_scale_factor = 0.02
)"""
OFF = """ALTER TABLE jobs_job RESET (
    fillfactor,
    autovacuum_vacuum_threshold,
    autovacuum_vacuum_scale_factor,
    autovacuum_vacuum_cost_limit,
    autovacuum_analyze_scale_factor
)"""


def on_postgresql(statement):
    def run(apps, schema_editor):
        if schema_editor.connection.vendor == "postgresql":
            schema_editor.execute(statement)

    return run


class Migration(migrations.Migration):

    dependencies = [
        ("jobs", "0001_initial"),
    ]

    operations = [
        migrations.RunPython(on_postgresql(ON), on_postgresql(OFF), elidable=False),
    ]
