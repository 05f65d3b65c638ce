"""The tables of the product: customers, bookings, payments, rules, and the deliveries that rules make of them.

Descriptions only. Bookings change through `bookings.py`, payments through `payments.py`, deliveries through
`reminders.py`; each of these changes are guarded UPDATEs.
"""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Lower
from django.utils import timezone
from phonenumber_field.modelfields import PhoneNumberField

from jobs.ids import new_id
from notifications import timing


def validate_zone(name: str) -> None:
    try:
        timing.zone(name)
    except ValueError as exc:
        raise ValidationError(str(exc)) from exc


def within_two_years(offset: timedelta) -> None:
    if abs(offset) > timedelta(days=730):
        raise ValidationError("A reminder goes out within two years of its anchor.")


def default_zone() -> str:
    return str(settings.TIME_ZONE)


def zone_field() -> "models.CharField[str, str]":
    return models.CharField(max_length=64, default=default_zone, validators=[validate_zone], help_text="IANA name")


class Customer(models.Model):
    external_id = models.CharField(max_length=255, null=True, blank=True, unique=True)
    name = models.CharField(max_length=200)
    email = models.EmailField(blank=True)
    phone = PhoneNumberField(blank=True)
    locale = models.CharField(max_length=10, default="en")
    time_zone = zone_field()

    class Meta:
        indexes = [
            # importers: who has this address
            models.Index(Lower("email"), name="customer_by_email"),
        ]

    def __str__(self) -> str:
        return self.name


class Booking(models.Model):
    """An appointment. What was agreed is a time on the wall of a place; `starts_at` is the moment that makes."""

    class Status(models.TextChoices):
        BOOKED = "booked"
        CANCELLED = "cancelled"
        COMPLETED = "completed"
        NO_SHOW = "no_show"

    external_id = models.CharField(max_length=255, null=True, blank=True, unique=True)
    customer = models.ForeignKey(Customer, on_delete=models.PROTECT, related_name="bookings")
    service = models.CharField(max_length=200)
    location = models.CharField(max_length=300, blank=True)
    wall_date = models.DateField(help_text="as agreed, in the venue's zone")
    wall_time = models.TimeField(help_text="as agreed, in the venue's zone")
    fold = models.PositiveSmallIntegerField(default=0, help_text="1: the second of a time that the clocks show twice")
    time_zone = zone_field()
    starts_at = models.DateTimeField(help_text="wall date and time as a moment")
    ends_at = models.DateTimeField()
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.BOOKED)
    revision = models.PositiveIntegerField(default=1)  # +1 with every move; a delivery of an older one is never sent
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        indexes = [
            # reconcile: the bookings that are still to come
            models.Index(fields=["starts_at"], name="booking_upcoming", condition=Q(status="booked")),
        ]
        constraints = [
            # forbids appointments that are over before they begin
            models.CheckConstraint(name="booking_ends_after_start", condition=Q(ends_at__gt=F("starts_at"))),
        ]

    def __str__(self) -> str:
        return f"{self.service}, {self.local_start:%Y-%m-%d %H:%M} {self.time_zone}"

    @property
    def local_start(self) -> datetime:
        """The start as the venue's clocks show it."""
        return self.starts_at.astimezone(ZoneInfo(self.time_zone))


class Payment(models.Model):
    """Money a customer owes by a date. Amounts are in minor units: 1250 EUR is twelve euros fifty."""

    class Status(models.TextChoices):
        OPEN = "open"
        PAID = "paid"
        CANCELLED = "cancelled"

    external_id = models.CharField(max_length=255, null=True, blank=True, unique=True)
    customer = models.ForeignKey(Customer, on_delete=models.PROTECT, related_name="payments")
    booking = models.ForeignKey(Booking, on_delete=models.PROTECT, null=True, blank=True, related_name="payments")
    subject = models.CharField(max_length=200, help_text="what it is for")
    amount = models.BigIntegerField(help_text="in minor units")
    paid_amount = models.BigIntegerField(default=0, help_text="in minor units")
    currency = models.CharField(max_length=3, help_text="ISO 4217")
    due_on = models.DateField(help_text="a date in the zone below, not a moment")
    time_zone = zone_field()
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.OPEN)
    revision = models.PositiveIntegerField(default=1)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        indexes = [
            # reconcile: the payments that are still open
            models.Index(fields=["due_on"], name="payment_open", condition=Q(status="open")),
        ]
        constraints = [
            # forbids asking for nothing, or for money back
            models.CheckConstraint(name="payment_amounts", condition=Q(amount__gt=0, paid_amount__gte=0)),
        ]

    def __str__(self) -> str:
        return f"{self.subject}, due {self.due_on}"


