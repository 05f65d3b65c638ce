"""What the lines of a log are about: the job that this thread works on.

The executor says so around each job; `config.lines` adds it to every line that is written meanwhile, whoever writes it.
It knows no models: it is imported before there are any.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jobs.models import Job

Fields = dict[str, str | int]
_fields: ContextVar[Fields | None] = ContextVar("jobs_subject", default=None)


@contextmanager
def of(job: "Job", worker: str) -> Iterator[None]:
    """Lines in this block are about this job. No tenant and no arguments: they may tell who a customer is."""
    said: Fields = {"job": str(job.pk), "task": job.name, "queue": job.queue, "attempt": job.token, "worker": worker}
    if job.correlation_id:
        said["correlation_id"] = job.correlation_id
    before = _fields.set(said)
    try:
        yield
    finally:
        _fields.reset(before)


def fields() -> Fields | None:
    """Of the job of this thread. None: there is none."""
    return _fields.get()
