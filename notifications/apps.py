"""The product as a Django app: registers its system checks and scopes, itself beside the pages of jobs (job_pages.py),
and what the ready-made jobs may work on (exported.py).
"""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy


class NotificationsConfig(AppConfig):
    name = "notifications"
    verbose_name = gettext_lazy("Reminders")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from jobs import neighbours
        from jobs.api.scopes import register as register_scopes
        from jobs.library import cleaners, sources, warm
        from notifications import checks, days, elsewhere, exported, forgetting, job_pages
        from notifications.api.scopes import SCOPES

        checks.register_all()
        elsewhere.register()
        neighbours.register(job_pages.NEIGHBOUR)
        register_scopes(SCOPES)
        sources.register(*exported.SOURCES)
        warm.register(days.DAY)
        cleaners.register(*forgetting.CLEANERS)
