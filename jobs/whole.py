"""A group or a chord of jobs is stored as a whole: all of its jobs and what waits for them, or none.

Celery calls the jobs one by one. Here that is one transaction (a savepoint within the caller's), so a process that is
killed in the middle leaves no jobs without the body that was to follow.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

from celery.canvas import chord, group
from django.db import transaction

from jobs import canvas


def register() -> None:
    """Have Celery's own classes do so: code says `group(...)`, and signatures are read back as these."""
    classes: tuple[Any, ...] = (group, chord)
    for one in classes:
        if not hasattr(one.apply_async, "__wrapped__"):
            one.apply_async = _whole(one.apply_async)


def _whole(apply: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(apply)
    def apply_async(self: Any, *args: Any, **options: Any) -> Any:
        if self.app.conf.task_always_eager or not canvas.is_durable(self):
            return apply(self, *args, **options)
        with transaction.atomic():
            return apply(self, *args, **options)

    return apply_async
