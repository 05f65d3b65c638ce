"""The sample tasks, and calls and definitions that are refused."""

from typing import Any

import pytest
from celery import current_app

from jobs.durable import Durable
from jobs.models import Job
from tests.stack import option_probes, retry_probes

probes: Any = option_probes  # Celery's stubs have other types for the handles
retrying: Any = retry_probes
add, echo, look, total = probes.add, probes.echo, probes.look, probes.total


def refused(says: str, **options: Any) -> None:
    """Such a call is refused with these words, and leaves no row."""
    before = Job.objects.count()
    with pytest.raises((TypeError, ValueError), match=says):
        echo.apply_async((1,), **options)
    assert Job.objects.count() == before


def undefined(says: str, **attributes: Any) -> None:
    """Such a task cannot be defined; the message says why."""

    def undefined() -> None: ...

    with pytest.raises((TypeError, ValueError), match=says):
        current_app.task(base=Durable, name="option.undefined", shared=False, lazy=False, **attributes)(undefined)
    current_app.tasks.pop("option.undefined", None)
