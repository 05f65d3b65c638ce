"""The tables of what was asked for from outside: JobEvent, of one job, and Order, of many.

Append-only but for how far an order is; whoever asks writes them in the transaction that does it. Descriptions only:
`orders` and `bulk_orders` write them. A job's own history (attempts, states) is elsewhere; this is who wanted what.
"""

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from jobs.ids import new_id

# Orders that nobody but the process that they were given in carries out.
UNATTENDED = Q(job_id__isnull=True, finished_at__isnull=True, called_off_at__isnull=True)


class JobEvent(models.Model):
    """Somebody asked something of a job: who, what, why, what it was before and what became of the wish."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    job = models.ForeignKey("jobs.Job", on_delete=models.CASCADE, related_name="events", verbose_name=_("job"))
    at = models.DateTimeField(_("at"), default=timezone.now, editable=False)
    by = models.CharField(_("by"), max_length=150, help_text=_("a user's name, or the door it came through"))
    verb = models.CharField(_("verb"), max_length=20)
    reason = models.TextField(_("reason"), blank=True)
    order = models.ForeignKey(
        "jobs.Order", on_delete=models.SET_NULL, null=True, blank=True, related_name="events", verbose_name=_("order")
    )
    before = models.CharField(_("before"), max_length=10, help_text=_("the job's state"))
    outcome = models.CharField(
        _("outcome"), max_length=20, help_text=_("the receipt: cancelled, or in flight and asked to stop")
    )

    class Meta:
        verbose_name = _("job event")
        verbose_name_plural = _("job events")
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.verb} by {self.by}: {self.outcome}"


class Order(models.Model):
    """What somebody wanted of many jobs at once: of which, why, and how far it is."""

    class Verb(models.TextChoices):
        CANCEL = "cancel", _("cancel")
        RETRY = "retry", _("run again")
        RUN_NOW = "run_now", _("run now")
        POSTPONE = "postpone", _("postpone")
        REPRIORITISE = "reprioritise", _("change the priority")

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    verb = models.CharField(_("verb"), max_length=20, choices=Verb.choices)
    filters = models.JSONField(_("filters"), help_text=_("of which jobs"))
    scope = models.JSONField(_("scope"), null=True, help_text=_("what whoever asked may see; empty: all"))
    parameters = models.JSONField(_("parameters"), default=dict)
    reason = models.TextField(_("reason"))
    by = models.CharField(_("by"), max_length=150)
    asked_at = models.DateTimeField(_("asked at"), help_text=_("jobs that were made later are not touched"))
    total = models.PositiveIntegerField(_("total"), help_text=_("how many it seemed to be when it was asked for"))
    after = models.UUIDField(_("after"), null=True, editable=False)  # the last job that it came to
    done = models.PositiveIntegerField(_("done"), default=0)
    counts = models.JSONField(_("counts"), default=dict, help_text=_("what became of the jobs"))
    job_id = models.UUIDField(_("job"), null=True, editable=False)  # that carries it out; none for a few
    finished_at = models.DateTimeField(_("finished at"), null=True)
    called_off_at = models.DateTimeField(_("called off at"), null=True)
    called_off_by = models.CharField(_("called off by"), max_length=150, blank=True)

    class Meta:
        verbose_name = _("order")
        verbose_name_plural = _("orders")
        ordering = ["-id"]
        indexes = [
            # bulk_orders.take_over: every few seconds, and hardly ever one
            models.Index(fields=["asked_at"], name="order_unattended", condition=UNATTENDED),
        ]

    def __str__(self) -> str:
        return f"{self.get_verb_display()}: {self.reason}"

    @property
    def open(self) -> bool:
        return self.finished_at is None and self.called_off_at is None
