"""The ledger as a Django app: registers its system checks."""

from django.apps import AppConfig
from django.core.checks import register

from jobs.checks import check_processes, check_retention


class JobsConfig(AppConfig):
    name = "jobs"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        register(check_retention, "jobs")
        register(check_processes, "jobs")
