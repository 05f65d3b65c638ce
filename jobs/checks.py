"""System checks of the ledger's own settings, so that a slip of the pen stops a start and not a night's work.

Registered by the application; run by `manage.py check` and before web, worker and beat serve anything.
"""

from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error


def check_retention(app_configs: Any, **_: Any) -> list[CheckMessage]:
    """A negative number of days would put the border into the future and delete everything that is finished."""
    hint = "Set {} to 0 or more."
    return [
        Error(f"{name} is negative: {value}.", hint=hint.format(name), id="jobs.E001")
        for name, value in _kept()
        if value < 0
    ]


def check_processes(app_configs: Any, **_: Any) -> list[CheckMessage]:
    """A pool without processes would take messages and keep them."""
    if settings.JOBS_MAX_PROCESSES >= 1:
        return []
    problem = f"JOBS_MAX_PROCESSES is {settings.JOBS_MAX_PROCESSES}: no worker could have a process."
    return [Error(problem, hint="Set JOBS_MAX_PROCESSES to 1 or more, such as 32.", id="jobs.E002")]


def check_lateness(app_configs: Any, **_: Any) -> list[CheckMessage]:
    """No number of processes does everything in no time."""
    if settings.LATENESS_GOAL >= 1:
        return []
    problem = f"LATENESS_GOAL is {settings.LATENESS_GOAL}: nothing could be on time."
    return [Error(problem, hint="Set LATENESS_GOAL to 1 or more seconds, such as 60.", id="jobs.E003")]


def _kept() -> Iterator[tuple[str, int]]:
    """(variable, its value) of all that says how long something is kept."""
    for state, days in settings.JOBS_KEEP_DAYS.items():
        yield f"JOBS_KEEP_{state.upper()}_DAYS", days
    for state, count in settings.JOBS_KEEP_COUNT.items():
        yield f"JOBS_KEEP_{state.upper()}_COUNT", count
    yield "JOBS_KEEP_KEYS_DAYS", settings.JOBS_KEEP_KEYS_DAYS
    yield "JOBS_KEEP_FILES_DAYS", settings.JOBS_KEEP_FILES_DAYS
    yield "JOBS_LINK_SECONDS", settings.JOBS_LINK_SECONDS
