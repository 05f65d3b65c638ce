"""The project as a Django app: registers its own system checks (config/checks.py). And the admin's, which leaves its
pages to the processes that show them: they and their theme are a third of what a worker would take to start.
"""

from typing import Any

from django.apps import AppConfig
from django.contrib import admin
from django.contrib.admin.apps import SimpleAdminConfig
from django.contrib.admin.checks import check_admin_app, check_dependencies
from django.core import checks


class AdminConfig(SimpleAdminConfig):
    """Pages are found by config/urls.py, and by what checks them. The theme's site is made when it is asked for."""

    default_site = "unfold.sites.UnfoldAdminSite"

    def ready(self) -> None:
        checks.register(check_dependencies, checks.Tags.admin)
        checks.register(check_pages, checks.Tags.admin)


def check_pages(app_configs: Any, **kwargs: Any) -> list[checks.CheckMessage]:
    admin.autodiscover()
    found: list[checks.CheckMessage] = check_admin_app(app_configs, **kwargs)
    return found


class ProjectConfig(AppConfig):
    name = "config"
    verbose_name = "Punctual"
    default = True

    def ready(self) -> None:
        from config.checks import register_all

        register_all()
