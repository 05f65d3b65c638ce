"""The product as a Django app: registers its own system checks (notifications/checks.py)."""

from django.apps import AppConfig


class NotificationsConfig(AppConfig):
    name = "notifications"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from notifications import checks

        checks.register_all()
