"""What happened to a job, in the order of time: who asked for what, each attempt and how it ended, what it waits for.

Used by the page of a job. An attempt that simply succeeded, or still runs, has no row of its own: the job tells of it.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils.translation import gettext as _

from jobs import neighbours
from jobs.admin import wishes
from jobs.models import Attempt, Job

S = Job.State
LOOKS = {
    S.SUCCEEDED: "success",
    S.FAILED: "danger",
    S.RUNNING: "info",
    S.CANCELLED: "warning",
    S.EXPIRED: "warning",
    Attempt.Outcome.ERRORED: "danger",
    Attempt.Outcome.LOST: "danger",
}


@dataclass(frozen=True)
class Entry:
    at: datetime | None
    title: str
    text: str = ""
    label: str = ""
    look: str = ""
    who: str = ""
    took: timedelta | None = None
    detail: str = ""  # a traceback, folded


def of(job: Job) -> list[Entry]:
    """Two queries, however much happened."""
    attempts = list(job.attempts.all())
    found = [Entry(job.created_at, _("Made"))]
    found += [
        Entry(
            event.at,
            _("%(who)s asked: %(what)s") % {"who": event.by, "what": wishes.verb(event.verb)},
            event.reason,
            f"{wishes.state(event.before)} → {wishes.outcome(event.outcome)}",
        )
        for event in job.events.all()
    ]
    found += [_attempt(attempt) for attempt in attempts]
    if job.started_at and job.token and all(attempt.number != job.token for attempt in attempts):
        found.append(_present(job))
    last = attempts[-1].number if attempts else 0
    if job.finished_at and job.state != S.SUCCEEDED and not (job.state == S.FAILED and last == job.token and last):
        found.append(
            Entry(job.finished_at, _("Over"), neighbours.shown(job.reason), job.get_state_display(), _look(job))
        )
    if job.state in (S.SCHEDULED, S.QUEUED):
        found.append(Entry(job.run_at, _("Due"), neighbours.shown(job.reason), job.get_state_display()))
    start = job.created_at
    return sorted(found, key=lambda entry: entry.at or start)


def _attempt(attempt: Attempt) -> Entry:
    return Entry(
        attempt.started_at,
        _("Attempt %d") % attempt.number,
        neighbours.shown(attempt.error),
        attempt.get_outcome_display(),
        LOOKS.get(Attempt.Outcome(attempt.outcome), ""),
        attempt.worker,
        attempt.duration,
        neighbours.shown(attempt.traceback),
    )


def _present(job: Job) -> Entry:
    ended = job.finished_at - job.started_at if job.finished_at and job.started_at else None
    return Entry(
        job.started_at,
        _("Attempt %d") % job.token,
        label=job.get_state_display(),
        look=_look(job),
        who=job.worker,
        took=ended,
    )


def _look(job: Job) -> str:
    return LOOKS.get(S(job.state), "")


def lateness(job: Job, now: datetime) -> timedelta | None:
    """How long after its time it began, or how long it has waited since. None: it is not due, or never began."""
    if job.state in (S.SCHEDULED, S.QUEUED):
        return now - job.run_at if now > job.run_at else None
    return max(job.started_at - job.run_at, timedelta()) if job.started_at else None
