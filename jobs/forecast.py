"""What a schedule will do: its next runs, and the times of day that a change of the clocks will spoil for it.

Used by the admin. The promise: the runs are the ones that beat will make, by the same arithmetic.
"""

from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo

from celery import current_app
from django.conf import settings
from django_celery_beat.models import PeriodicTask

from jobs.clock_changes import Change, struck
from jobs.durable import Durable
from jobs.occurrences import Cron, Every, Rule
from jobs.schedules import rule_of

YEAR = timedelta(days=365)


def zone_of(task: PeriodicTask) -> ZoneInfo:
    """The zone whose clocks the schedule goes by; an interval goes by none, and is shown in the site's."""
    return ZoneInfo(str(task.crontab.timezone if task.crontab else settings.TIME_ZONE))


def next_runs(task: PeriodicTask, now: datetime, count: int = 5) -> list[datetime]:
    """In UTC. Raises ValueError where they cannot be told: the sun has no fixed moments, nor has no schedule."""
    rule = _rule(task)
    after = max(now, task.start_time - timedelta(microseconds=1)) if task.start_time else now
    runs: list[datetime] = []
    while (moment := rule.following(after)) and len(runs) < (1 if task.one_off else count):
        if task.expires and moment > task.expires:
            break
        runs.append(moment)
        after = moment
    return runs


def spoilt(task: PeriodicTask, now: datetime) -> list[tuple[datetime, Change]]:
    """Wall times of the next twelve months at which it is to run, but which do not exist or exist twice."""
    if not task.crontab:
        return []
    rule = rule_of(task.schedule, task.start_time)
    return list(islice(struck(rule, now, now + YEAR), 10)) if isinstance(rule, Cron) else []


def _rule(task: Any) -> Rule:
    if not (task.crontab or task.interval or task.clocked):
        raise ValueError(f"{task.name} has no fixed moments")
    rule = rule_of(task.schedule, task.start_time)
    if isinstance(rule, Every) and not isinstance(current_app.tasks.get(task.task), Durable):
        return Every(rule.every, task.last_run_at or datetime.now(UTC))  # as Celery counts: from the last run
    return rule
