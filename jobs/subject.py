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
_about: ContextVar[tuple["Job", str] | None] = ContextVar("jobs_subject", default=None)


@contextmanager
def of(job: "Job", worker: str) -> Iterator[None]:
    """Lines in this block are about this job. Nothing is read of it before a line asks: most jobs write one or none."""
    before = _about.set((job, worker))
    try:
        yield
    finally:
        _about.reset(before)


def known() -> bool:
    """Whether this thread works on a job."""
    return _about.get() is not None


def fields() -> Fields | None:
    """Of the job of this thread. None: there is none. No tenant and no arguments: they may tell who a customer is."""
    about = _about.get()
    if about is None:
        return None
    job, worker = about
    said: Fields = {"job": str(job.pk), "task": job.name, "queue": job.queue, "attempt": job.token, "worker": worker}
    if job.correlation_id:
        said["correlation_id"] = job.correlation_id
    return said
