"""Brings back what a lost worker, message or terminal held, and ends what came too late.

Called by the clock every few seconds; any number may run at once. A job is taken from a worker only if the row still
shows the token and the lease that were seen here, so a worker that was merely slow keeps its job.
"""

import logging
import time
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.db import Error
from django.db.models import QuerySet
from django.db.models.functions import Now

from jobs import bulk_orders, groups, ledger, registry, ticks
from jobs.expressions import HELD, in_state
from jobs.models import Job

logger = logging.getLogger(__name__)

PATIENCE_WITH_UNKNOWN_TASKS = timedelta(hours=1)  # a rolling deploy is over by then
LIMIT = 500
LONGEST = 2.0  # seconds of a pass that go into what came too late


@dataclass(frozen=True)
class Rescued:
    """What one pass did, in jobs."""

    released: int = 0  # their message was lost
    restarted: int = 0  # their worker was lost
    failed: int = 0  # their worker was lost once too often
    stopped: int = 0  # their worker was lost after a cancel was asked for
    expired: int = 0  # too late to be useful
    rejected: int = 0  # no code for them
    settled: int = 0  # groups whose end nobody had noticed
    orders: int = 0  # whoever gave them did not end them


def lost(now: ledger.Moment) -> QuerySet[Job]:
    """Running jobs whose lease is over, as this pass sees them."""
    return Job.objects.filter(HELD, in_state(Job.State.RUNNING), lease_until__lt=now).order_by("lease_until")[:LIMIT]


def _rescue(seen: Job, now: ledger.Moment | None) -> Job | None:
    """One row that cannot be rescued must not keep the others waiting."""
    try:
        return ledger.rescue(seen, now=now)
    except Error:
        logger.exception("cannot rescue job=%s", seen.pk)
        return None


def _expired(now: ledger.Moment | None) -> int:
    """A chunk after the other: after an outage there may be a hundred thousand."""
    total, deadline = 0, time.monotonic() + LONGEST
    while time.monotonic() < deadline:
        total += (done := len(ledger.expire(now=now, limit=LIMIT)))
        if done < LIMIT:
            break
    return total


def rescue_lost(now: ledger.Moment | None = None) -> Rescued:
    """One pass. None while the clock is not believed: by a clock that was set ahead, every lease is over."""
    if ticks.look().held_since:
        return Rescued()
    at = now or Now()
    states = [rescued.state for seen in lost(at) if (rescued := _rescue(seen, now))]
    overdue = Job.objects.filter(lease_until__lt=at).order_by("lease_until")
    done = Rescued(
        released=ledger.release(overdue),
        restarted=states.count(Job.State.SCHEDULED),
        failed=states.count(Job.State.FAILED),
        stopped=states.count(Job.State.CANCELLED),
        expired=_expired(now),
        rejected=len(ledger.reject(registry.names(), settings.JOBS_QUEUES, PATIENCE_WITH_UNKNOWN_TASKS, now=now)),
        settled=groups.sweep(LIMIT),
        orders=bulk_orders.take_over(now),
    )
    if done != Rescued():
        logger.warning("rescued %s", " ".join(f"{name}={count}" for name, count in vars(done).items() if count))
    return done
