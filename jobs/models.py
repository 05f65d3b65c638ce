"""The tables of the ledger: Job, Attempt, Group, UniqueKey, Clock, SchedulePolicy; those of traffic.py and audit.py.

Descriptions only. Whatever changes a job's state is a verb of `ledger.py`; nothing else writes `Job.state`.
"""

from datetime import datetime
from enum import StrEnum

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone
from django_celery_beat.models import PeriodicTask

from jobs import priorities
from jobs.audit import JobEvent as JobEvent
from jobs.ids import new_id
from jobs.occurrences import Missed
from jobs.traffic import (
    KeyLimit as KeyLimit,
    Pause as Pause,
    Queue as Queue,
    QueueWorker as QueueWorker,
    TaskRate as TaskRate,
)


class Priority(models.IntegerChoices):
    """Higher runs first, among the due jobs of one queue."""

    LOW = 1
    NORMAL = 5
    HIGH = 10
    URGENT = 20

    @classmethod
    def of(cls, value: int | str, *, scale: str = "ours") -> "Priority":
        """The priority that a word, or a number on that scale, means: see priorities.py."""
        return cls[priorities.name_of(value, scale)]


class Cancelled(StrEnum):
    """What became of a cancel."""

    CANCELLED = "cancelled"  # it will not run
    IN_FLIGHT = "in flight"  # it runs right now and is asked to stop; its outcome will show
    FINISHED = "finished"  # it was over before


class JobQuerySet(models.QuerySet["Job"]):
    def unfinished(self) -> "JobQuerySet":
        return self.filter(state__in=Job.UNFINISHED)

    def finished(self) -> "JobQuerySet":
        return self.exclude(state__in=Job.UNFINISHED)

    def retrying(self) -> "JobQuerySet":
        return self.filter(state=Job.State.SCHEDULED, failures__gt=0)


