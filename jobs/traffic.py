"""The tables that say how fast, and whether at all: Queue, Pause, KeyLimit, TaskRate, QueueWorker.

Descriptions only; `windows`, `pauses`, `rates` and `crews` act on them.
"""

import re
from datetime import timedelta

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from jobs import buckets

MILLISECOND = timedelta(milliseconds=1)


def a_rate(text: str) -> None:
    """What looks like a rate may also be one that no bucket keeps."""
    try:
        if not re.fullmatch(r"\d+(\.\d+)?(/[smh])?", text):
            raise ValueError(text)
        buckets.parsed(text)
    except ValueError:
        raise ValidationError(_("Write for example 10/s, 100/m or 5/h.")) from None


def most_processes() -> int:
    """The setting, read when a number is checked: migrations must not know it."""
    most: int = settings.JOBS_MAX_PROCESSES
    return most


class Queue(models.Model):
    """A named lane, with its limits. The dispatcher adds the row of a queue that has none; it is also its lock."""

    name = models.CharField(_("name"), max_length=100, primary_key=True)
    window = models.PositiveIntegerField(
        _("window"),
        default=500,
        help_text=_("how many jobs may be queued at the broker at once; small keeps cancel and priority exact"),
    )
    concurrency = models.PositiveIntegerField(
        _("concurrency"),
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text=_("how many jobs may be queued or running at once, on all workers together; empty: no limit"),
    )
    rate_count = models.PositiveIntegerField(
        _("rate count"),
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text=_("how many jobs may be sent to the workers in a period; empty: no limit"),
    )
    rate_period = models.DurationField(
        _("rate period"), default=timedelta(seconds=1), validators=[MinValueValidator(MILLISECOND)]
    )
    rate_burst = models.PositiveIntegerField(
        _("rate burst"),
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text=_("how many may go at once after a quiet time; empty: as many as in a period"),
    )

    desired_processes = models.PositiveIntegerField(
        _("desired processes"),
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(most_processes)],
        help_text=_("of all workers that serve the queue together; empty: as they were started"),
    )
    desired_by = models.CharField(_("desired by"), max_length=150, blank=True, editable=False)
    desired_reason = models.TextField(_("desired reason"), blank=True, editable=False)

    # What limits.draw keeps: the bucket, and how many jobs were ever sent (every tenth place is the longest overdue's).
    tokens = models.PositiveIntegerField(_("tokens"), default=0, editable=False)
    tokens_at = models.DateTimeField(_("tokens at"), null=True, editable=False)
    dispatched = models.PositiveBigIntegerField(_("dispatched"), default=0, editable=False)

    class Meta:
        verbose_name = _("queue")
        verbose_name_plural = _("queues")
        ordering = ["name"]
        permissions = [
            ("scale_queue", _("Can say how many processes work for a queue")),
            ("pause_queue", _("Can pause and resume queues, tasks and tenants")),
        ]
        constraints = [
            # forbids a rate that would divide by nothing, or let nothing through for ever
            models.CheckConstraint(name="queue_rate_flows", condition=Q(rate_period__gt=timedelta())),
        ]

    def __str__(self) -> str:
        return self.name


class Pause(models.Model):
    """Jobs of this queue, task or tenant are not sent, until somebody resumes it or `until` comes."""

    class Kind(models.TextChoices):  # each is a column of Job
        QUEUE = "queue", _("queue")
        TASK = "task", _("task")
        TENANT = "tenant", _("tenant")

    kind = models.CharField(_("kind"), max_length=10, choices=Kind.choices, default=Kind.QUEUE)
    name = models.CharField(_("name"), max_length=255, blank=True, help_text=_("empty: the jobs without a tenant"))
    by = models.CharField(_("by"), max_length=150, editable=False)
    reason = models.TextField(_("reason"), blank=True)
    at = models.DateTimeField(_("at"), default=timezone.now, editable=False)
    until = models.DateTimeField(_("until"), null=True, blank=True, help_text=_("empty: until somebody resumes it"))

    class Meta:
        verbose_name = _("pause")
        verbose_name_plural = _("pauses")
        ordering = ["kind", "name"]
        constraints = [
            # forbids two answers to "who paused it, and until when"
            models.UniqueConstraint(fields=["kind", "name"], name="pause_once"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


class QueueWorker(models.Model):
    """A worker that serves a queue, as it last told: a worker of two queues has two rows, about the same processes."""

    queue = models.CharField(_("queue"), max_length=100)
    worker = models.CharField(_("worker"), max_length=255, help_text=_("Celery's name of it, such as worker@host"))
    processes = models.PositiveIntegerField(_("processes"))
    scalable = models.BooleanField(_("scalable"), help_text=_("it can start and end processes while it runs"))
    seen_at = models.DateTimeField(_("seen at"))
    started_at = models.DateTimeField(_("started at"), null=True)
    memory = models.PositiveBigIntegerField(
        _("memory"), null=True, help_text=_("bytes that all its processes hold; empty: its system does not tell")
    )

    class Meta:
        verbose_name = _("queue worker")
        verbose_name_plural = _("queue workers")
        ordering = ["queue", "worker"]
        constraints = [
            # forbids to count a worker's processes twice for one queue
            models.UniqueConstraint(fields=["queue", "worker"], name="queue_worker_once"),
        ]

    def __str__(self) -> str:
        return f"{self.worker} of {self.queue}"


class KeyLimit(models.Model):
    """How many jobs of a concurrency key may be queued or running at once, in all queues together, of each tenant.

    `venue:7` is for that key, `venue:*` for each key that begins so; the longest that fits counts. The row `*` is for
    all others (one at a time), and dispatchers lock it while they count.
    """

    ALL = "*"

    key = models.CharField(
        _("key"), max_length=100, primary_key=True, help_text=_("venue:7, or venue:* for each venue")
    )
    limit = models.PositiveIntegerField(_("limit"), default=1, validators=[MinValueValidator(1)])

    class Meta:
        verbose_name = _("key limit")
        verbose_name_plural = _("key limits")
        ordering = ["key"]

    def __str__(self) -> str:
        return f"{self.key}: {self.limit}"


class TaskRate(models.Model):
    """The token bucket of a task with a `rate_limit`, and the rate that somebody ordered while it runs."""

    task = models.CharField(_("task"), max_length=255, primary_key=True)
    ordered = models.CharField(
        _("ordered"),
        max_length=20,
        blank=True,
        validators=[a_rate],
        help_text=_("such as 10/m, in place of the task's own; 0: none; empty: the task's own"),
    )
    tokens = models.PositiveIntegerField(_("tokens"), default=0, editable=False)
    tokens_at = models.DateTimeField(_("tokens at"), null=True, editable=False)

    class Meta:
        verbose_name = _("task rate")
        verbose_name_plural = _("task rates")
        ordering = ["task"]

    def __str__(self) -> str:
        return self.task
