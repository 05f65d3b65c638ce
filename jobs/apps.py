"""The ledger as a Django app: registers its system checks, and its own rows among what can be exported."""

from django.apps import AppConfig
from django.core.checks import register
from django.utils.translation import gettext_lazy

from jobs.checks import check_lateness, check_processes, check_retention


class JobsConfig(AppConfig):
    name = "jobs"
    verbose_name = gettext_lazy("Jobs")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from jobs import whole
        from jobs.library import cleaners, elsewhere, sources

        whole.register()

        sources.register(sources.JOBS)
        cleaners.register(*cleaners.OURS)
        elsewhere.register()
        register(check_retention, "jobs")
        register(check_processes, "jobs")
        register(check_lateness, "jobs")
