"""Reports of a period, and who got one by mail."""

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.formats import localize
from django.utils.translation import gettext_lazy as _

from jobs.ids import new_id
from notifications.models.columns import zone_field


class Report(models.Model):
    """The report of a period, for one tenant or all, in one language: its figures, and the files they were put into."""

    class Kind(models.TextChoices):
        DAY = "day", _("day")
        WEEK = "week", _("week")
        MONTH = "month", _("month")

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    kind = models.CharField(_("kind"), max_length=10, choices=Kind.choices)
    first_day = models.DateField(_("first day"))
    zone = zone_field()
    language = models.CharField(_("language"), max_length=10, choices=settings.LANGUAGES)
    tenant = models.CharField(_("tenant"), max_length=100, blank=True, default="", help_text=_("empty: all together"))
    by = models.CharField(_("by"), max_length=150, help_text=_("who asked for it last"))
    asked_at = models.DateTimeField(_("asked at"), default=timezone.now, editable=False)
    job_id = models.UUIDField(_("job"), editable=False, help_text=_("the job that writes it, or wrote it last"))
    figures = models.JSONField(_("figures"), null=True, editable=False)
    # From the end of the period on, the figures are final and are not counted again.
    counted_at = models.DateTimeField(_("counted at"), null=True, editable=False)
    html = models.ForeignKey(
        "jobs.StoredFile", on_delete=models.SET_NULL, null=True, editable=False, related_name="+", verbose_name="HTML"
    )
    pdf = models.ForeignKey(
        "jobs.StoredFile", on_delete=models.SET_NULL, null=True, editable=False, related_name="+", verbose_name="PDF"
    )

    class Meta:
        verbose_name = _("report")
        verbose_name_plural = _("reports")
        ordering = ["-id"]
        default_permissions = ("add", "view")  # add: may ask for one
        constraints = [
            # forbids two reports of the same, whoever asks at the same time
            models.UniqueConstraint(fields=["kind", "first_day", "zone", "language", "tenant"], name="report_once"),
        ]
        indexes = [
            # the list, newest first: of all, of a kind, in a language, of a tenant
            models.Index(fields=["-first_day", "-id"], name="report_newest"),
            models.Index(fields=["kind", "-first_day", "-id"], name="report_of_kind"),
            models.Index(fields=["language", "-first_day", "-id"], name="report_of_language"),
            models.Index(fields=["tenant", "-first_day", "-id"], name="report_of_tenant"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {localize(self.first_day)} {self.zone} {self.language} {self.tenant}".strip()


class ReportMail(models.Model):
    """A report for one user. Its id is its job's id and the Message-ID."""

    class State(models.TextChoices):
        PLANNED = "planned", _("planned")
        SENDING = "sending", _("sending")  # the intent is written
        SENT = "sent", _("sent")
        REFUSED = "refused", _("refused")
        IN_DOUBT = "in_doubt", _("in doubt")  # the mail server may or may not have taken it; never sent again by itself
        SKIPPED = "skipped", _("skipped")  # when it was to go, the user might not have it: see detail

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    report = models.ForeignKey(Report, on_delete=models.CASCADE, related_name="mails", verbose_name=_("report"))
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+", verbose_name=_("user")
    )
    state = models.CharField(_("state"), max_length=10, choices=State.choices, default=State.PLANNED)
    detail = models.TextField(_("detail"), blank=True)
    token = models.PositiveIntegerField(_("token"), null=True)  # of the attempt that wrote the intent
    intent_at = models.DateTimeField(_("intent at"), null=True)
    sent_at = models.DateTimeField(_("sent at"), null=True)

    class Meta:
        verbose_name = _("mail of a report")
        verbose_name_plural = _("mails of reports")
        default_permissions = ("view",)
        constraints = [
            # forbids the same report twice for one person, however often its schedule comes round
            models.UniqueConstraint(fields=["report", "user"], name="report_mail_once"),
        ]
        indexes = [
            # the list by state, what is in doubt, and each minute what a job left open (`mail_ends`)
            models.Index(fields=["state", "id"], name="report_mail_state"),
        ]

    def __str__(self) -> str:
        return f"{self.report_id} for user {self.user_id}: {self.state}"
