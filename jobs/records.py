"""The tables around a job: Attempt, which tells of a run, and Group, of what waits for several jobs.

Descriptions only; `attempts` and `groups` write them.
"""

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from jobs.ids import new_id


class Attempt(models.Model):
    """One run of a job that did not simply succeed."""

    class Outcome(models.TextChoices):
        ERRORED = "errored", _("errored")  # raised; the job backs off or is given up
        SNOOZED = "snoozed", _("snoozed")
        STOPPED = "stopped", _("stopped")  # ended because a cancel was requested
        LOST = "lost", _("lost")  # the worker went away

    job = models.ForeignKey("jobs.Job", on_delete=models.CASCADE, related_name="attempts", verbose_name=_("job"))
    number = models.PositiveIntegerField(_("number"), help_text=_("the job's token during this attempt"))
    worker = models.CharField(_("worker"), max_length=255, blank=True)
    started_at = models.DateTimeField(_("started at"), null=True)
    duration = models.DurationField(_("duration"), null=True)
    outcome = models.CharField(_("outcome"), max_length=10, choices=Outcome.choices)
    error = models.TextField(_("error"), blank=True)
    exception = models.CharField(
        _("exception"), max_length=255, blank=True, help_text=_("the dotted path of its class")
    )
    traceback = models.TextField(_("traceback"), blank=True)

    class Meta:
        verbose_name = _("attempt")
        verbose_name_plural = _("attempts")
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
    name = models.CharField(_("name"), max_length=200, blank=True, help_text=_("of a batch, for people"))
    size = models.PositiveIntegerField(
        _("size"), null=True, help_text=_("how many members; empty while they are being inserted")
    )
    body = models.JSONField(
        _("body"), null=True, blank=True, help_text=_("a chord's: called with the results when all succeeded")
    )
    on_finished = models.JSONField(
        _("on finished"), null=True, blank=True, help_text=_("a batch's: called when all are finished")
    )
    on_failed = models.JSONField(
        _("on failed"), null=True, blank=True, help_text=_("a batch's: called at the first that did not succeed")
    )
    created_at = models.DateTimeField(_("created at"), default=timezone.now, editable=False)
    failed_at = models.DateTimeField(_("failed at"), null=True, blank=True)
    finished_at = models.DateTimeField(_("finished at"), null=True, blank=True)

    class Meta:
        verbose_name = _("group")
        verbose_name_plural = _("groups")
        ordering = ["-id"]
        indexes = [
            # rescuer: groups whose end nobody has noticed
            models.Index(fields=["id"], name="group_open", condition=Q(finished_at__isnull=True)),
        ]

    def __str__(self) -> str:
        return f"{self.name or 'group'} {self.pk}"
