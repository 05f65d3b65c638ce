"""The durable tasks that this process has code for."""

from typing import TYPE_CHECKING

from celery import current_app

if TYPE_CHECKING:
    from jobs.durable import Durable


def named(task: str) -> "Durable":
    """The durable task of that name. Raises LookupError with the names there are."""
    found = current_app.tasks.get(task)
    if not getattr(found, "is_durable", False):
        raise LookupError(f"{task!r} is not a durable task. Known: {', '.join(names())}")
    return found  # type: ignore[return-value]


def names() -> list[str]:
    """Their names. The dispatcher leaves the jobs of others alone."""
    return sorted(name for name, task in current_app.tasks.items() if getattr(task, "is_durable", False))
