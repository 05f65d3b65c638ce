"""The scopes that a key can have, and the permission of the admin that each one is.

Beside those of the ledger the product registers its own (notifications/api/scopes.py). Apart from `callers`, so that a
process without web does not import the API for it.
"""

SCOPES: dict[str, str] = {
    "jobs:read": "jobs.view_job",
    "jobs:reveal": "jobs.reveal_job",
    "jobs:enqueue": "jobs.add_job",
    "jobs:cancel": "jobs.cancel_job",
    "jobs:retry": "jobs.retry_job",
    "jobs:postpone": "jobs.postpone_job",
    "jobs:reprioritise": "jobs.reprioritise_job",
    "jobs:clean": "jobs.delete_job",
    "exports:make": "jobs.add_export",
    "queues:read": "jobs.view_queue",
    "queues:pause": "jobs.pause_queue",
    "queues:change": "jobs.change_queue",
    "queues:scale": "jobs.scale_queue",
    "limits:read": "jobs.view_keylimit",
    "limits:write": "jobs.change_keylimit",
    "schedules:read": "django_celery_beat.view_periodictask",
    "schedules:write": "django_celery_beat.change_periodictask",
}


def register(more: dict[str, str]) -> None:
    """Scopes of a product, called from its AppConfig."""
    SCOPES.update(more)
