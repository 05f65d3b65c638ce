"""Single messages: what a person or a program wanted to be said to one recipient, of no booking and no payment."""

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from jobs.ids import new_id
from notifications.models.columns import Channel, tenant_field
from notifications.models.customers import Customer
from notifications.models.deliveries import Delivery
from notifications.models.messages import InboxItem


class DirectMessage(models.Model):
    """One message to a customer or an address. Its id is its job's id, the Message-ID and the provider's key."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    tenant = tenant_field()
    channel = models.CharField(_("channel"), max_length=20, choices=Channel.choices)
    customer = models.ForeignKey(
        Customer,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="direct_messages",
        verbose_name=_("customer"),
    )
    address = models.CharField(
        _("address"),
        max_length=500,
        blank=True,
        help_text=_("of whoever is no customer; of a customer it is found when sending"),
    )
    message = models.CharField(
        _("message"), max_length=100, blank=True, help_text=_("which message template; empty: the words below")
    )
    subject = models.TextField(_("subject"), blank=True)
    text = models.TextField(_("text"), blank=True)
    html = models.TextField(_("html"), blank=True)
    variables = models.JSONField(_("variables"), default=dict, blank=True)
    attachments = models.JSONField(_("attachments"), default=list, blank=True, help_text=_("the ids of files"))
    level = models.CharField(_("level"), max_length=10, choices=InboxItem.Level.choices, default=InboxItem.Level.INFO)
    metadata = models.JSONField(_("metadata"), default=dict, blank=True)
    by = models.CharField(_("by"), max_length=150)
    user_id = models.BigIntegerField(
        _("user"),
        null=True,
        editable=False,
        help_text=_("who wrote it, and may have its files; empty: a program of ours"),
    )  # no reference: a user who was deleted may nothing any more
    state = models.CharField(_("state"), max_length=10, choices=Delivery.State.choices, default=Delivery.State.PLANNED)
    reason = models.CharField(_("reason"), max_length=20, choices=Delivery.Reason.choices, blank=True)
    detail = models.TextField(_("detail"), blank=True, help_text=_("what the provider or the error said"))
    send_at = models.DateTimeField(_("send at"), default=timezone.now)
    useful_until = models.DateTimeField(_("useful until"), null=True, blank=True)
    token = models.PositiveIntegerField(_("token"), null=True, blank=True)  # of the attempt that wrote the intent
    intent_at = models.DateTimeField(_("intent at"), null=True, blank=True)
    sent_at = models.DateTimeField(_("sent at"), null=True, blank=True)
    provider_id = models.CharField(_("provider id"), max_length=255, blank=True)
    sent_to = models.CharField(
        _("sent to"), max_length=32, blank=True, help_text=_("a code of the address, which is not kept here")
    )
    doubts = models.PositiveSmallIntegerField(_("doubts"), default=0)
    outcome = models.CharField(
        _("outcome"),
        max_length=10,
        choices=Delivery.Outcome.choices,
        blank=True,
        help_text=_("told by the provider"),
    )
    outcome_at = models.DateTimeField(_("outcome at"), null=True, blank=True)
    created_at = models.DateTimeField(_("created at"), default=timezone.now, editable=False)

    class Meta:
        verbose_name = _("direct message")
        verbose_name_plural = _("direct messages")
        permissions = [("send_directmessage", _("Can write to a single customer or address"))]
        indexes = [
            # settle: what is still open; admin: newest first within a state
            models.Index(fields=["state", "-id"], name="direct_state"),
            # callbacks: which message the provider speaks of
            models.Index(fields=["provider_id"], name="direct_by_provider_id", condition=~Q(provider_id="")),
        ]
        constraints = [
            # forbids a message to nobody, and one of which nobody can say to whom it goes
            models.CheckConstraint(
                name="direct_has_one_recipient",
                condition=Q(customer__isnull=True, address__gt="") | Q(customer__isnull=False, address=""),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_channel_display()} {self.pk}: {self.get_state_display()}"
