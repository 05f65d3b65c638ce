"""The application's settings for a real worker that also knows the tests' sample tasks."""

from config.settings import *  # noqa: F403

CELERY_IMPORTS = [*CELERY_IMPORTS, "config.demo.errors", "tests.stack.option_probes", "tests.stack.flower_probes"]  # noqa: F405
