"""What is deleted, or loses its names, so many days after it is over: only where somebody has said how many.

Read by `settings`. 0 days means to keep, and then beat has no such schedule: `jobs.schedules` takes away the one of an
earlier start. What may go, and what never does, `notifications.forgetting` says.
"""

from typing import Any

from config.environment import env

KEEP_DELIVERIES_DAYS = env.int("KEEP_DELIVERIES_DAYS", default=0)
KEEP_PERSONAL_DATA_DAYS = env.int("KEEP_PERSONAL_DATA_DAYS", default=0)


def daily(what: str, days: int) -> dict[str, Any]:
    """At most 100,000 rows a day, 500 a transaction: what is left after that is the next day's."""
    return {
        "task": "jobs.clean_up",
        "schedule": 86400.0,
        "kwargs": {"wanted": {"what": [what], "older_than": days * 86400}},
        "options": {"expire_seconds": 86400},
    }


_KINDS = {
    "notifications: delete old deliveries": ("old_deliveries", KEEP_DELIVERIES_DAYS),
    "notifications: forget who customers were": ("personal_data", KEEP_PERSONAL_DATA_DAYS),
}
RETENTION = {name: daily(what, days) for name, (what, days) in _KINDS.items() if days}
JOBS_NO_SCHEDULES = [name for name, (_what, days) in _KINDS.items() if not days]
