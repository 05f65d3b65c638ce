"""The application's settings for real workers that also know the slow sample tasks."""

from config.settings import *  # noqa: F403

CELERY_IMPORTS = [*CELERY_IMPORTS, "tests.faults.slow"]  # noqa: F405
