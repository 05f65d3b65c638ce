"""When to remind of what, how, and in which words."""

from datetime import timedelta

from django.core.validators import MaxValueValidator
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from notifications.models.columns import Channel, by_email, tenant_field, validate_channels, within_two_years
from notifications.models.customers import Customer

FOR_WHOM = _("for this tenant alone; empty: for all")


class ReminderRule(models.Model):
    """A kind of reminder. `RuleOverride` changes it for a service, a location or a customer."""

    class Anchor(models.TextChoices):
        BOOKING_START = "booking_start", _("start of the booking")
        PAYMENT_DUE = "payment_due", _("due date of the payment")
        BOOKING_MADE = "booking_made", _("the booking is made")
        BOOKING_MOVED = "booking_moved", _("the booking is moved")
        BOOKING_CANCELLED = "booking_cancelled", _("the booking is cancelled")
        # One row for each message to many, owned by its BulkChange: see circulars.py.
        BULK_MESSAGE = "bulk_message", _("a message to many")
        BULK_MOVE = "bulk_move", _("many bookings are moved at once")
        BULK_CANCEL = "bulk_cancel", _("many bookings are cancelled at once")

    class Quiet(models.TextChoices):
        EARLIER = "earlier", _("before the quiet hours begin")
        LATER = "later", _("when they are over")
        SKIP = "skip", _("not at all")

    tenant = tenant_field(FOR_WHOM)
    name = models.CharField(_("name"), max_length=100)
    anchor = models.CharField(_("anchor"), max_length=20, choices=Anchor.choices)
    offset = models.DurationField(
        _("offset"),
        validators=[within_two_years],
        help_text=_("from the anchor; negative is before. With a time of day: whole days"),
    )
    at_time = models.TimeField(
        _("at time"), null=True, blank=True, help_text=_("at this time of that day, in the anchor's zone")
    )
    channels = models.JSONField(
        _("channels"),
        default=by_email,
        validators=[validate_channels],
        help_text=_("the first that reaches the customer is used"),
    )
    message = models.CharField(
        _("message"), max_length=100, help_text=_("which message: a folder of templates/messages")
    )
    useful_for = models.DurationField(
        _("useful for"), null=True, blank=True, help_text=_("not sent later than this; empty: until the start")
    )
    tolerance = models.DurationField(
        _("tolerance"),
        default=timedelta,
        blank=True,
        help_text=_("may go out this much later, so that not all go out in one second"),
    )
    quiet_from = models.TimeField(
        _("quiet from"), null=True, blank=True, help_text=_("nothing from here, by the customer's clocks,")
    )
    quiet_until = models.TimeField(_("quiet until"), null=True, blank=True, help_text=_("to here"))
    quiet = models.CharField(_("in quiet hours"), max_length=10, choices=Quiet.choices, default=Quiet.LATER)
    repeat_every = models.DurationField(
        _("repeat every"), null=True, blank=True, help_text=_("again after this, until paid")
    )
    repeat_times = models.PositiveSmallIntegerField(
        _("repeat times"), default=0, validators=[MaxValueValidator(100)], help_text=_("at most this often again")
    )
    per_day = models.PositiveSmallIntegerField(
        _("per day"),
        null=True,
        blank=True,
        help_text=_("at most this many such messages to one customer on one day of theirs"),
    )
    digest = models.BooleanField(
        _("digest"), default=False, help_text=_("several due on one day go to a customer as one message (payments)")
    )
    unless_confirmed = models.BooleanField(
        _("unless confirmed"), default=False, help_text=_("not once the customer has confirmed")
    )
    level = models.PositiveSmallIntegerField(
        _("level"), default=0, help_text=_("how urgent the words are, for templates")
    )
    active = models.BooleanField(_("active"), default=True)
    changed_at = models.DateTimeField(_("changed at"), auto_now=True)

    class Meta:
        verbose_name = _("reminder rule")
        verbose_name_plural = _("reminder rules")
        ordering = ["anchor", "offset"]
        constraints = [
            # forbids two rules that nobody could tell apart
            models.UniqueConstraint(
                fields=["tenant", "name"],
                name="rule_name",
                violation_error_message=_("There is a rule of this name already."),
            ),
            # forbids a rule whose moments no calendar has: it would end all planning
            models.CheckConstraint(
                name="rule_offset_within_two_years",
                condition=Q(offset__gte=timedelta(days=-730), offset__lte=timedelta(days=730)),
                violation_error_message=_("A reminder goes out within two years of its anchor."),
            ),
            # forbids quiet hours that never begin or never end
            models.CheckConstraint(
                name="rule_quiet_hours_whole",
                condition=Q(quiet_from__isnull=True, quiet_until__isnull=True)
                | Q(quiet_from__isnull=False, quiet_until__isnull=False),
                violation_error_message=_("Quiet hours need both a beginning and an end."),
            ),
            # forbids a series that repeats without an interval
            models.CheckConstraint(
                name="rule_repeats_with_interval",
                condition=Q(repeat_times=0) | Q(repeat_every__isnull=False, repeat_every__gt=timedelta(0)),
                violation_error_message=_("A rule that repeats needs an interval: repeat every ..."),
            ),
        ]

    def __str__(self) -> str:
        return self.name


