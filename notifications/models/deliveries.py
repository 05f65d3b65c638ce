"""Deliveries: one message to one recipient, and what became of it."""

from collections.abc import Sequence

from django.db import models
from django.db.models import Q
from django.utils import timezone

from jobs.ids import new_id
from notifications.models.anchors import Booking, Payment
from notifications.models.columns import Channel
from notifications.models.customers import Customer
from notifications.models.rules import ReminderRule


class Delivery(models.Model):
    """One message to one recipient by one channel. Its id is its job's id, the Message-ID and the provider's key."""

    class State(models.TextChoices):
        PLANNED = "planned"  # its job waits for send_at
        SENDING = "sending"  # the intent is written; the provider is being called, or was when the worker died
        SENT = "sent"  # the provider took it
        REFUSED = "refused"  # the provider will not take it
        IN_DOUBT = "in_doubt"  # the provider may or may not have taken it; never sent again by itself
        SKIPPED = "skipped"  # not sent, see reason

    class Reason(models.TextChoices):
        LEAD_TIME_PAST = "lead_time_past", "made too late for this reminder"
        CANCELLED = "cancelled", "the booking or payment is cancelled or over"
        RESCHEDULED = "rescheduled", "the booking or payment was moved"
        PAID = "paid", "the payment is paid"
        DISPUTED = "disputed", "the customer disputes the payment"
        WRITTEN_OFF = "written_off", "the payment is written off"
        CONFIRMED = "confirmed", "the customer has confirmed"
        NO_ADDRESS = "no_address", "the customer has no address for this channel"
        OPTED_OUT = "opted_out", "the customer does not want messages by this channel"
        SUPPRESSED = "suppressed", "the address bounced, complained or said STOP"
        OTHER_CHANNEL = "other_channel", "it goes by another channel now"
        QUIET_HOURS = "quiet_hours", "it would have come in quiet hours"
        SUPERSEDED = "superseded", "a more relevant message went out instead"
        IN_DIGEST = "in_digest", "its content went out in another message of that day"
        DAY_FULL = "day_full", "the customer had enough messages that day"
        RULE_OFF = "rule_off", "the rule is switched off"
        TOO_LATE = "too_late", "could not go out while it was useful"
        JOB_CANCELLED = "job_cancelled", "its job was cancelled"
        BROKEN_TEMPLATE = "broken_template", "its template does not render"

    class Outcome(models.TextChoices):
        DELIVERED = "delivered"
        BOUNCED = "bounced"
        COMPLAINED = "complained"
        FAILED = "failed"

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    rule = models.ForeignKey(ReminderRule, on_delete=models.PROTECT, related_name="deliveries")
    booking = models.ForeignKey(Booking, on_delete=models.PROTECT, null=True, blank=True, related_name="deliveries")
    payment = models.ForeignKey(Payment, on_delete=models.PROTECT, null=True, blank=True, related_name="deliveries")
    customer = models.ForeignKey(Customer, on_delete=models.PROTECT, related_name="deliveries")
    channel = models.CharField(max_length=20, choices=Channel.choices)
    revision = models.PositiveIntegerField(help_text="the booking's or payment's when this was planned")
    occurrence = models.PositiveSmallIntegerField(default=0, help_text="0, or the how-manieth repetition")
    fallback_of = models.ForeignKey("self", on_delete=models.CASCADE, null=True, blank=True, related_name="fallbacks")
    digest = models.ForeignKey("self", on_delete=models.CASCADE, null=True, blank=True, related_name="contains")
    state = models.CharField(max_length=10, choices=State.choices, default=State.PLANNED)
    reason = models.CharField(max_length=20, choices=Reason.choices, blank=True)
    detail = models.TextField(blank=True, help_text="what the provider or the error said")
    send_at = models.DateTimeField()
    useful_until = models.DateTimeField()
    token = models.PositiveIntegerField(null=True, blank=True)  # of the attempt that wrote the intent
    intent_at = models.DateTimeField(null=True, blank=True)
    sent_at = models.DateTimeField(null=True, blank=True)
    provider_id = models.CharField(max_length=255, blank=True)
    doubts = models.PositiveSmallIntegerField(default=0, help_text="attempts of which nobody knows what became")
    outcome = models.CharField(max_length=10, choices=Outcome.choices, blank=True, help_text="told by the provider")
    outcome_at = models.DateTimeField(null=True, blank=True)
    segments = models.PositiveSmallIntegerField(null=True, blank=True, help_text="parts of an SMS")
    cost = models.DecimalField(max_digits=12, decimal_places=6, null=True, blank=True)
    cost_currency = models.CharField(max_length=3, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        verbose_name_plural = "deliveries"
        permissions = [
            ("cancel_delivery", "Can withdraw deliveries"),
            ("retry_delivery", "Can send deliveries again"),
            ("resolve_delivery", "Can say what became of deliveries in doubt"),
        ]
        indexes = [
            # settle: what is still open; admin: newest first within a state
            models.Index(fields=["state", "-id"], name="delivery_state"),
            # callbacks: which delivery the provider speaks of
            models.Index(fields=["provider_id"], name="delivery_by_provider_id", condition=~Q(provider_id="")),
            # digest, per day, superseding: what else this customer gets
            models.Index(fields=["customer", "send_at"], name="delivery_of_customer"),
        ]
        constraints = [
            # forbid the same reminder twice, whoever plans at the same time
            models.UniqueConstraint(
                fields=["booking", "rule", "occurrence", "channel", "revision"], name="delivery_once_per_booking"
            ),
            models.UniqueConstraint(
                fields=["payment", "rule", "occurrence", "channel", "revision"], name="delivery_once_per_payment"
            ),
            # forbids a reminder of nothing, or of two things
            models.CheckConstraint(
                name="delivery_has_one_anchor", condition=Q(booking__isnull=True) ^ Q(payment__isnull=True)
            ),
        ]

    # The other deliveries whose content this one's message has, while it is being sent: see digests.py.
    companions: Sequence["Delivery"] = ()

    def __str__(self) -> str:
        return f"{self.rule} by {self.channel}: {self.state}"

    @property
    def fate(self) -> str:
        """The state of the message that carries it: its own, or that of the digest that took it along."""
        return self.digest.state if self.digest and self.reason == self.Reason.IN_DIGEST else self.state

    @property
    def anchor(self) -> Booking | Payment:
        found = self.booking or self.payment
        if found is None:  # the check constraint forbids it
            raise LookupError(f"delivery {self.pk} has neither booking nor payment")
        return found
