"""Kept answers are encrypted; those that are there in plain text go. A request of before that is sent again is refused."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ("jobs", "0004_keys_of_tenants"),
    ]

    operations = [
        migrations.RemoveField(model_name="idempotentrequest", name="body"),
        migrations.AddField(
            model_name="idempotentrequest",
            name="sealed",
            field=models.TextField(
                blank=True,
                default="",
                help_text="the body, encrypted by the caller's secret; empty: forgotten",
            ),
            preserve_default=False,
        ),
        migrations.AlterField(
            model_name="idempotentrequest",
            name="fingerprint",
            field=models.CharField(
                help_text="of method, path, query and body, with the caller's secret", max_length=64
            ),
        ),
    ]
