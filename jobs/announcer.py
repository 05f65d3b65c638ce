"""Tells Flower of the jobs that no worker speaks of: those that wait, and those that ended without one.

Called at the clock's ticks, after what is due has gone out: never where jobs are inserted, so that an enqueue knows no
broker, and twenty thousand rows cost it no event. Of a million waiting jobs some are told, the next of each queue and
the newest: Flower keeps a few thousand tasks, and what it does not show is in the admin.

A waiting job is shown as Celery shows one with an eta: received, with its time and a button to revoke it.
"""

import uuid
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from celery.worker import control
from django.conf import settings
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone

from jobs import ticks
from jobs.events import MASKED, events
from jobs.expressions import indexed
from jobs.models import Job

State = Job.State

LOOK_EVERY = 2.0  # seconds
MOST = 500  # jobs of a kind in one look: the next of each queue, the newest, the latest to end
LATELY, SOON = timedelta(minutes=1), timedelta(seconds=2)
TOLD = ("task", "options", "run_at", "useful_until", "created_at", "queue", "failures", "token", "reason", "state")


class Announcer:
    """Remembers one look, which is what Flower has been told; the next tells what is different."""

    def __init__(self) -> None:
        self._looked_at = -LOOK_EVERY
        self._waiting: dict[uuid.UUID, datetime] = {}
        self._ended: set[uuid.UUID] = set()

    def announce(self) -> None:
        """Look, at most every two seconds."""
        if not events.on or ticks.steady() - self._looked_at < LOOK_EVERY:
            return
        self._looked_at = ticks.steady()
        waiting = _waiting()
        ended = _ended(self._waiting.keys() - waiting.keys())
        new = [pk for pk, run_at in waiting.items() if self._waiting.get(pk) != run_at]
        rows = Job.objects.only(*TOLD)
        for job in rows.filter(state=State.SCHEDULED).in_bulk(new).values():
            _tell_waiting(job)
        for job in rows.in_bulk(ended - self._ended).values():
            _tell_ended(job)
        events.flush()
        self._waiting, self._ended = waiting, ended

    def forget(self) -> None:
        """Tell everything again: somebody has begun to listen."""
        self._waiting, self._ended = {}, set()


def _waiting() -> dict[uuid.UUID, datetime]:
    """When each of the next and of the newest jobs is due."""
    rows = Job.objects.filter(indexed(State.SCHEDULED))
    looks = [rows.filter(queue=queue).order_by("run_at") for queue in settings.JOBS_QUEUES]
    looks.append(rows.order_by("-id"))
    return {pk: run_at for look in looks for pk, run_at in look.values_list("pk", "run_at")[:MOST]}


def _ended(gone: Iterable[uuid.UUID]) -> set[uuid.UUID]:
    """The jobs that ended without a worker's word: those of `gone` that did, and the latest of all others."""
    silent = Q(state__in=[State.CANCELLED, State.EXPIRED]) | Q(state=State.FAILED, result__isnull=True)
    rows = Job.objects.filter(silent, finished_at__isnull=False).only("pk")
    states = [State.CANCELLED, State.EXPIRED, State.FAILED]  # said once more, for the index
    latest = rows.filter(state__in=states, finished_at__gt=Now() - LATELY).order_by("-finished_at")
    return {*rows.in_bulk(list(gone)), *latest.values_list("pk", flat=True)[:MOST]}


def _tell_waiting(job: Job) -> None:
    about = {"args": MASKED, "kwargs": MASKED, "retries": job.failures, "eta": job.run_at.isoformat()}
    about["expires"] = job.useful_until and job.useful_until.isoformat()
    if job.token or job.reason:
        # Only a retry lets Flower forget how the job ended before somebody let it run again. It must not come after
        # the end of the next attempt; one that is due may be running by now.
        if job.run_at > timezone.now() + SOON:
            events.tell("retried", job, exception=job.reason, traceback="", **about)
        return
    events.tell("sent", job, queue=job.queue, timestamp=job.created_at.timestamp())
    events.tell("received", job, **about)


def _tell_ended(job: Job) -> None:
    if job.state == State.FAILED:
        events.tell("failed", job, exception=job.reason, traceback="")
    else:
        expired = job.state == State.EXPIRED
        events.tell("revoked", job, terminated=False, signum=None, expired=expired)


announcer = Announcer()

_celerys_heartbeat: Any = control.heartbeat  # type: ignore[attr-defined]


@control.control_command(name="heartbeat")
def heartbeat(panel: Any) -> None:
    """What Flower asks of all workers when it begins to listen: it may have been away, or have lost its memory."""
    announcer.forget()
    _celerys_heartbeat(panel)
