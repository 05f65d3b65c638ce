"""Messages outside of deliveries: the customer's inbox, what providers told, and the outbox of development."""

from django.db import models
from django.db.models import Q
from django.utils import timezone

from notifications.models.columns import Channel
from notifications.models.customers import Customer
from notifications.models.deliveries import Delivery


class InboxItem(models.Model):
    """A message in the customer's app."""

    class Level(models.TextChoices):
        INFO = "info"
        SUCCESS = "success"
        WARNING = "warning"
        ERROR = "error"

    customer = models.ForeignKey(Customer, on_delete=models.CASCADE, related_name="inbox")
    key = models.CharField(max_length=64, unique=True, help_text="the delivery's id: sent twice, it is there once")
    title = models.CharField(max_length=200)
    body = models.TextField()
    level = models.CharField(max_length=10, choices=Level.choices, default=Level.INFO)
    metadata = models.JSONField(default=dict, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    read_at = models.DateTimeField(null=True, blank=True)
    archived_at = models.DateTimeField(null=True, blank=True)
    expires_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [
            # list: newest first; count of the unread
            models.Index(fields=["customer", "-id"], name="inbox_list", condition=Q(archived_at__isnull=True)),
            models.Index(
                fields=["customer"], name="inbox_unread", condition=Q(read_at__isnull=True, archived_at__isnull=True)
            ),
        ]

    def __str__(self) -> str:
        return self.title


class ProviderEvent(models.Model):
    """A callback of a provider, once: delivered, bounced, complained, a reply. Holds no address and no text."""

    provider = models.CharField(max_length=40)
    event_id = models.CharField(max_length=200, help_text="the provider's; the same one twice is one event")
    kind = models.CharField(max_length=20)
    code = models.CharField(max_length=40, blank=True)
    delivery = models.ForeignKey(Delivery, on_delete=models.CASCADE, null=True, blank=True, related_name="events")
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            # forbids that a callback sent twice counts twice
            models.UniqueConstraint(fields=["provider", "event_id"], name="provider_event_once"),
        ]

    def __str__(self) -> str:
        return f"{self.provider}: {self.kind} {self.code}"


class OutboxMessage(models.Model):
    """What would have gone out: written by the development providers instead of a network call."""

    channel = models.CharField(max_length=20, choices=Channel.choices)
    key = models.CharField(max_length=64, unique=True)
    to = models.CharField(max_length=500)
    subject = models.TextField(blank=True)
    text = models.TextField(blank=True)
    html = models.TextField(blank=True)
    created_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return f"{self.channel} to {self.to}"


class Breaker(models.Model):
    """Whether a provider is being left alone, for all workers."""

    provider = models.CharField(max_length=40, primary_key=True)
    state = models.CharField(max_length=10, default="closed")  # closed, open, half-open
    failures = models.PositiveIntegerField(default=0)
    successes = models.PositiveIntegerField(default=0)
    opened_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"{self.provider}: {self.state}"


class BulkChange(models.Model):
    """One change to everything that matches a filter: the clinic is closed tomorrow."""

    class Kind(models.TextChoices):
        CANCEL = "cancel"
        MOVE = "move"
        MESSAGE = "message"

    kind = models.CharField(max_length=10, choices=Kind.choices)
    filters = models.JSONField()
    parameters = models.JSONField(default=dict)
    reason = models.TextField()
    actor = models.CharField(max_length=150)
    total = models.PositiveIntegerField(null=True)
    done = models.PositiveIntegerField(default=0)
    counts = models.JSONField(default=dict, help_text="what became of bookings and reminders")
    after = models.BigIntegerField(default=0, help_text="the last booking that was changed: where to go on")
    created_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"{self.kind} by {self.actor}: {self.done} of {self.total}"