class RuleOverride(models.Model):
    """What is different about a rule for a service, a location or a customer; what is empty stays as it is.

    The most specific one counts: for the customer before service and location, before service, before location; of
    two for the same, the tenant's before the one for all tenants.
    """

    rule = models.ForeignKey(ReminderRule, on_delete=models.CASCADE, related_name="overrides", verbose_name=_("rule"))
    tenant = tenant_field(FOR_WHOM)
    customer = models.ForeignKey(
        Customer, on_delete=models.CASCADE, null=True, blank=True, related_name="+", verbose_name=_("customer")
    )
    service = models.CharField(_("service"), max_length=200, blank=True)
    location = models.CharField(_("location"), max_length=300, blank=True)
    active = models.BooleanField(_("active"), null=True, blank=True)
    offset = models.DurationField(_("offset"), null=True, blank=True, validators=[within_two_years])
    at_time = models.TimeField(_("at time"), null=True, blank=True)
    channels = models.JSONField(_("channels"), null=True, blank=True, validators=[validate_channels])
    message = models.CharField(_("message"), max_length=100, blank=True)
    useful_for = models.DurationField(_("useful for"), null=True, blank=True)

    class Meta:
        verbose_name = _("rule override")
        verbose_name_plural = _("rule overrides")
        constraints = [
            # forbid two answers to what applies
            models.UniqueConstraint(fields=["tenant", "rule", "customer", "service", "location"], name="override_once"),
            models.UniqueConstraint(
                fields=["tenant", "rule", "service", "location"],
                name="override_once_for_all",
                condition=Q(customer__isnull=True),
            ),
            # forbids an override for everybody: that is the rule
            models.CheckConstraint(
                name="override_for_somebody", condition=Q(customer__isnull=False) | ~Q(service="") | ~Q(location="")
            ),
        ]

    def __str__(self) -> str:
        whom = [str(part) for part in (self.customer, self.service, self.location) if part]
        return f"{self.rule} for {', '.join(whom)}"


class MessageTemplate(models.Model):
    """The owner's words for a message, in Liquid; without a row the ones of templates/messages are used."""

    tenant = tenant_field(FOR_WHOM)
    message = models.CharField(_("message"), max_length=100, help_text=_("as in the rule"))
    channel = models.CharField(_("channel"), max_length=20, choices=Channel.choices)
    locale = models.CharField(_("locale"), max_length=10, default="en")
    subject = models.TextField(_("subject"), blank=True, help_text=_("one line; title of an in-app message"))
    text = models.TextField(_("text"))
    html = models.TextField(_("html"), blank=True, help_text=_("email only"))
    changed_at = models.DateTimeField(_("changed at"), auto_now=True)

    class Meta:
        verbose_name = _("message template")
        verbose_name_plural = _("message templates")
        constraints = [
            # forbids two wordings of one message
            models.UniqueConstraint(
                fields=["tenant", "message", "channel", "locale"],
                name="template_once",
                violation_error_message=_("There are words for this message, channel and language already."),
            ),
        ]
        permissions = [("try_messagetemplate", _("Can send messages as a test to any address"))]

    def __str__(self) -> str:
        return f"{self.message}, {self.get_channel_display()}, {self.locale}"
