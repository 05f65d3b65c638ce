"""How PostgreSQL stores the table of deliveries: see jobs/migrations/0004_storage.py.

A delivery is updated twice (intent, outcome) and moved now and then; its pages keep room for that.
"""

from django.db import migrations

ON = """ALTER TABLE notifications_delivery SET (
    fillfactor = 70,
    autovacuum_vacuum_threshold = 1000,
    autovacuum_vacuum_scale_factor = 0.01,
    autovacuum_vacuum_cost_limit = 2000,
    autovacuum_analyze_scale_factor = 0.02
)"""
OFF = """ALTER TABLE notifications_delivery RESET (
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
        ('notifications', '0002_default_rules'),
    ]

    operations = [
        migrations.RunPython(on_postgresql(ON), on_postgresql(OFF), elidable=False),
    ]