class Job(models.Model):
    """One piece of work owed: a call of a Celery task, kept until it is done or given up."""

    class State(models.TextChoices):
        SCHEDULED = "scheduled"  # waits for run_at; the dispatcher moves it on
        QUEUED = "queued"  # a message is out; the executor claims it, the rescuer takes it back
        RUNNING = "running"  # held by a worker under a lease
        SUCCEEDED = "succeeded"
        FAILED = "failed"  # given up: the dead letters; a person may retry
        CANCELLED = "cancelled"
        EXPIRED = "expired"  # its useful_until passed before it could run

    UNFINISHED = (State.SCHEDULED, State.QUEUED, State.RUNNING)

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)  # also Celery's task id
    task = models.CharField(max_length=255)
    args = models.JSONField(default=list)
    kwargs = models.JSONField(default=dict)
    version = models.PositiveSmallIntegerField(default=1, help_text="of the arguments, see Durable.upcast")
    options = models.JSONField(default=dict, help_text="the rest of the Celery signature: callbacks, headers, limits")
    queue = models.CharField(max_length=100)
    priority = models.SmallIntegerField(choices=Priority.choices, default=Priority.NORMAL)

    state = models.CharField(max_length=10, choices=State.choices, default=State.SCHEDULED)
    run_at = models.DateTimeField(help_text="not before this time")
    useful_until = models.DateTimeField(null=True, blank=True, help_text="never started after this time")
    reason = models.TextField(blank=True, help_text="why it is in this state, for people")

    # The fence: +1 at each claim and never reset, so a worker that was given up for dead cannot
    # overwrite a newer attempt. `failures` is what max_attempts limits; a person's retry resets it.
    token = models.PositiveIntegerField(default=0)
    failures = models.PositiveIntegerField(default=0)
    max_attempts = models.PositiveIntegerField(null=True, blank=True, help_text="empty: no limit")
    unique_key = models.CharField(max_length=255, null=True, blank=True)  # noqa: DJ001  (no key, no entry in its index)

    lease_until = models.DateTimeField(null=True, blank=True)  # how long a message or a worker is believed
    nudges = models.PositiveIntegerField(default=0)  # messages sent since the last claim
    epoch = models.CharField(max_length=36, blank=True)  # the broker's epoch when the message was sent
    worker = models.CharField(max_length=255, blank=True)
    cancel_requested = models.BooleanField(default=False)

    progress = models.JSONField(null=True, blank=True)
    log = models.JSONField(default=list, blank=True, help_text="the last lines that the job wrote")
    checkpoint = models.JSONField(null=True, blank=True, help_text="where the next attempt goes on")
    result = models.JSONField(null=True, blank=True)
    tenant = models.CharField(max_length=100, blank=True, help_text="tenants take turns within a queue")
    concurrency_key = models.CharField(max_length=100, blank=True, help_text="how many of a key run at once: KeyLimit")
    correlation_id = models.CharField(max_length=100, blank=True)
    # Of a group, chord header or batch. A step of a chain that leads to a member has the id and no index.
    group_id = models.UUIDField(null=True, blank=True, editable=False)
    group_index = models.PositiveIntegerField(null=True, blank=True, editable=False)

    created_at = models.DateTimeField(default=timezone.now, editable=False)
    queued_at = models.DateTimeField(null=True, blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    objects = JobQuerySet.as_manager()

    class Meta:
        permissions = [("cancel_job", "Can cancel jobs"), ("retry_job", "Can run jobs again")]
        indexes = [
            # dispatcher: what is due in a queue; holds scheduled rows only
            models.Index(fields=["queue", "run_at"], name="job_due", condition=Q(state="scheduled")),
            # windows: how full a queue is, and of whom; rescuer: who holds a lease. Few rows at any time. Not on
            # lease_until: an indexed column would make PostgreSQL write to every index of the row with each heartbeat
            models.Index(fields=["queue", "state"], name="job_held", condition=Q(state__in=["queued", "running"])),
            # windows: the heads of the lanes of a crowded queue, and what follows each (lanes.py)
            models.Index(
                fields=["queue", "tenant", "concurrency_key", "task", "priority", "run_at", "id"],
                name="job_lanes",
                condition=Q(state="scheduled"),
            ),
            # rescuer: what is no longer useful
            models.Index(
                fields=["useful_until"],
                name="job_expiry",
                condition=Q(state__in=["scheduled", "queued"], useful_until__isnull=False),
            ),
            # admin: newest first within a state
            models.Index(fields=["state", "-id"], name="job_state"),
            # pruner: what has been over for long; holds finished rows only
            models.Index(fields=["state", "finished_at"], name="job_over", condition=Q(finished_at__isnull=False)),
            # groups: how far its jobs are, and their results in order
            models.Index(fields=["group_id", "group_index"], name="job_group", condition=Q(group_id__isnull=False)),
        ]
        constraints = [
            # forbids two jobs for one key. Jobs without a key are not in its index, which each change would write to
            models.UniqueConstraint(
                fields=["unique_key"], name="job_unique_key", condition=Q(unique_key__isnull=False)
            ),
            # forbids a row that a worker is said to hold but that no rescuer would ever look at
            models.CheckConstraint(
                name="job_held_has_lease",
                condition=~Q(state__in=["queued", "running"]) | Q(lease_until__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} {self.pk}"

    @property
    def name(self) -> str:
        """The task's name for people: the `shadow` of Celery's signature, where there is one."""
        name: str = self.options.get("shadow") or self.task
        return name


class Attempt(models.Model):
    """One run of a job that did not simply succeed."""

    class Outcome(models.TextChoices):
        ERRORED = "errored"  # raised; the job backs off or is given up
        SNOOZED = "snoozed"
        STOPPED = "stopped"  # ended because a cancel was requested
        LOST = "lost"  # the worker went away

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="attempts")
    number = models.PositiveIntegerField(help_text="the job's token during this attempt")
    worker = models.CharField(max_length=255, blank=True)
    started_at = models.DateTimeField(null=True)
    duration = models.DurationField(null=True)
    outcome = models.CharField(max_length=10, choices=Outcome.choices)
    error = models.TextField(blank=True)
    exception = models.CharField(max_length=255, blank=True, help_text="the dotted path of its class")
    traceback = models.TextField(blank=True)

    class Meta:
        ordering = ["job", "number"]
        constraints = [
            # forbids two stories about one attempt
            models.UniqueConstraint(fields=["job", "number"], name="attempt_once"),
        ]

    def __str__(self) -> str:
        return f"attempt {self.number} of {self.job_id}: {self.outcome}"


class Group(models.Model):
    """Jobs that something waits for: the header of a chord, or a named batch."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)  # Celery's group id
    name = models.CharField(max_length=200, blank=True, help_text="of a batch, for people")
    size = models.PositiveIntegerField(null=True, help_text="how many members; empty while they are being inserted")
    body = models.JSONField(null=True, blank=True, help_text="a chord's: called with the results when all succeeded")
    on_finished = models.JSONField(null=True, blank=True, help_text="a batch's: called when all are finished")
    on_failed = models.JSONField(null=True, blank=True, help_text="a batch's: called at the first that did not succeed")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    failed_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        indexes = [
            # rescuer: groups whose end nobody has noticed
            models.Index(fields=["id"], name="group_open", condition=Q(finished_at__isnull=True)),
        ]

    def __str__(self) -> str:
        return f"{self.name or 'group'} {self.pk}"


class UniqueKey(models.Model):
    """The key of a job that the pruner deleted: whoever enqueues it again learns the first job's id."""

    key = models.CharField(max_length=255, primary_key=True)
    job = models.UUIDField(help_text="the id of the deleted job")
    state = models.CharField(max_length=10, choices=Job.State.choices, help_text="how it ended")
    pruned_at = models.DateTimeField(default=timezone.now)

    class Meta:
        indexes = [
            # pruner: which keys have been kept long enough
            models.Index(fields=["pruned_at"], name="key_pruned"),
        ]

    def __str__(self) -> str:
        return self.key


class Clock(models.Model):
    """What dispatchers tell each other: one row. Without it nothing is lost, a fresh one is made."""

    ONLY = 1
    now: datetime  # when it was read, see row()

    id = models.PositiveSmallIntegerField(primary_key=True, default=ONLY, editable=False)
    ticked_at = models.DateTimeField(null=True, blank=True, help_text="the last tick, by the database's clock")
    ticked_by = models.CharField(max_length=255, blank=True, help_text="clock, or the worker that stood in for it")
    epoch = models.CharField(max_length=36, blank=True)  # the name of our mark in a broker that keeps no values
    held_since = models.DateTimeField(null=True, blank=True, help_text="nothing is sent while this is set")
    held_reason = models.TextField(blank=True)

    class Meta:
        verbose_name_plural = "clock"
        constraints = [
            # forbids a second row, which some would read and others write
            models.CheckConstraint(name="clock_only_one", condition=Q(id=1)),
        ]

    def __str__(self) -> str:
        return "clock"

    @classmethod
    def row(cls) -> "Clock":
        """The row, with the database's time of reading it as `now`."""
        read = cls.objects.annotate(now=Now())
        found = read.filter(pk=cls.ONLY).first()
        if found is None:
            Clock.objects.bulk_create([Clock()], ignore_conflicts=True)
            found = read.get(pk=cls.ONLY)
        return found


class SchedulePolicy(models.Model):
    """What a periodic task of a durable kind does about occurrences that nobody noticed. Without a row: once."""

    schedule = models.OneToOneField(PeriodicTask, on_delete=models.CASCADE, primary_key=True, related_name="policy")
    missed = models.CharField(
        max_length=4,
        choices=[
            (Missed.SKIP.value, "skip them"),
            (Missed.ONCE.value, "run once for all of them"),
            (Missed.ALL.value, "run each of them"),
        ],
        default=Missed.ONCE.value,
    )
    window = models.DurationField(null=True, blank=True, help_text="not made up for when later; empty: however late")

    class Meta:
        verbose_name_plural = "schedule policies"

    def __str__(self) -> str:
        return f"{self.schedule}: {self.missed}"
