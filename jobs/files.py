"""The tables of files: StoredFile, what a job took or made; Export, what somebody wanted to have written.

Descriptions only. `jobs/library/storage.py` keeps the files, `jobs/library/exports.py` writes exports.
"""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from jobs.ids import new_id


class StoredFile(models.Model):
    """A file of the storage "jobs". Its place there is its id and nothing that anybody wrote."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    name = models.CharField(_("name"), max_length=150, help_text=_("for people; never a path"))
    content_type = models.CharField(_("content type"), max_length=150)
    size = models.PositiveBigIntegerField(_("size"), help_text=_("in bytes"))
    sha256 = models.CharField(_("SHA-256"), max_length=64)
    tenant = models.CharField(_("tenant"), max_length=100, blank=True)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        db_index=False,  # `file_of_owner`
        verbose_name=_("owner"),
    )
    personal = models.BooleanField(
        _("personal"), default=False, help_text=_("holds what tells who customers are: only its owner may have it")
    )
    permission = models.CharField(
        _("permission"), max_length=150, blank=True, help_text=_("what its owner still needs to have it")
    )
    job_id = models.UUIDField(_("job"), null=True, editable=False, help_text=_("the job that made it"))
    created_at = models.DateTimeField(_("created at"), default=timezone.now, editable=False)
    expires_at = models.DateTimeField(
        _("expires at"), null=True, blank=True, help_text=_("deleted after this; empty: it stays")
    )

    class Meta:
        verbose_name = _("file")
        verbose_name_plural = _("files")
        indexes = [
            # clean-up: what is over
            models.Index(fields=["expires_at"], name="file_over", condition=Q(expires_at__isnull=False)),
            # what a job made
            models.Index(fields=["job_id"], name="file_of_job", condition=Q(job_id__isnull=False)),
            # the list, newest first: of an owner, of a tenant, of those that are personal, or are not
            models.Index(fields=["owner", "id"], name="file_of_owner"),
            models.Index(fields=["tenant", "id"], name="file_of_tenant"),
            models.Index(fields=["id"], name="file_personal", condition=Q(personal=True)),
            models.Index(fields=["id"], name="file_not_personal", condition=Q(personal=False)),
        ]

    def __str__(self) -> str:
        """Stands in titles and logs: what somebody called a personal file may tell who a customer is."""
        return str(self.pk) if self.personal else self.name

    @property
    def key(self) -> str:
        """Its place in the storage. The last letters of an id are random, so that no folder gets all the files."""
        return f"{self.pk.hex[-2:]}/{self.pk.hex}"


class Export(models.Model):
    """Rows to be written to a file: of what, for whom, and what this person may see. Its id is its job's id."""

    class Format(models.TextChoices):
        CSV = "csv", "CSV"
        JSON = "json", "JSON"
        JSON_LINES = "jsonl", "JSON Lines"
        XLSX = "xlsx", "XLSX"

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    source = models.CharField(_("source"), max_length=100)
    format = models.CharField(_("format"), max_length=10, choices=Format.choices)
    columns = models.JSONField(_("columns"))
    filters = models.JSONField(_("filters"), default=dict)
    by = models.CharField(_("by"), max_length=150)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        related_name="+",
        db_index=False,  # `export_of_user`
        verbose_name=_("user"),
    )
    scope = models.JSONField(_("scope"), null=True, help_text=_("what whoever asked may see; empty: all"))
    revealed = models.BooleanField(
        _("revealed"), default=False, help_text=_("whoever asked might know who customers are, when it was asked")
    )
    asked_at = models.DateTimeField(_("asked at"), default=timezone.now, editable=False)
    rows = models.PositiveBigIntegerField(_("rows"), null=True)
    file = models.ForeignKey(
        StoredFile, on_delete=models.SET_NULL, null=True, related_name="exports", verbose_name=_("file")
    )
    finished_at = models.DateTimeField(_("finished at"), null=True)

    class Meta:
        verbose_name = _("export")
        verbose_name_plural = _("exports")
        ordering = ["-id"]
        indexes = [
            # the lists, newest first: one's own in the admin, one's own over the API, by source, by format
            models.Index(fields=["user", "id"], name="export_of_user"),
            models.Index(fields=["by", "id"], name="export_by"),
            models.Index(fields=["source", "id"], name="export_of_source"),
            models.Index(fields=["format", "id"], name="export_of_format"),
        ]

    def __str__(self) -> str:
        return f"{self.source}.{self.format} for {self.by}"
