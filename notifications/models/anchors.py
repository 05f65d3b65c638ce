"""What is reminded of: bookings and payments."""

from datetime import datetime
from zoneinfo import ZoneInfo

from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.formats import localize
from django.utils.translation import gettext, gettext_lazy as _

from notifications.models.columns import newest_of_tenant, tenant_field, zone_field
from notifications.models.customers import Customer
from notifications.models.lookups import Folded


class Booking(models.Model):
    """An appointment. What was agreed is a time on the wall of a place; `starts_at` is the moment that makes."""

    class Status(models.TextChoices):
        BOOKED = "booked", _("booked")
        CANCELLED = "cancelled", _("called off")
        COMPLETED = "completed", _("completed")
        NO_SHOW = "no_show", _("no show")

    tenant = tenant_field()  # the customer's
    external_id = models.CharField(_("external id"), max_length=255, null=True, blank=True)  # noqa: DJ001  (ids only)
    customer = models.ForeignKey(
        Customer, on_delete=models.PROTECT, related_name="bookings", verbose_name=_("customer")
    )
    service = models.CharField(_("service"), max_length=200)
    location = models.CharField(_("location"), max_length=300, blank=True)
    wall_date = models.DateField(_("wall date"), help_text=_("as agreed, in the venue's zone"))
    wall_time = models.TimeField(_("wall time"), help_text=_("as agreed, in the venue's zone"))
    fold = models.PositiveSmallIntegerField(
        _("fold"), default=0, help_text=_("1: the second of a time that the clocks show twice")
    )
    time_zone = zone_field()
    starts_at = models.DateTimeField(_("starts at"), help_text=_("wall date and time as a moment"))
    ends_at = models.DateTimeField(_("ends at"))
    status = models.CharField(_("status"), max_length=10, choices=Status.choices, default=Status.BOOKED)
    confirmed_at = models.DateTimeField(
        _("confirmed at"), null=True, blank=True, help_text=_("when the customer said that they will come")
    )
    revision = models.PositiveIntegerField(
        _("revision"), default=1
    )  # +1 with every move; a delivery of an older one is never sent
    moved_at = models.DateTimeField(
        _("moved at"), null=True, blank=True, editable=False, help_text=_("when it got this revision")
    )
    closed_at = models.DateTimeField(
        _("closed at"), null=True, blank=True, editable=False, help_text=_("when it was cancelled or over")
    )
    sequence = models.PositiveIntegerField(
        _("sequence"), default=0
    )  # of the calendar entry: +1 with every change of it
    created_at = models.DateTimeField(_("created at"), default=timezone.now, editable=False)
    # Empty for what an import brought: its customers were told elsewhere, and maybe long ago.
    made_at = models.DateTimeField(
        _("made at"), null=True, blank=True, editable=False, help_text=_("when it was booked, if it was here")
    )

    class Meta:
        verbose_name = _("booking")
        verbose_name_plural = _("bookings")
        indexes = [
            # admin: the bookings of a day on the venue's wall
            models.Index(fields=["wall_date"], name="booking_of_day"),
            # reconcile: the bookings that are still to come
            models.Index(fields=["starts_at"], name="booking_upcoming", condition=Q(status="booked")),
            # admin, API: the bookings of a tenant
            newest_of_tenant("booking_of_tenant"),
            # searches: what begins so
            models.Index(Folded("external_id"), name="booking_by_number"),
            models.Index(Folded("service"), name="booking_by_service"),
            # reports: what was made, moved or closed within a period
            models.Index(fields=["created_at"], name="booking_made"),
            models.Index(fields=["moved_at"], name="booking_moved", condition=Q(moved_at__isnull=False)),
            models.Index(fields=["closed_at", "status"], name="booking_closed", condition=Q(closed_at__isnull=False)),
        ]
        constraints = [
            # forbids two bookings for one id of the tenant's own system
            models.UniqueConstraint(
                fields=["tenant", "external_id"],
                name="booking_external_id",
                violation_error_message=_("There is one with this external id already."),
            ),
            # forbids appointments that are over before they begin
            models.CheckConstraint(name="booking_ends_after_start", condition=Q(ends_at__gt=F("starts_at"))),
        ]

    def __str__(self) -> str:
        return f"{self.service}, {localize(self.local_start)} {self.time_zone}"

    @property
    def local_start(self) -> datetime:
        """The start as the venue's clocks show it."""
        return self.starts_at.astimezone(ZoneInfo(self.time_zone))


