"""Customers, and what they agreed to receive."""

from django.core.validators import URLValidator
from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower
from django.utils import timezone
from phonenumber_field.modelfields import PhoneNumberField

from notifications.models.columns import Channel, validate_channels, zone_field


class Customer(models.Model):
    external_id = models.CharField(max_length=255, null=True, blank=True, unique=True)
    name = models.CharField(max_length=200)
    email = models.EmailField(blank=True)
    phone = PhoneNumberField(blank=True)
    webhook_url = models.CharField(
        max_length=500,
        blank=True,
        validators=[URLValidator(schemes=["http", "https"])],
        help_text="where this customer's own system listens",
    )
    webhook_secret = models.CharField(max_length=200, blank=True, help_text="whsec_..., signs what is sent there")
    locale = models.CharField(max_length=10, default="en")
    time_zone = zone_field()
    channels = models.JSONField(
        default=list, blank=True, validators=[validate_channels], help_text="preferred, best first; empty: as the rule"
    )

    class Meta:
        indexes = [
            # importers and provider callbacks: who has this address
            models.Index(Lower("email"), name="customer_by_email"),
            models.Index(fields=["phone"], name="customer_by_phone", condition=~Q(phone="")),
        ]

    def __str__(self) -> str:
        return self.name

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

    customer = models.ForeignKey(Customer, on_delete=models.CASCADE, related_name="consents")
    channel = models.CharField(max_length=20, choices=Channel.choices)
    granted = models.BooleanField()
    changed_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            # forbids two answers to one question
            models.UniqueConstraint(fields=["customer", "channel"], name="consent_once"),
        ]

    def __str__(self) -> str:
        return f"{self.channel}: {'yes' if self.granted else 'no'}"


class ConsentEvent(models.Model):
    """The evidence: who said what, when and how. Rows are only ever added."""

    class Source(models.TextChoices):
        FORM = "form", "told us in person or on a form"
        IMPORT = "import", "imported"
        API = "api", "through the API"
        UNSUBSCRIBE_LINK = "unsubscribe_link", "unsubscribe link"
        ONE_CLICK = "one_click", "one-click unsubscribe"
        REPLY = "reply", "reply to a message (STOP, START)"
        PROVIDER = "provider", "told by the provider"

    customer = models.ForeignKey(Customer, on_delete=models.CASCADE, related_name="consent_events")
    channel = models.CharField(max_length=20, choices=Channel.choices)
    granted = models.BooleanField()
    source = models.CharField(max_length=20, choices=Source.choices)
    actor = models.CharField(max_length=150, help_text="the user, the customer or the provider")
    evidence = models.TextField(blank=True, help_text="the words used, the form, the message it answers")
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-pk"]

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M} {self.channel}: {'yes' if self.granted else 'no'} ({self.source})"


class Suppression(models.Model):
    """An address that must not be written to, whoever has it: it bounced, complained, or said STOP."""

    class Cause(models.TextChoices):
        BOUNCE = "bounce", "does not exist"
        COMPLAINT = "complaint", "complained"
        STOP = "stop", "said STOP"
        BLOCKED = "blocked", "blocked by its provider"
        PERSON = "person", "by a person here"

    channel = models.CharField(max_length=20, choices=Channel.choices)
    address = models.CharField(max_length=500, help_text="normalised: lower-case email, E.164 number, URL")
    cause = models.CharField(max_length=20, choices=Cause.choices)
    detail = models.TextField(blank=True, help_text="what the provider said, or why")
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            # the question of the intent fence, and one answer to it
            models.UniqueConstraint(fields=["channel", "address"], name="suppression_once"),
        ]

    def __str__(self) -> str:
        return f"{self.channel}: {self.get_cause_display()}"
