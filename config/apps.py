"""The project as a Django app: registers its own system checks (config/checks.py)."""

from django.apps import AppConfig


class ProjectConfig(AppConfig):
    name = "config"
    verbose_name = "Punctual"

    def ready(self) -> None:
        from config import checks

        checks.register_all()
