"""/health: whether this process lives and is ready, and how workers and queues are doing. For probes and monitors.

Without a key, so booleans and counts only: no names, no versions, no reasons. The promise: each is a few statements by
an index, and says what is so: 503 where something is wrong.
"""

import os
import time
from collections.abc import Callable
from datetime import timedelta
from functools import cache, wraps
from typing import Any

from django.conf import settings
from django.db import Error, connection
from django.db.migrations.loader import MigrationLoader
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe

from config.logins import client_address
from jobs import bulk, crews, memory, pauses, stats, ticks
from jobs.api import methods, problems, throttle
from jobs.expressions import indexed
from jobs.models import Job, QueueWorker

STARTED = time.monotonic()
View = Callable[[HttpRequest], HttpResponse]


def counted(view: View) -> View:
    """For those that ask the database for more than that it answers: nobody asks them without an end."""

    @wraps(view)
    def limited(request: HttpRequest) -> HttpResponse:
        try:
            throttle.check("health", client_address(request), settings.API_RATE_OF_ADDRESS)
            return view(request)
        except problems.Problem as problem:
            return problems.answer(problem)
        except Error:
            return JsonResponse({"healthy": False, "database": False}, status=503)

    return limited


@never_cache
@require_safe
def live(_request: HttpRequest) -> HttpResponse:
    """This process answers. Nothing is asked of the database, whose failure no restart of this process would mend."""
    return JsonResponse({"live": True, "uptime_seconds": _uptime(), "memory_bytes": memory.resident([os.getpid()])})


@never_cache
@require_safe
def ready(_request: HttpRequest) -> HttpResponse:
    """The database answers, and its tables are those of this code. The broker may be away: requests do not need it."""
    answers, fits = _database()
    return JsonResponse({"ready": fits, "database": answers, "schema": fits}, status=200 if fits else 503)


@never_cache
@require_safe
@counted
def workers(_request: HttpRequest) -> HttpResponse:
    """Healthy: a worker is here, and somebody ticks. Six statements."""
    pulse, rows = stats.pulse(), QueueWorker.objects.filter(crews.PRESENT)
    told: dict[str, tuple[int, Any, int | None]] = {}
    for name, processes, started, held in rows.values_list("worker", "processes", "started_at", "memory"):
        told[name] = (processes, started, held)
    now = bulk.database_now()
    starts = [started for _, started, _ in told.values() if started]
    held_bytes = [held for _, _, held in told.values() if held is not None]
    healthy = bool(told) and not pulse.clock_late and pulse.held_since is None
    answer = {
        "healthy": healthy,
        "workers": len(told),
        "processes": sum(processes for processes, _, _ in told.values()),
        "running": _few(Job.State.RUNNING),
        "scheduled": _few(Job.State.SCHEDULED),
        "failed": _few(Job.State.FAILED),
        "uptime_seconds": round((now - min(starts)).total_seconds(), 1) if starts else None,
        "memory_bytes": sum(held_bytes) if held_bytes else None,
        "beat": {"alive": not pulse.beat_late, "age_seconds": _seconds(pulse.beat)},
        "clock": {"alive": not pulse.clock_late, "age_seconds": _seconds(pulse.clock), "held": bool(pulse.held_since)},
    }
    return JsonResponse(answer, status=200 if healthy else 503)


@never_cache
@require_safe
@counted
def queues(_request: HttpRequest) -> HttpResponse:
    """Healthy: nothing that may go has waited for longer than LATENESS_GOAL. Six statements."""
    now = bulk.database_now()
    stopped = pauses.active(now)
    due = stats.due(now)
    going = [one.oldest for name, one in due.items() if one.oldest and name not in stopped.queues]
    oldest = max(((now - one).total_seconds() for one in going), default=0.0)
    patience = settings.LATENESS_GOAL + ticks.STALE.total_seconds()
    healthy = oldest <= patience
    answer = {
        "healthy": healthy,
        "queues": len(settings.JOBS_QUEUES),
        "paused": len(stopped.queues),
        "scheduled": _few(Job.State.SCHEDULED),
        "overdue": sum(one.number for one in due.values()),
        "oldest_due_seconds": round(oldest, 1),
        "active": _few(Job.State.RUNNING),
        "queued": _few(Job.State.QUEUED),
        "failed": _few(Job.State.FAILED),
    }
    return JsonResponse(answer, status=200 if healthy else 503)


def _few(state: Job.State) -> int:
    """How many, `stats.MOST` + 1 at most."""
    number: int = Job.objects.filter(indexed(state)).order_by()[: stats.MOST + 1].count()
    return number


def _seconds(age: timedelta | None) -> float | None:
    return None if age is None else round(age.total_seconds(), 1)


def _uptime() -> float:
    return round(time.monotonic() - STARTED, 1)


def _database() -> tuple[bool, bool]:
    """Whether it answers, and whether each migration of this code is applied. Two statements."""
    answers = False
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
            answers = True
            cursor.execute("SELECT app, name FROM django_migrations")
            applied = set(cursor.fetchall())
    except Error:  # it is away, or has no tables yet
        connection.close()  # the next look begins anew
        return answers, False
    return True, newest() <= applied


@cache
def newest() -> frozenset[tuple[str, str]]:
    """The last migration of each application of this code: read from the disk once."""
    return frozenset(MigrationLoader(None).graph.leaf_nodes())


# Other methods are problems as in the API, and no page about cookies: they change nothing here.
urlpatterns = [
    path(view.__name__, csrf_exempt(methods.answered(view)), name=f"health_{view.__name__}")
    for view in (live, ready, workers, queues)
]
