"""The tables of the ledger: Job and Attempt; Queue, KeyLimit and Pause, which say how fast.

Descriptions only. Whatever changes a job's state is a verb of `ledger.py`; nothing else writes `Job.state`.
"""

from datetime import timedelta

from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils import timezone

from jobs import priorities
from jobs.ids import new_id

MILLISECOND = timedelta(milliseconds=1)


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
    options = models.JSONField(default=dict, help_text="the rest of the Celery signature: headers, limits")
    queue = models.CharField(max_length=100)
    priority = models.SmallIntegerField(choices=Priority.choices, default=Priority.NORMAL)

    state = models.CharField(max_length=10, choices=State.choices, default=State.SCHEDULED)
    run_at = models.DateTimeField(help_text="not before this time")
    useful_until = models.DateTimeField(null=True, blank=True, help_text="never started after this time")
    reason = models.TextField(blank=True, help_text="why it is in this state, for people")

    # The fence: +1 at each claim and never reset, so a worker that was given up for dead cannot
    # overwrite a newer attempt. `failures` is what max_attempts limits; a person's retry resets it.
    token = models.PositiveIntegerField(default=0)
    failures = models.PositiveSmallIntegerField(default=0)
    max_attempts = models.PositiveSmallIntegerField(null=True, blank=True, help_text="empty: no limit")
    unique_key = models.CharField(max_length=255, null=True, blank=True, unique=True)

    lease_until = models.DateTimeField(null=True, blank=True)  # how long a message or a worker is believed
    nudges = models.PositiveSmallIntegerField(default=0)  # messages sent since the last claim
    epoch = models.CharField(max_length=36, blank=True)  # the broker's epoch when the message was sent
    worker = models.CharField(max_length=255, blank=True)
    cancel_requested = models.BooleanField(default=False)

    progress = models.JSONField(null=True, blank=True)
    result = models.JSONField(null=True, blank=True)
    tenant = models.CharField(max_length=100, blank=True, help_text="tenants take turns within a queue")
    concurrency_key = models.CharField(max_length=100, blank=True, help_text="how many of a key run at once: KeyLimit")
    correlation_id = models.CharField(max_length=100, blank=True)

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
            # dispatcher: how full a queue's window is
            models.Index(fields=["queue"], name="job_queued", condition=Q(state="queued")),
            # windows: the heads of the lanes of a crowded queue, and what follows each (lanes.py)
            models.Index(
                fields=["queue", "tenant", "concurrency_key", "task", "priority", "run_at", "id"],
                name="job_lanes",
                condition=Q(state="scheduled"),
            ),
            # rescuer: whose lease is over; windows: what a queue, a tenant and a key hold
            models.Index(fields=["lease_until"], name="job_lease", condition=Q(state__in=["queued", "running"])),
            # rescuer: what is no longer useful
            models.Index(
                fields=["useful_until"],
                name="job_expiry",
                condition=Q(state__in=["scheduled", "queued"], useful_until__isnull=False),
            ),
            # admin: newest first within a state
            models.Index(fields=["state", "-id"], name="job_state"),
        ]
        constraints = [
            # forbids a row that a worker is said to hold but that no rescuer would ever look at
            models.CheckConstraint(
                name="job_held_has_lease",
                condition=~Q(state__in=["queued", "running"]) | Q(lease_until__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.task} {self.pk}"


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
    traceback = models.TextField(blank=True)

    class Meta:
        ordering = ["job", "number"]
        constraints = [
            # forbids two stories about one attempt
            models.UniqueConstraint(fields=["job", "number"], name="attempt_once"),
        ]

    def __str__(self) -> str:
        return f"attempt {self.number} of {self.job_id}: {self.outcome}"


class Queue(models.Model):
    """A named lane, with its limits. The dispatcher adds the row of a queue that has none; it is also its lock."""

    name = models.CharField(max_length=100, primary_key=True)
    window = models.PositiveIntegerField(
        default=500,
        help_text="how many jobs may be queued at the broker at once; small keeps cancel and priority exact",
    )
    concurrency = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text="how many jobs may be queued or running at once, on all workers together; empty: no limit",
    )
    rate_count = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text="how many jobs may be sent to the workers in a period; empty: no limit",
    )
    rate_period = models.DurationField(default=timedelta(seconds=1), validators=[MinValueValidator(MILLISECOND)])
    rate_burst = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text="how many may go at once after a quiet time; empty: as many as in a period",
    )

    # What limits.draw keeps: the bucket, and how many jobs were ever sent (every tenth place is the longest overdue's).
    tokens = models.PositiveIntegerField(default=0, editable=False)
    tokens_at = models.DateTimeField(null=True, editable=False)
    dispatched = models.PositiveBigIntegerField(default=0, editable=False)

    class Meta:
        ordering = ["name"]
        constraints = [
            # forbids a rate that would divide by nothing, or let nothing through for ever
            models.CheckConstraint(name="queue_rate_flows", condition=Q(rate_period__gt=timedelta())),
        ]

    def __str__(self) -> str:
        return self.name


class Pause(models.Model):
    """Jobs of this queue, task or tenant are not sent, until somebody resumes it or `until` comes."""

    class Kind(models.TextChoices):  # each is a column of Job
        QUEUE = "queue"
        TASK = "task"
        TENANT = "tenant"

    kind = models.CharField(max_length=10, choices=Kind.choices, default=Kind.QUEUE)
    name = models.CharField(max_length=255, blank=True, help_text="empty: the jobs without a tenant")
    by = models.CharField(max_length=150, editable=False)
    reason = models.TextField(blank=True)
    at = models.DateTimeField(default=timezone.now, editable=False)
    until = models.DateTimeField(null=True, blank=True, help_text="empty: until somebody resumes it")

    class Meta:
        ordering = ["kind", "name"]
        constraints = [
            # forbids two answers to "who paused it, and until when"
            models.UniqueConstraint(fields=["kind", "name"], name="pause_once"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


class KeyLimit(models.Model):
    """How many jobs of a concurrency key may be queued or running at once, in all queues together.

    `venue:7` is for that key, `venue:*` for each key that begins so; the longest that fits counts. The row `*` is for
    all others (one at a time), and dispatchers lock it while they count.
    """

    ALL = "*"

    key = models.CharField(max_length=100, primary_key=True, help_text="venue:7, or venue:* for each venue")
    limit = models.PositiveIntegerField(default=1, validators=[MinValueValidator(1)])

    class Meta:
        ordering = ["key"]

    def __str__(self) -> str:
        return f"{self.key}: {self.limit}"
