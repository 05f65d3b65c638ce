"""The tables of the ledger: Job, UniqueKey; those of records.py, timekeeping.py, traffic.py, audit.py,
scopes.py, access.py and files.py.

Descriptions only. Whatever changes a job's state is a verb of `ledger.py`; nothing else writes `Job.state`.
"""

from collections.abc import Callable, Sequence
from enum import StrEnum

from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from jobs import priorities
from jobs.access import ApiCall as ApiCall, ApiKey as ApiKey, IdempotentRequest as IdempotentRequest
from jobs.audit import JobEvent as JobEvent, Order as Order
from jobs.files import Export as Export, StoredFile as StoredFile
from jobs.ids import new_id
from jobs.records import Attempt as Attempt, Group as Group
from jobs.scopes import JobScope as JobScope
from jobs.timekeeping import Clock as Clock, SchedulePolicy as SchedulePolicy
from jobs.traffic import (
    KeyLimit as KeyLimit,
    Pause as Pause,
    Queue as Queue,
    QueueWorker as QueueWorker,
    TaskRate as TaskRate,
)


class Priority(models.IntegerChoices):
    """Higher runs first, among the due jobs of one queue."""

    LOW = 1, _("low")
    NORMAL = 5, _("normal")
    HIGH = 10, _("high")
    URGENT = 20, _("urgent")

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
        SCHEDULED = "scheduled", _("scheduled")  # waits for run_at; the dispatcher moves it on
        QUEUED = "queued", _("queued")  # a message is out; the executor claims it, the rescuer takes it back
        RUNNING = "running", _("running")  # held by a worker under a lease
        SUCCEEDED = "succeeded", _("succeeded")
        FAILED = "failed", _("failed")  # given up: the dead letters; a person may retry
        CANCELLED = "cancelled", _("cancelled")
        EXPIRED = "expired", _("expired")  # its useful_until passed before it could run

    UNFINISHED = (State.SCHEDULED, State.QUEUED, State.RUNNING)
    beside: "Callable[[Job], Sequence[models.Model]] | None" = None  # while it is being made: see beside.py

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)  # also Celery's task id
    task = models.CharField(_("task"), max_length=255)
    args = models.JSONField(_("args"), default=list)
    kwargs = models.JSONField(_("kwargs"), default=dict)
    version = models.PositiveSmallIntegerField(
        _("version"), default=1, help_text=_("of the arguments, see Durable.upcast")
    )
    options = models.JSONField(
        _("options"), default=dict, help_text=_("the rest of the Celery signature: callbacks, headers, limits")
    )
    queue = models.CharField(_("queue"), max_length=100)
    priority = models.SmallIntegerField(_("priority"), choices=Priority.choices, default=Priority.NORMAL)

    state = models.CharField(_("state"), max_length=10, choices=State.choices, default=State.SCHEDULED)
    run_at = models.DateTimeField(_("run at"), help_text=_("not before this time"))
    useful_until = models.DateTimeField(
        _("useful until"), null=True, blank=True, help_text=_("never started after this time")
    )
    reason = models.TextField(_("reason"), blank=True, help_text=_("why it is in this state, for people"))
    signature = models.CharField(
        _("signature"), max_length=200, blank=True, help_text=_("of its last error, the same for all that failed alike")
    )

    # The fence: +1 at each claim and never reset, so a worker that was given up for dead cannot
    # overwrite a newer attempt. `failures` is what max_attempts limits; a person's retry resets it.
    token = models.PositiveIntegerField(_("token"), default=0)
    failures = models.PositiveIntegerField(_("failures"), default=0)
    max_attempts = models.PositiveIntegerField(_("max attempts"), null=True, blank=True, help_text=_("empty: no limit"))
    unique_key = models.CharField(_("unique key"), max_length=255, null=True, blank=True)  # noqa: DJ001  (no key, no entry in its index)

    lease_until = models.DateTimeField(
        _("lease until"), null=True, blank=True
    )  # how long a message or a worker is believed
    nudges = models.PositiveIntegerField(_("nudges"), default=0)  # messages sent since the last claim
    epoch = models.CharField(_("epoch"), max_length=36, blank=True)  # the broker's epoch when the message was sent
    worker = models.CharField(_("worker"), max_length=255, blank=True)
    cancel_requested = models.BooleanField(_("cancel requested"), default=False)

    progress = models.JSONField(_("progress"), null=True, blank=True)
    log = models.JSONField(_("log"), default=list, blank=True, help_text=_("the last lines that the job wrote"))
    checkpoint = models.JSONField(_("checkpoint"), null=True, blank=True, help_text=_("where the next attempt goes on"))
    result = models.JSONField(_("result"), null=True, blank=True)
    tenant = models.CharField(_("tenant"), max_length=100, blank=True, help_text=_("tenants take turns within a queue"))
    concurrency_key = models.CharField(
        _("concurrency key"), max_length=100, blank=True, help_text=_("how many of a key run at once: KeyLimit")
    )
    correlation_id = models.CharField(_("correlation id"), max_length=100, blank=True)
    # Of a group, chord header or batch. A step of a chain that leads to a member has the id and no index.
    group_id = models.UUIDField(_("group id"), null=True, blank=True, editable=False)
    group_index = models.PositiveIntegerField(_("group index"), null=True, blank=True, editable=False)

    created_at = models.DateTimeField(_("created at"), default=timezone.now, editable=False)
    queued_at = models.DateTimeField(_("queued at"), null=True, blank=True)
    started_at = models.DateTimeField(_("started at"), null=True, blank=True)
    finished_at = models.DateTimeField(_("finished at"), null=True, blank=True)

    objects = JobQuerySet.as_manager()

    class Meta:
        verbose_name = _("job")
        verbose_name_plural = _("jobs")
        permissions = [
            ("cancel_job", _("Can cancel jobs")),
            ("retry_job", _("Can run jobs again")),
            ("postpone_job", _("Can say when jobs run")),
            ("reprioritise_job", _("Can change the priority of jobs")),
            ("reveal_job", _("Can see the arguments and results of jobs")),
        ]
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
            # admin: newest first within a state, a queue, a task, a tenant, a tag
            models.Index(fields=["state", "-id"], name="job_state"),
            models.Index(fields=["queue", "-id"], name="job_of_queue"),
            models.Index(fields=["task", "-id"], name="job_of_task"),
            models.Index(fields=["tenant", "-id"], name="job_of_tenant", condition=Q(tenant__gt="")),
            models.Index(fields=["correlation_id", "-id"], name="job_of_tag", condition=Q(correlation_id__gt="")),
            # admin: by time within a state: what is overdue, a window of time. By an expression, so that no search of
            # the dispatcher's ever takes it for its own and walks through other queues
            models.Index(Lower("state"), "run_at", "id", name="job_when"),
            # admin: the few that are tried again; failed ones by what went wrong, and the groups of those
            models.Index(fields=["state", "-id"], name="job_retrying", condition=Q(state="scheduled", failures__gt=0)),
            models.Index(
                fields=["signature", "-id", "task", "finished_at"], name="job_errors", condition=Q(state="failed")
            ),
            # pruner: what has been over for long; holds finished rows only
            models.Index(fields=["state", "finished_at"], name="job_over", condition=Q(finished_at__isnull=False)),
            # groups: how far its jobs are, and their results in order
            models.Index(fields=["group_id", "group_index"], name="job_group", condition=Q(group_id__isnull=False)),
        ]
        constraints = [
            # forbids two jobs for one key of a tenant; the key first, because a search knows no tenant. Jobs without a
            # key are not in its index, which each change would write to
            models.UniqueConstraint(
                fields=["unique_key", "tenant"], name="job_unique_key", condition=Q(unique_key__isnull=False)
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


class UniqueKey(models.Model):
    """The key of a job that the pruner deleted: whoever enqueues it again learns the first job's id."""

    key = models.CharField(_("key"), max_length=255)
    tenant = models.CharField(_("tenant"), max_length=100, blank=True)
    job = models.UUIDField(_("job"), help_text=_("the id of the deleted job"))
    state = models.CharField(_("state"), max_length=10, choices=Job.State.choices, help_text=_("how it ended"))
    pruned_at = models.DateTimeField(_("pruned at"), default=timezone.now)

    class Meta:
        verbose_name = _("unique key")
        verbose_name_plural = _("unique keys")
        constraints = [
            # forbids two first jobs; and finds whether a key is taken
            models.UniqueConstraint(fields=["key", "tenant"], name="key_once"),
        ]
        indexes = [
            # pruner: which keys have been kept long enough
            models.Index(fields=["pruned_at"], name="key_pruned"),
        ]

    def __str__(self) -> str:
        return self.key
