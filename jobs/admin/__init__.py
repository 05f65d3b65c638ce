"""The operator's screens: jobs, orders, queues, workers, schedules, pauses, limits, scopes, keys, the clock; files and
exports.
"""

from jobs.admin import (
    api_keys,
    clock,
    exports,
    files,
    jobs,
    limits,
    orders,
    pauses,
    queues,
    results,
    schedules,
    scopes,
    workers,
)

__all__ = [
    "api_keys",
    "clock",
    "exports",
    "files",
    "jobs",
    "limits",
    "orders",
    "pauses",
    "queues",
    "results",
    "schedules",
    "scopes",
    "workers",
]
