"""The application's settings for a real worker that also knows the tests' sample tasks."""

from config.settings import *  # noqa: F403

_PROBES = [f"tests.stack.{name}_probes" for name in ("option", "retry", "flower")]
CELERY_IMPORTS = [*CELERY_IMPORTS, "config.demo.errors", *_PROBES]  # noqa: F405