class Payment(models.Model):
    """Money a customer owes by a date. Amounts are in minor units: 1250 EUR is twelve euros fifty."""

    class Status(models.TextChoices):
        OPEN = "open", _("open")
        PAID = "paid", _("paid")
        CANCELLED = "cancelled", _("called off")
        DISPUTED = "disputed", _("disputed")  # the customer objects: no reminders until somebody has decided
        WRITTEN_OFF = "written_off", _("written off")
        REFUNDED = "refunded", _("refunded")  # paid, and all of it given back

    tenant = tenant_field()  # the customer's
    external_id = models.CharField(_("external id"), max_length=255, null=True, blank=True)  # noqa: DJ001  (ids only)
    customer = models.ForeignKey(
        Customer, on_delete=models.PROTECT, related_name="payments", verbose_name=_("customer")
    )
    booking = models.ForeignKey(
        Booking, on_delete=models.PROTECT, null=True, blank=True, related_name="payments", verbose_name=_("booking")
    )
    subject = models.CharField(_("subject"), max_length=200, help_text=_("what it is for"))
    amount = models.BigIntegerField(_("amount"), help_text=_("in minor units"))
    paid_amount = models.BigIntegerField(_("paid amount"), default=0, help_text=_("in minor units"))
    refunded_amount = models.BigIntegerField(
        _("refunded amount"), default=0, help_text=_("in minor units, of what was paid")
    )
    currency = models.CharField(_("currency"), max_length=3, help_text=_("ISO 4217"))
    due_on = models.DateField(_("due on"), help_text=_("a date in the zone below, not a moment"))
    time_zone = zone_field()
    status = models.CharField(_("status"), max_length=12, choices=Status.choices, default=Status.OPEN)
    revision = models.PositiveIntegerField(_("revision"), default=1)
    moved_at = models.DateTimeField(
        _("moved at"), null=True, blank=True, editable=False, help_text=_("when it got this revision")
    )
    closed_at = models.DateTimeField(
        _("closed at"), null=True, blank=True, editable=False, help_text=_("when it ceased to be open")
    )
    created_at = models.DateTimeField(_("created at"), default=timezone.now, editable=False)

    class Meta:
        verbose_name = _("payment")
        verbose_name_plural = _("payments")
        indexes = [
            # reconcile: the payments that are still open
            models.Index(fields=["due_on"], name="payment_open", condition=Q(status="open")),
            # admin, API: the payments of a tenant
            newest_of_tenant("payment_of_tenant"),
            # reports: what was paid within a period
            models.Index(fields=["closed_at", "status"], name="payment_closed", condition=Q(closed_at__isnull=False)),
        ]
        constraints = [
            # forbids two payments for one id of the tenant's own system
            models.UniqueConstraint(
                fields=["tenant", "external_id"],
                name="payment_external_id",
                violation_error_message=_("There is one with this external id already."),
            ),
            # forbids asking for nothing, or for money back
            models.CheckConstraint(name="payment_amounts", condition=Q(amount__gt=0, paid_amount__gte=0)),
            # forbids giving back more than came in
            models.CheckConstraint(
                name="payment_refund", condition=Q(refunded_amount__gte=0, refunded_amount__lte=F("paid_amount"))
            ),
        ]

    def __str__(self) -> str:
        return gettext("{subject}, due {day}").format(subject=self.subject, day=localize(self.due_on))


class ZoneDatabase(models.Model):
    """The edition of the time zone database that the stored moments were computed with. One row."""

    version = models.CharField(_("version"), max_length=40)
    applied_at = models.DateTimeField(_("applied at"), default=timezone.now)

    class Meta:
        verbose_name = _("zone database")
        verbose_name_plural = _("zone databases")

    def __str__(self) -> str:
        return self.version
