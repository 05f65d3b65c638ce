"""Customers, and what they agreed to receive."""

from django.core.validators import URLValidator
from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext, gettext_lazy as _
from phonenumber_field.modelfields import PhoneNumberField

from notifications import privacy
from notifications.models.columns import Channel, newest_of_tenant, tenant_field, validate_channels, zone_field
from notifications.models.lookups import Folded


class Customer(models.Model):
    tenant = tenant_field()
    external_id = models.CharField(_("external id"), max_length=255, null=True, blank=True)  # noqa: DJ001  (ids only)
    name = models.CharField(_("name"), max_length=200)
    email = models.EmailField(_("email"), blank=True)
    phone = PhoneNumberField(_("phone"), blank=True)
    webhook_url = models.CharField(
        _("webhook url"),
        max_length=500,
        blank=True,
        validators=[URLValidator(schemes=["http", "https"])],
        help_text=_("where this customer's own system listens"),
    )
    webhook_secret = models.CharField(
        _("webhook secret"), max_length=200, blank=True, help_text=_("whsec_..., signs what is sent there")
    )
    locale = models.CharField(_("locale"), max_length=10, default="en")
    time_zone = zone_field()
    channels = models.JSONField(
        _("channels"),
        default=list,
        blank=True,
        validators=[validate_channels],
        help_text=_("preferred, best first; empty: as the rule"),
    )
    created_at = models.DateTimeField(_("created at"), default=timezone.now, editable=False)

    class Meta:
        verbose_name = _("customer")
        verbose_name_plural = _("customers")
        permissions = [("reveal_customer", _("Can see names and addresses of customers"))]
        indexes = [
            # importers and provider callbacks: who has this address
            models.Index(Lower("email"), name="customer_by_email"),
            models.Index(fields=["phone"], name="customer_by_phone", condition=~Q(phone="")),
            # searches: whose address begins so
            models.Index(Folded("email"), name="customer_begins"),
            # admin, API: the customers of a tenant
            newest_of_tenant("customer_of_tenant"),
        ]
        constraints = [
            # forbids two customers for one id of the tenant's own system
            models.UniqueConstraint(
                fields=["tenant", "external_id"],
                name="customer_external_id",
                violation_error_message=_("There is one with this external id already."),
            ),
        ]

    def __str__(self) -> str:
        return privacy.shown(self.name, privacy.name)

    def address(self, channel: str) -> str:
        """Where messages of that channel go; empty if there is no such place. An inbox everybody has."""
        return {
            Channel.EMAIL: self.email,
            Channel.SMS: str(self.phone or ""),
            Channel.INBOX: str(self.pk),
            Channel.WEBHOOK: self.webhook_url,
        }[Channel(channel)]


class Consent(models.Model):
    """What a customer last said about a channel. The story of it is in `ConsentEvent`."""

    customer = models.ForeignKey(
        Customer, on_delete=models.CASCADE, related_name="consents", verbose_name=_("customer")
    )
    channel = models.CharField(_("channel"), max_length=20, choices=Channel.choices)
    granted = models.BooleanField(_("granted"))
    changed_at = models.DateTimeField(_("changed at"), default=timezone.now)

    class Meta:
        verbose_name = _("consent")
        verbose_name_plural = _("consents")
        constraints = [
            # forbids two answers to one question
            models.UniqueConstraint(fields=["customer", "channel"], name="consent_once"),
        ]

    def __str__(self) -> str:
        return f"{self.get_channel_display()}: {gettext('yes') if self.granted else gettext('no')}"


class ConsentEvent(models.Model):
    """The evidence: who said what, when and how. Rows are only ever added."""

    class Source(models.TextChoices):
        FORM = "form", _("told us in person or on a form")
        IMPORT = "import", _("imported")
        API = "api", _("through the API")
        UNSUBSCRIBE_LINK = "unsubscribe_link", _("unsubscribe link")
        ONE_CLICK = "one_click", _("one-click unsubscribe")
        REPLY = "reply", _("reply to a message (STOP, START)")
        PROVIDER = "provider", _("told by the provider")

    customer = models.ForeignKey(
        Customer, on_delete=models.CASCADE, related_name="consent_events", verbose_name=_("customer")
    )
    channel = models.CharField(_("channel"), max_length=20, choices=Channel.choices)
    granted = models.BooleanField(_("granted"), null=True)  # null: what was said before is taken back
    source = models.CharField(_("source"), max_length=20, choices=Source.choices)
    actor = models.CharField(_("actor"), max_length=150, help_text=_("the user, the customer or the provider"))
    evidence = models.TextField(
        _("evidence"), blank=True, help_text=_("the words used, the form, the message it answers")
    )
    at = models.DateTimeField(_("at"), default=timezone.now)

    class Meta:
        verbose_name = _("consent event")
        verbose_name_plural = _("consent events")
        ordering = ["-pk"]

    def __str__(self) -> str:
        at = date_format(timezone.localtime(self.at), "DATETIME_FORMAT")
        said = "–" if self.granted is None else gettext("yes") if self.granted else gettext("no")
        return f"{at} {self.get_channel_display()}: {said} ({self.get_source_display()})"


class Suppression(models.Model):
    """An address that must not be written to, whoever has it: it bounced, complained, or said STOP."""

    class Cause(models.TextChoices):
        BOUNCE = "bounce", _("does not exist")
        COMPLAINT = "complaint", _("complained")
        STOP = "stop", _("said STOP")
        BLOCKED = "blocked", _("blocked by its provider")
        PERSON = "person", _("by a person here")

    channel = models.CharField(_("channel"), max_length=20, choices=Channel.choices)
    address = models.CharField(
        _("address"), max_length=500, help_text=_("normalised: lower-case email, E.164 number, URL")
    )
    cause = models.CharField(_("cause"), max_length=20, choices=Cause.choices)
    detail = models.TextField(_("detail"), blank=True, help_text=_("what the provider said, or why"))
    at = models.DateTimeField(_("at"), default=timezone.now)

    class Meta:
        verbose_name = _("suppression")
        verbose_name_plural = _("suppressions")
        constraints = [
            # the question of the intent fence, and one answer to it
            models.UniqueConstraint(fields=["channel", "address"], name="suppression_once"),
        ]

    def __str__(self) -> str:
        return f"{self.get_channel_display()}: {self.get_cause_display()}"
