"""What the lines of a log are about: the job that this thread works on, or the request, and the jobs that it makes.

The executor says so around each job, `config.request_ids` around each request; `config.lines` adds it to every line
that is written meanwhile, whoever writes it. It knows no models: it is imported before there are any.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING
from uuid import UUID

from django.db import transaction

if TYPE_CHECKING:
    from jobs.models import Job

FIRST = 10  # jobs of a request that are named; the others are counted
Fields = dict[str, str | int]


@dataclass
class Request:
    """One that this process answers, and its jobs so far: made, or found under their unique key; committed."""

    id: str
    first: list[UUID] = field(default_factory=list)
    jobs: int = 0

    def add(self, some: Sequence[UUID], number: int) -> None:
        self.first += some[: FIRST - len(self.first)]
        self.jobs += number


_about: ContextVar[tuple["Job", str] | None] = ContextVar("jobs_subject", default=None)
_request: ContextVar[Request | None] = ContextVar("jobs_request", default=None)


@contextmanager
def of(job: "Job", worker: str) -> Iterator[None]:
    """Lines in this block are about this job. Nothing is read of it before a line asks: most jobs write one or none."""
    before = _about.set((job, worker))
    try:
        yield
    finally:
        _about.reset(before)


@contextmanager
def of_request(name: str) -> Iterator[Request]:
    """Lines in this block are about this request, unless they are about a job; and the jobs made in it are its own."""
    request = Request(name)
    before = _request.set(request)
    try:
        yield request
    finally:
        _request.reset(before)


def makes(ids: Sequence[UUID]) -> None:
    """These jobs were inserted, and are the request's once that is committed. Outside of requests it costs nothing."""
    request = _request.get()
    if request is not None and ids:
        transaction.on_commit(partial(request.add, ids[:FIRST], len(ids)))


def known() -> bool:
    """Whether this thread works on a job."""
    return _about.get() is not None


def fields() -> Fields | None:
    """Of the job or request of this thread. None: there is none. No tenant and no arguments: they may tell who a
    customer is.
    """
    about, request = _about.get(), _request.get()
    if about is None:
        return {"request": request.id} if request else None
    job, worker = about
    said: Fields = {"job": str(job.pk), "task": job.name, "queue": job.queue, "attempt": job.token, "worker": worker}
    if job.correlation_id:
        said["correlation_id"] = job.correlation_id
    return said
