"""Unique keys are of a tenant.

The table of keys that outlived their jobs is made anew: PostgreSQL takes no second primary key beside the first. Whose
the keys in it were was never written down, so they become the empty tenant's, as those of code outside of tenants are.
"""

from django.db import migrations, models
from django.utils import timezone

STATES = ["scheduled", "queued", "running", "succeeded", "failed", "cancelled", "expired"]
COPY = """INSERT INTO jobs_uniquekey (key, tenant, job, state, pruned_at)
SELECT key, '', job, state, pruned_at FROM jobs_olduniquekey"""
BACK = """INSERT INTO jobs_olduniquekey (key, job, state, pruned_at)
SELECT key, job, state, pruned_at FROM jobs_uniquekey WHERE tenant = ''"""


class Migration(migrations.Migration):

    dependencies = [
        ("jobs", "0003_cache"),
    ]

    operations = [
        migrations.RemoveConstraint(model_name="job", name="job_unique_key"),
        migrations.AddConstraint(
            model_name="job",
            constraint=models.UniqueConstraint(
                condition=models.Q(("unique_key__isnull", False)),
                fields=("unique_key", "tenant"),
                name="job_unique_key",
            ),
        ),
        migrations.RemoveIndex(model_name="uniquekey", name="key_pruned"),
        migrations.RenameModel(old_name="UniqueKey", new_name="OldUniqueKey"),
        migrations.CreateModel(
            name="UniqueKey",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("key", models.CharField(max_length=255, verbose_name="key")),
                ("tenant", models.CharField(blank=True, max_length=100, verbose_name="tenant")),
                ("job", models.UUIDField(help_text="the id of the deleted job", verbose_name="job")),
                (
                    "state",
                    models.CharField(
                        choices=[(state, state) for state in STATES],
                        help_text="how it ended",
                        max_length=10,
                        verbose_name="state",
                    ),
                ),
                ("pruned_at", models.DateTimeField(default=timezone.now, verbose_name="pruned at")),
            ],
            options={
                "verbose_name": "unique key",
                "verbose_name_plural": "unique keys",
                "indexes": [models.Index(fields=["pruned_at"], name="key_pruned")],
                "constraints": [models.UniqueConstraint(fields=("key", "tenant"), name="key_once")],
            },
        ),
        migrations.RunSQL(COPY, BACK, elidable=False),
        migrations.DeleteModel(name="OldUniqueKey"),
    ]
