"""The table of Django's cache, where the cache is in the database: what one process gets ready, all of them find."""

from django.core.management import call_command
from django.db import migrations


def make(apps, schema_editor):
    call_command("createcachetable", database=schema_editor.connection.alias, verbosity=0)


class Migration(migrations.Migration):

    dependencies = [
        ("jobs", "0002_storage"),
    ]

    operations = [
        migrations.RunPython(make, migrations.RunPython.noop, elidable=False),
    ]