class ReminderRule(models.Model):
    """When to remind of what, over which channel, with which message."""

    class Anchor(models.TextChoices):
        BOOKING_START = "booking_start"
        PAYMENT_DUE = "payment_due"

    class Channel(models.TextChoices):
        EMAIL = "email"

    name = models.CharField(max_length=100, unique=True)
    anchor = models.CharField(max_length=20, choices=Anchor.choices)
    offset = models.DurationField(
        validators=[within_two_years], help_text="from the anchor; negative is before. With a time of day: whole days"
    )
    at_time = models.TimeField(null=True, blank=True, help_text="at this time of that day, in the anchor's zone")
    channel = models.CharField(max_length=20, choices=Channel.choices, default=Channel.EMAIL)
    message = models.CharField(max_length=100, help_text="a folder of templates/messages")
    useful_for = models.DurationField(
        null=True, blank=True, help_text="not sent later than this; empty: until the start"
    )
    active = models.BooleanField(default=True)

    class Meta:
        ordering = ["anchor", "offset"]
        constraints = [
            # forbids a rule whose moments no calendar has: it would end all planning
            models.CheckConstraint(
                name="rule_offset_within_two_years",
                condition=Q(offset__gte=timedelta(days=-730), offset__lte=timedelta(days=730)),
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def window(self, anchor: "Booking | Payment") -> timing.Window:
        """When this rule's message about `anchor` is to go out."""
        if isinstance(anchor, Booking):
            return timing.around_start(anchor.starts_at, anchor.time_zone, self.offset, self.at_time, self.useful_for)
        return timing.around_date(anchor.due_on, anchor.time_zone, self.offset, self.at_time, self.useful_for)


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
        NO_ADDRESS = "no_address", "the customer has no address for this channel"
        RULE_OFF = "rule_off", "the rule is switched off"
        TOO_LATE = "too_late", "could not go out while it was useful"
        JOB_CANCELLED = "job_cancelled", "its job was cancelled"
        BROKEN_TEMPLATE = "broken_template", "its template does not render"

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    rule = models.ForeignKey(ReminderRule, on_delete=models.PROTECT, related_name="deliveries")
    booking = models.ForeignKey(Booking, on_delete=models.PROTECT, null=True, blank=True, related_name="deliveries")
    payment = models.ForeignKey(Payment, on_delete=models.PROTECT, null=True, blank=True, related_name="deliveries")
    customer = models.ForeignKey(Customer, on_delete=models.PROTECT, related_name="deliveries")
    channel = models.CharField(max_length=20, choices=ReminderRule.Channel.choices)
    revision = models.PositiveIntegerField(help_text="the booking's or payment's when this was planned")
    state = models.CharField(max_length=10, choices=State.choices, default=State.PLANNED)
    reason = models.CharField(max_length=20, choices=Reason.choices, blank=True)
    detail = models.TextField(blank=True, help_text="what the provider or the error said")
    send_at = models.DateTimeField()
    useful_until = models.DateTimeField()
    token = models.PositiveIntegerField(null=True, blank=True)  # of the attempt that wrote the intent
    intent_at = models.DateTimeField(null=True, blank=True)
    sent_at = models.DateTimeField(null=True, blank=True)
    provider_id = models.CharField(max_length=255, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        verbose_name_plural = "deliveries"
        permissions = [("cancel_delivery", "Can withdraw deliveries"), ("retry_delivery", "Can send deliveries again")]
        indexes = [
            # settle: what is still open; admin: newest first within a state
            models.Index(fields=["state", "-id"], name="delivery_state"),
        ]
        constraints = [
            # forbid the same reminder twice, whoever plans at the same time
            models.UniqueConstraint(
                fields=["booking", "rule", "channel", "revision"], name="delivery_once_per_booking"
            ),
            models.UniqueConstraint(
                fields=["payment", "rule", "channel", "revision"], name="delivery_once_per_payment"
            ),
            # forbids a reminder of nothing, or of two things
            models.CheckConstraint(
                name="delivery_has_one_anchor", condition=Q(booking__isnull=True) ^ Q(payment__isnull=True)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.rule} by {self.channel}: {self.state}"

    @property
    def anchor(self) -> Booking | Payment:
        found = self.booking or self.payment
        if found is None:  # the check constraint forbids it
            raise LookupError(f"delivery {self.pk} has neither booking nor payment")
        return found
