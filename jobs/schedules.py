"""Beat for durable tasks: an occurrence of a schedule is one job, however many beats run and whenever they notice it.

Celery's beat runs it (CELERY_BEAT_SCHEDULER). Schedules stay django-celery-beat's PeriodicTask; for those of durable
tasks the occurrence's moment becomes the job's run_at and part of its unique key. What was missed while no beat ran
is made up for as the schedule's `SchedulePolicy` says. Other tasks are fired as django-celery-beat does it.
"""

import logging
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from celery import schedules
from celery.beat import SchedulingError
from django.conf import settings
from django.db import Error, transaction
from django.db.models import QuerySet
from django_celery_beat.clockedschedule import clocked
from django_celery_beat.models import PeriodicTask
from django_celery_beat.schedulers import DatabaseScheduler, ModelEntry
from django_celery_beat.utils import NEVER_CHECK_TIMEOUT

from jobs.durable import Durable
from jobs.models import SchedulePolicy
from jobs.occurrences import EPOCH, Cron, Every, Once, Rule, due

logger = logging.getLogger(__name__)

RETRY_AFTER = 1.0  # seconds; the database did not take a job


def rule_of(schedule: Any, start: datetime | None) -> Rule:
    """A schedule of Celery's as occurrences. Raises ValueError for one that has no fixed moments."""
    fields: Any = schedule  # the stubs lack most of them
    if isinstance(schedule, schedules.crontab):
        return Cron(
            minutes=frozenset(fields.minute),
            hours=frozenset(fields.hour),
            weekdays=frozenset(fields.day_of_week),
            days=frozenset(fields.day_of_month),
            months=frozenset(fields.month_of_year),
            zone=ZoneInfo(str(getattr(fields, "tz", UTC))),
        )
    if isinstance(schedule, clocked):
        return Once(fields.clocked_time.astimezone(UTC))
    if isinstance(schedule, schedules.schedule) and fields.run_every > timedelta():
        return Every(fields.run_every, start or EPOCH)
    raise ValueError(f"{schedule!r} has no fixed moments; a durable task needs a crontab, an interval or a clock time")


class Slots(schedules.BaseSchedule):
    """A rule in the shape that Celery's beat asks: is it due, and when to ask again."""

    def __init__(self, rule: Rule, start: datetime | None) -> None:
        super().__init__(nowfun=lambda: datetime.now(UTC))
        self.rule, self.start = rule, start

    def since(self, looked_at: datetime) -> datetime:
        """From when on occurrences count: nothing before the start (which django-celery-beat sets 30 years back)."""
        return max(looked_at, self.start - timedelta(microseconds=1)) if self.start else looked_at

    def is_due(self, last_run_at: datetime) -> Any:
        now = self.now()
        following = self.rule.following(now)
        wait = (following - now).total_seconds() if following else NEVER_CHECK_TIMEOUT
        return schedules.schedstate(next(self.rule.back(now, self.since(last_run_at)), None) is not None, wait)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Slots) and (self.rule, self.start) == (other.rule, other.start)

    __hash__ = None  # type: ignore[assignment]  # as Celery's own


class Slotted(ModelEntry):  # type: ignore[misc]  # untyped
    """A PeriodicTask in beat's memory. Of a durable task: with the look before this one, until its jobs are stored."""

    def __init__(self, model: Any, app: Any = None) -> None:
        super().__init__(model, app=app)
        self.looked: tuple[datetime, int] = (model.last_run_at, model.total_run_count)
        self.durable = isinstance(self.app.tasks.get(self.task), Durable)
        if self.durable:
            self.schedule: Any = Slots(self._rule(), model.start_time)

    def _rule(self) -> Rule:
        try:
            return rule_of(self.schedule, self.model.start_time)
        except ValueError as exc:  # beat leaves it out, without a word
            logger.error("schedule=%s never runs: %s", self.name, exc)
            raise

    @property
    def last_run_at(self) -> datetime:
        """One truth for all entries of a row, so that `take_back` reaches the one in beat's heap."""
        at: datetime = self.model.last_run_at
        return at

    @last_run_at.setter
    def last_run_at(self, value: datetime) -> None:
        self.model.last_run_at = value

    def __next__(self) -> "Slotted":
        self.looked = (self.model.last_run_at, self.model.total_run_count)
        self.model.last_run_at = self._default_now()
        self.model.total_run_count += 1
        self.model.no_changes = True
        return type(self)(self.model, app=self.app)

    def take_back(self) -> None:
        """As if it had not been due: its jobs could not be stored."""
        self.model.last_run_at, self.model.total_run_count = self.looked

    def occurrences(self) -> list[datetime]:
        """What is to run, of all that fell due between the look before and this one."""
        after = self.schedule.since(self.looked[0])
        policy = SchedulePolicy.objects.filter(schedule=self.model.pk).first() or SchedulePolicy()
        return due(self.schedule.rule, after, self.model.last_run_at, policy.missed, policy.window)


class Scheduler(DatabaseScheduler):  # type: ignore[misc]  # untyped
    Entry = Slotted
    _failed = False

    def setup_schedule(self) -> None:
        """The application's own, and none that only a setting asked for which does not any more."""
        PeriodicTask.objects.filter(name__in=settings.JOBS_NO_SCHEDULES).delete()
        super().setup_schedule()

    def enabled_models_qs(self) -> "QuerySet[Any]":
        """All of them: django-celery-beat leaves out crontabs of other hours, and so what was missed in those."""
        found: QuerySet[Any] = PeriodicTask.objects.enabled()
        return found

    def tick(self, *args: Any, **kwargs: Any) -> float:
        delay: float = super().tick(*args, **kwargs)
        if not self._failed:
            return delay
        self._failed, self._heap = False, None  # look at every schedule again
        return RETRY_AFTER

    def apply_async(self, entry: Slotted, producer: Any = None, advance: bool = True, **kwargs: Any) -> Any:
        """Store the jobs of all occurrences that are due, in one transaction, before the look is remembered."""
        if not entry.durable:
            return super().apply_async(entry, producer=producer, advance=advance, **kwargs)
        if advance:
            self.reserve(entry)
        try:
            with transaction.atomic():
                made = [self._store(entry, slot) for slot in entry.occurrences()]
        except Error as exc:
            entry.take_back()
            self._failed = True
            raise SchedulingError(f"The jobs of {entry.name} could not be stored, tried again: {exc}") from exc
        else:
            if not made:
                entry.model.total_run_count -= 1
                logger.info("schedule=%s: what was missed is not made up for", entry.name)
        finally:
            self._tasks_since_sync += 1
            if self.should_sync():
                self._do_sync()
        return made[-1] if made else None

    def _store(self, entry: Slotted, slot: datetime) -> Any:
        """A second beat's call finds the key taken, and so does one after a crash between the job and the look."""
        task = self.app.tasks[entry.task]
        key = f"{entry.name}@{slot.isoformat()}"
        return task.apply_async(entry.args, entry.kwargs, unique_key=key, eta=slot, **entry.options)
