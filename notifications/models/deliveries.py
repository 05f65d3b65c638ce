"""Deliveries: one message to one recipient, and what became of it."""

from collections.abc import Sequence
from datetime import datetime

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext, gettext_lazy as _

from jobs.ids import new_id
from notifications.models.anchors import Booking, Payment
from notifications.models.columns import Channel, newest_of_tenant, tenant_field
from notifications.models.customers import Customer
from notifications.models.rules import ReminderRule


class Delivery(models.Model):
    """One message to one recipient by one channel. Its id is its job's id, the Message-ID and the provider's key."""

    class State(models.TextChoices):
        PLANNED = "planned", _("planned")  # its job waits for send_at
        SENDING = (
            "sending",
            _("sending"),
        )  # the intent is written; the provider is being called, or was when the worker died
        SENT = "sent", _("sent")  # the provider took it
        REFUSED = "refused", _("refused")  # the provider will not take it
        IN_DOUBT = "in_doubt", _("in doubt")  # the provider may or may not have taken it; never sent again by itself
        SKIPPED = "skipped", _("skipped")  # not sent, see reason

    class Reason(models.TextChoices):
        LEAD_TIME_PAST = "lead_time_past", _("made too late for this reminder")
        CANCELLED = "cancelled", _("the booking or payment is cancelled or over")
        NOT_CANCELLED = "not_cancelled", _("the booking is not cancelled, and this message would say so")
        RESCHEDULED = "rescheduled", _("the booking or payment was moved")
        PAID = "paid", _("the payment is paid")
        DISPUTED = "disputed", _("the customer disputes the payment")
        WRITTEN_OFF = "written_off", _("the payment is written off")
        CONFIRMED = "confirmed", _("the customer has confirmed")
        NO_ADDRESS = "no_address", _("the customer has no address for this channel")
        OPTED_OUT = "opted_out", _("the customer does not want messages by this channel")
        SUPPRESSED = "suppressed", _("the address bounced, complained or said STOP")
        OTHER_CHANNEL = "other_channel", _("it goes by another channel now")
        QUIET_HOURS = "quiet_hours", _("it would have come in quiet hours")
        SUPERSEDED = "superseded", _("a more relevant message went out instead")
        IN_DIGEST = "in_digest", _("its content went out in another message of that day")
        DAY_FULL = "day_full", _("the customer had enough messages that day")
        RULE_OFF = "rule_off", _("the rule is switched off")
        CALLED_OFF = "called_off", _("the message to many was called off")
        TOO_LATE = "too_late", _("could not go out while it was useful")
        JOB_CANCELLED = "job_cancelled", _("its job was cancelled")
        BROKEN_TEMPLATE = "broken_template", _("its template does not render")
        NO_FILE = "no_file", _("a file that goes with it is gone, or may not be sent any more")

    class Outcome(models.TextChoices):
        DELIVERED = "delivered", _("delivered")
        BOUNCED = "bounced", _("bounced")
        COMPLAINED = "complained", _("complained")
        FAILED = "failed", _("failed")

    UNREACHED = (Outcome.FAILED, Outcome.BOUNCED)  # taken by the provider, and yet the customer does not have it

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    tenant = tenant_field()  # of the booking or payment, and of its job
    rule = models.ForeignKey(ReminderRule, on_delete=models.PROTECT, related_name="deliveries", verbose_name=_("rule"))
    booking = models.ForeignKey(
        Booking, on_delete=models.PROTECT, null=True, blank=True, related_name="deliveries", verbose_name=_("booking")
    )
    payment = models.ForeignKey(
        Payment, on_delete=models.PROTECT, null=True, blank=True, related_name="deliveries", verbose_name=_("payment")
    )
    bulk = models.ForeignKey(
        "notifications.BulkChange",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="deliveries",
        verbose_name=_("bulk change"),
    )
    customer = models.ForeignKey(
        Customer, on_delete=models.PROTECT, related_name="deliveries", verbose_name=_("customer")
    )
    channel = models.CharField(_("channel"), max_length=20, choices=Channel.choices)
    revision = models.PositiveIntegerField(
        _("revision"), help_text=_("the booking's or payment's when this was planned")
    )
    occurrence = models.PositiveSmallIntegerField(
        _("occurrence"), default=0, help_text=_("0, or the how-manieth repetition")
    )
    fallback_of = models.ForeignKey(
        "self", on_delete=models.CASCADE, null=True, blank=True, related_name="fallbacks", verbose_name=_("fallback of")
    )
    digest = models.ForeignKey(
        "self", on_delete=models.CASCADE, null=True, blank=True, related_name="contains", verbose_name=_("digest")
    )
    state = models.CharField(_("state"), max_length=10, choices=State.choices, default=State.PLANNED)
    reason = models.CharField(_("reason"), max_length=20, choices=Reason.choices, blank=True)
    detail = models.TextField(_("detail"), blank=True, help_text=_("what the provider or the error said"))
    send_at = models.DateTimeField(_("send at"))
    useful_until = models.DateTimeField(_("useful until"))
    moved_from = models.DateTimeField(
        _("moved from"), null=True, blank=True, help_text=_("when it would have gone out, but for quiet hours")
    )
    token = models.PositiveIntegerField(_("token"), null=True, blank=True)  # of the attempt that wrote the intent
    intent_at = models.DateTimeField(_("intent at"), null=True, blank=True)
    sent_at = models.DateTimeField(_("sent at"), null=True, blank=True)
    provider_id = models.CharField(_("provider id"), max_length=255, blank=True)
    content = models.CharField(
        _("content"), max_length=64, blank=True, help_text=_("SHA-256 of what was handed over: subject, text, HTML")
    )
    sent_to = models.CharField(
        _("sent to"), max_length=32, blank=True, help_text=_("a code of the address, which is not kept here")
    )
    doubts = models.PositiveSmallIntegerField(
        _("doubts"), default=0, help_text=_("attempts of which nobody knows what became")
    )
    outcome = models.CharField(
        _("outcome"), max_length=10, choices=Outcome.choices, blank=True, help_text=_("told by the provider")
    )
    outcome_at = models.DateTimeField(_("outcome at"), null=True, blank=True)
    segments = models.PositiveSmallIntegerField(_("segments"), null=True, blank=True, help_text=_("parts of an SMS"))
    cost = models.DecimalField(_("cost"), max_digits=12, decimal_places=6, null=True, blank=True)
    cost_currency = models.CharField(_("cost currency"), max_length=3, blank=True)
    created_at = models.DateTimeField(_("created at"), default=timezone.now, editable=False)

    class Meta:
        verbose_name = _("delivery")
        verbose_name_plural = _("deliveries")
        permissions = [
            ("cancel_delivery", _("Can withdraw deliveries")),
            ("retry_delivery", _("Can send deliveries again")),
            ("resolve_delivery", _("Can say what became of deliveries in doubt")),
        ]
        indexes = [
            # settle: what is still open; admin: newest first within a state
            models.Index(fields=["state", "-id"], name="delivery_state"),
            # callbacks: which delivery the provider speaks of
            models.Index(fields=["provider_id"], name="delivery_by_provider_id", condition=~Q(provider_id="")),
            # digest, per day, superseding: what else this customer gets
            models.Index(fields=["customer", "send_at"], name="delivery_of_customer"),
            # a message to many: how far it is, and what has to be withdrawn
            models.Index(fields=["bulk", "state"], name="delivery_of_bulk", condition=Q(bulk__isnull=False)),
            # dashboard: how many went today, and how late they were; nothing but the index is read
            models.Index(
                fields=["sent_at", "channel", "send_at"], name="delivery_sent", condition=Q(sent_at__isnull=False)
            ),
            # dashboard: what of today did not go; holds none of those that went
            models.Index(
                fields=["state", "send_at", "channel"],
                name="delivery_unsent",
                condition=Q(state__in=["skipped", "refused", "in_doubt"]),
            ),
            # doubts, oldest first: what waits for a person; see `doubts.in_doubt`, which is written the same way
            models.Index(
                fields=["intent_at", "id"], name="delivery_doubts", condition=Q(doubts__gt=0) | Q(state="in_doubt")
            ),
            # the same of one tenant, for its people; empty without tenants
            newest_of_tenant("delivery_of_tenant"),
            models.Index(
                fields=["tenant", "sent_at", "channel", "send_at"],
                name="delivery_sent_of_tenant",
                condition=Q(sent_at__isnull=False, tenant__gt=""),
            ),
            models.Index(
                fields=["tenant", "state", "send_at", "channel"],
                name="delivery_unsent_of_tenant",
                condition=Q(state__in=["skipped", "refused", "in_doubt"], tenant__gt=""),
            ),
        ]
        constraints = [
            # forbid the same reminder twice, whoever plans at the same time
            models.UniqueConstraint(
                fields=["booking", "rule", "occurrence", "channel", "revision"], name="delivery_once_per_booking"
            ),
            models.UniqueConstraint(
                fields=["payment", "rule", "occurrence", "channel", "revision"], name="delivery_once_per_payment"
            ),
            # forbids a message to many twice for one booking, however often the job is resumed; the next channel
            # after one that certainly did not take it is no second message
            models.UniqueConstraint(
                fields=["bulk", "booking"],
                name="delivery_once_per_bulk",
                condition=Q(bulk__isnull=False, fallback_of__isnull=True),
            ),
            # forbids a reminder of nothing, or of two things
            models.CheckConstraint(
                name="delivery_has_one_anchor", condition=Q(booking__isnull=True) ^ Q(payment__isnull=True)
            ),
        ]

    # The other deliveries whose content this one's message has, while it is being sent: see digests.py.
    companions: Sequence["Delivery"] = ()

    def __str__(self) -> str:
        said = {"rule": self.rule, "channel": self.get_channel_display(), "state": self.get_state_display()}
        return gettext("{rule} by {channel}: {state}").format(**said)

    @property
    def meant_at(self) -> datetime:
        """When it would go out if there were no quiet hours: of two at one moment the later is the more relevant."""
        return self.moved_from or self.send_at

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
