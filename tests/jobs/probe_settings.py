"""The settings of the tests, for commands that run as processes and know the sample tasks."""

from tests.settings import *  # noqa: F403

CELERY_IMPORTS = [*CELERY_IMPORTS, "tests.probes"]  # noqa: F405
