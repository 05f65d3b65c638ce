"""What is reminded of: bookings and payments."""

from datetime import datetime
from zoneinfo import ZoneInfo

from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from notifications.models.columns import zone_field
from notifications.models.customers import Customer


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
    confirmed_at = models.DateTimeField(null=True, blank=True, help_text="when the customer said that they will come")
    revision = models.PositiveIntegerField(default=1)  # +1 with every move; a delivery of an older one is never sent
    moved_at = models.DateTimeField(null=True, blank=True, editable=False, help_text="when it got this revision")
    closed_at = models.DateTimeField(null=True, blank=True, editable=False, help_text="when it was cancelled or over")
    sequence = models.PositiveIntegerField(default=0)  # of the calendar entry: +1 with every change of it
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    # Empty for what an import brought: its customers were told elsewhere, and maybe long ago.
    made_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="when it was booked, if it was here"
    )

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
        DISPUTED = "disputed"  # the customer objects: no reminders until somebody has decided
        WRITTEN_OFF = "written_off"
        REFUNDED = "refunded"  # paid, and all of it given back

    external_id = models.CharField(max_length=255, null=True, blank=True, unique=True)
    customer = models.ForeignKey(Customer, on_delete=models.PROTECT, related_name="payments")
    booking = models.ForeignKey(Booking, on_delete=models.PROTECT, null=True, blank=True, related_name="payments")
    subject = models.CharField(max_length=200, help_text="what it is for")
    amount = models.BigIntegerField(help_text="in minor units")
    paid_amount = models.BigIntegerField(default=0, help_text="in minor units")
    refunded_amount = models.BigIntegerField(default=0, help_text="in minor units, of what was paid")
    currency = models.CharField(max_length=3, help_text="ISO 4217")
    due_on = models.DateField(help_text="a date in the zone below, not a moment")
    time_zone = zone_field()
    status = models.CharField(max_length=12, choices=Status.choices, default=Status.OPEN)
    revision = models.PositiveIntegerField(default=1)
    moved_at = models.DateTimeField(null=True, blank=True, editable=False, help_text="when it got this revision")
    closed_at = models.DateTimeField(null=True, blank=True, editable=False, help_text="when it ceased to be open")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        indexes = [
            # reconcile: the payments that are still open
            models.Index(fields=["due_on"], name="payment_open", condition=Q(status="open")),
        ]
        constraints = [
            # forbids asking for nothing, or for money back
            models.CheckConstraint(name="payment_amounts", condition=Q(amount__gt=0, paid_amount__gte=0)),
            # forbids giving back more than came in
            models.CheckConstraint(
                name="payment_refund", condition=Q(refunded_amount__gte=0, refunded_amount__lte=F("paid_amount"))
            ),
        ]

    def __str__(self) -> str:
        return f"{self.subject}, due {self.due_on}"


class ZoneDatabase(models.Model):
    """The edition of the time zone database that the stored moments were computed with. One row."""

    version = models.CharField(max_length=40)
    applied_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return self.version
