"""The tables of the API: who may call it (ApiKey), what was changed through it (ApiCall), and answers kept to be given
once more (IdempotentRequest).

Descriptions only: `jobs.api.keys` and `jobs.api.idempotency` write them. No key is in the database, only its digest.
"""

from datetime import timedelta

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from jobs.ids import new_id
from jobs.scopes import names

ANSWERS_KEPT = timedelta(days=2)  # of requests that name themselves


class ApiKey(models.Model):
    """What a program shows to be let in, and what it may then do. Empty lists of names are all names."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    name = models.CharField(_("name"), max_length=100, help_text=_("which program has it"))
    prefix = models.CharField(
        _("prefix"), max_length=16, unique=True, editable=False, help_text=_("its beginning, to know it by")
    )
    digest = models.CharField(max_length=64, editable=False)  # SHA-256 of all of it
    scopes = models.JSONField(_("scopes"), default=list, validators=[names])
    queues = models.JSONField(_("queues"), default=list, blank=True, validators=[names], help_text=_("empty: all"))
    tasks = models.JSONField(_("tasks"), default=list, blank=True, validators=[names], help_text=_("empty: all"))
    tenants = models.JSONField(_("tenants"), default=list, blank=True, validators=[names], help_text=_("empty: all"))
    per_minute = models.PositiveIntegerField(
        _("per minute"), null=True, blank=True, help_text=_("requests; empty: as API_RATE_OF_KEY says")
    )
    created_at = models.DateTimeField(_("created at"), default=timezone.now, editable=False)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        editable=False,
        related_name="+",
        verbose_name=_("created by"),
        help_text=_("it never may more than this person; empty: made on the command line"),
    )
    expires_at = models.DateTimeField(_("expires at"), null=True, blank=True)
    last_used_at = models.DateTimeField(_("last used at"), null=True, editable=False, help_text=_("to a minute"))
    revoked_at = models.DateTimeField(_("revoked at"), null=True, editable=False)
    revoked_by = models.CharField(_("revoked by"), max_length=150, blank=True, editable=False)
    replaces = models.OneToOneField(
        "self",
        on_delete=models.SET_NULL,
        null=True,
        editable=False,
        related_name="successor",
        verbose_name=_("replaces"),
    )

    class Meta:
        verbose_name = _("API key")
        verbose_name_plural = _("API keys")
        ordering = ["-id"]
        permissions = [("revoke_apikey", _("Can revoke API keys"))]

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}...)"


class ApiCall(models.Model):
    """A change made through the API: who, what, when, and how it was answered. Rows are only ever added."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    at = models.DateTimeField(_("at"), default=timezone.now, editable=False)
    by = models.CharField(_("by"), max_length=150)
    operation = models.CharField(_("operation"), max_length=100)
    path = models.CharField(_("path"), max_length=300, help_text=_("has ids only"))
    status = models.PositiveSmallIntegerField(_("status"))
    key = models.CharField(_("idempotency key"), max_length=255, blank=True)

    class Meta:
        verbose_name = _("API call")
        verbose_name_plural = _("API calls")
        ordering = ["-id"]
        indexes = [
            # admin: what one caller has done, newest first
            models.Index(fields=["by", "-id"], name="api_call_by"),
            # pruner: what is old enough
            models.Index(fields=["at"], name="api_call_at"),
        ]

    def __str__(self) -> str:
        return f"{self.operation} by {self.by}"


class IdempotentRequest(models.Model):
    """A request that names itself (Idempotency-Key), and its answer once there is one."""

    caller = models.CharField(max_length=150)
    key = models.CharField(max_length=255)
    fingerprint = models.CharField(max_length=64, help_text="of method, path, query and body, with the caller's secret")
    token = models.UUIDField(default=new_id, help_text="of the request that is at work")
    at = models.DateTimeField(default=timezone.now)
    status = models.PositiveSmallIntegerField(null=True, help_text="empty: no answer yet")
    headers = models.JSONField(default=dict)
    sealed = models.TextField(blank=True, help_text="the body, encrypted by the caller's secret; empty: forgotten")

    class Meta:
        verbose_name = _("idempotent request")
        verbose_name_plural = _("idempotent requests")
        constraints = [
            # forbids that one request is carried out twice
            models.UniqueConstraint(fields=["caller", "key"], name="idempotent_once"),
        ]
        indexes = [
            # pruner: what is old enough
            models.Index(fields=["at"], name="idempotent_at"),
        ]

    def __str__(self) -> str:
        return f"{self.key} of {self.caller}"
