"""The smallest numbers that mean something, of the variables that are numbers; the shortest token. Part of `checks`.

Celery takes no processes for one a processor, and no limit of time for none: neither is what somebody meant.
"""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error

SHORTEST_TOKEN = 20  # letters

LEAST = {  # variable: (setting, number)
    "WORKER_CONCURRENCY": ("CELERY_WORKER_CONCURRENCY", 1),
    "TASK_TIME_LIMIT": ("CELERY_TASK_TIME_LIMIT", 2),  # of which nine tenths, rounded down, are the soft limit
    "LOGIN_ATTEMPTS": ("AXES_FAILURE_LIMIT", 1),
    "LOGIN_ATTEMPTS_OF_ADDRESS": ("LOGIN_ATTEMPTS_OF_ADDRESS", 1),
    "API_RATE_OF_KEY": ("API_RATE_OF_KEY", 0),
    "API_RATE_OF_ADDRESS": ("API_RATE_OF_ADDRESS", 0),
    "BREAKER_FAILURES": ("BREAKER_FAILURES", 1),
    "BREAKER_SECONDS": ("BREAKER_SECONDS", 1),
}


def check_least(app_configs: Any, **_: Any) -> list[CheckMessage]:
    found = [(name, getattr(settings, setting), least) for name, (setting, least) in LEAST.items()]
    return [
        Error(f"{name} is {value}.", hint=f"Set {name} to {least} or more.", id="punctual.E011")
        for name, value, least in found
        if value < least
    ]


def check_metrics_token(app_configs: Any, **_: Any) -> list[CheckMessage]:
    if not settings.METRICS_TOKEN or len(settings.METRICS_TOKEN) >= SHORTEST_TOKEN:
        return []
    hint = (
        f"Set METRICS_TOKEN to {SHORTEST_TOKEN} random characters or more, or to nothing: then there are no /metrics."
    )
    return [Error("METRICS_TOKEN is short enough to be guessed.", hint=hint, id="punctual.E012")]
