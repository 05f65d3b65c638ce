"""When to remind of what, how, and in which words."""

from datetime import timedelta

from django.core.validators import MaxValueValidator
from django.db import models
from django.db.models import Q

from notifications.models.columns import Channel, by_email, validate_channels, within_two_years
from notifications.models.customers import Customer


class ReminderRule(models.Model):
    """A kind of reminder. `RuleOverride` changes it for a service, a location or a customer."""

    class Anchor(models.TextChoices):
        BOOKING_START = "booking_start", "start of the booking"
        PAYMENT_DUE = "payment_due", "due date of the payment"
        BOOKING_MADE = "booking_made", "the booking is made"
        BOOKING_MOVED = "booking_moved", "the booking is moved"
        BOOKING_CANCELLED = "booking_cancelled", "the booking is cancelled"

    class Quiet(models.TextChoices):
        EARLIER = "earlier", "before the quiet hours begin"
        LATER = "later", "when they are over"
        SKIP = "skip", "not at all"

    name = models.CharField(max_length=100, unique=True)
    anchor = models.CharField(max_length=20, choices=Anchor.choices)
    offset = models.DurationField(
        validators=[within_two_years], help_text="from the anchor; negative is before. With a time of day: whole days"
    )
    at_time = models.TimeField(null=True, blank=True, help_text="at this time of that day, in the anchor's zone")
    channels = models.JSONField(
        default=by_email, validators=[validate_channels], help_text="the first that reaches the customer is used"
    )
    message = models.CharField(max_length=100, help_text="which message: a folder of templates/messages")
    useful_for = models.DurationField(
        null=True, blank=True, help_text="not sent later than this; empty: until the start"
    )
    tolerance = models.DurationField(
        default=timedelta, blank=True, help_text="may go out this much later, so that not all go out in one second"
    )
    quiet_from = models.TimeField(null=True, blank=True, help_text="nothing from here, by the customer's clocks,")
    quiet_until = models.TimeField(null=True, blank=True, help_text="to here")
    quiet = models.CharField("in quiet hours", max_length=10, choices=Quiet.choices, default=Quiet.LATER)
    repeat_every = models.DurationField(null=True, blank=True, help_text="again after this, until paid")
    repeat_times = models.PositiveSmallIntegerField(
        default=0, validators=[MaxValueValidator(100)], help_text="at most this often again"
    )
    per_day = models.PositiveSmallIntegerField(
        null=True, blank=True, help_text="at most this many such messages to one customer on one day of theirs"
    )
    digest = models.BooleanField(
        default=False, help_text="several due on one day go to a customer as one message (payments)"
    )
    unless_confirmed = models.BooleanField(default=False, help_text="not once the customer has confirmed")
    level = models.PositiveSmallIntegerField(default=0, help_text="how urgent the words are, for templates")
    active = models.BooleanField(default=True)

    class Meta:
        ordering = ["anchor", "offset"]
        constraints = [
            # forbids a rule whose moments no calendar has: it would end all planning
            models.CheckConstraint(
                name="rule_offset_within_two_years",
                condition=Q(offset__gte=timedelta(days=-730), offset__lte=timedelta(days=730)),
            ),
            # forbids quiet hours that never begin or never end
            models.CheckConstraint(
                name="rule_quiet_hours_whole",
                condition=Q(quiet_from__isnull=True, quiet_until__isnull=True)
                | Q(quiet_from__isnull=False, quiet_until__isnull=False),
            ),
            # forbids a series that repeats without an interval
            models.CheckConstraint(
                name="rule_repeats_with_interval",
                condition=Q(repeat_times=0) | Q(repeat_every__gt=timedelta(0)),
            ),
        ]

    def __str__(self) -> str:
        return self.name


class RuleOverride(models.Model):
    """What is different about a rule for a service, a location or a customer; what is empty stays as it is.

    The most specific one counts: for the customer before service and location, before service, before location.
    """

    rule = models.ForeignKey(ReminderRule, on_delete=models.CASCADE, related_name="overrides")
    customer = models.ForeignKey(Customer, on_delete=models.CASCADE, null=True, blank=True, related_name="+")
    service = models.CharField(max_length=200, blank=True)
    location = models.CharField(max_length=300, blank=True)
    active = models.BooleanField(null=True, blank=True)
    offset = models.DurationField(null=True, blank=True, validators=[within_two_years])
    at_time = models.TimeField(null=True, blank=True)
    channels = models.JSONField(null=True, blank=True, validators=[validate_channels])
    message = models.CharField(max_length=100, blank=True)
    useful_for = models.DurationField(null=True, blank=True)

    class Meta:
        constraints = [
            # forbid two answers to what applies
            models.UniqueConstraint(fields=["rule", "customer", "service", "location"], name="override_once"),
            models.UniqueConstraint(
                fields=["rule", "service", "location"],
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

    message = models.CharField(max_length=100, help_text="as in the rule")
    channel = models.CharField(max_length=20, choices=Channel.choices)
    locale = models.CharField(max_length=10, default="en")
    subject = models.TextField(blank=True, help_text="one line; title of an in-app message")
    text = models.TextField()
    html = models.TextField(blank=True, help_text="email only")
    changed_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [
            # forbids two wordings of one message
            models.UniqueConstraint(fields=["message", "channel", "locale"], name="template_once"),
        ]

    def __str__(self) -> str:
        return f"{self.message}, {self.channel}, {self.locale}"
