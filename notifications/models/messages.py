"""Messages outside of deliveries: the customer's inbox, what providers told, and the outbox of development."""

from uuid import uuid4

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext, gettext_lazy as _

from notifications import privacy
from notifications.models.columns import Channel, tenant_field
from notifications.models.customers import Customer
from notifications.models.deliveries import Delivery
from notifications.models.rules import MessageTemplate, ReminderRule


class InboxItem(models.Model):
    """A message in the customer's app."""

    class Level(models.TextChoices):
        INFO = "info", _("info")
        SUCCESS = "success", _("success")
        WARNING = "warning", _("warning")
        ERROR = "error", _("error")

    customer = models.ForeignKey(Customer, on_delete=models.CASCADE, related_name="inbox", verbose_name=_("customer"))
    key = models.CharField(
        _("key"), max_length=64, unique=True, help_text=_("the delivery's id: sent twice, it is there once")
    )
    title = models.CharField(_("title"), max_length=200)
    body = models.TextField(_("body"))
    level = models.CharField(_("level"), max_length=10, choices=Level.choices, default=Level.INFO)
    metadata = models.JSONField(_("metadata"), default=dict, blank=True)
    created_at = models.DateTimeField(_("created at"), default=timezone.now)
    read_at = models.DateTimeField(_("read at"), null=True, blank=True)
    archived_at = models.DateTimeField(_("archived at"), null=True, blank=True)
    expires_at = models.DateTimeField(_("expires at"), null=True, blank=True)

    class Meta:
        verbose_name = _("inbox item")
        verbose_name_plural = _("inbox items")
        indexes = [
            # list: newest first; count of the unread
            models.Index(fields=["customer", "-id"], name="inbox_list", condition=Q(archived_at__isnull=True)),
            models.Index(
                fields=["customer"], name="inbox_unread", condition=Q(read_at__isnull=True, archived_at__isnull=True)
            ),
        ]

    def __str__(self) -> str:
        return privacy.shown(self.title, privacy.nothing)


class ProviderEvent(models.Model):
    """A callback of a provider, once: delivered, bounced, complained, a reply. Holds no address and no text."""

    provider = models.CharField(_("provider"), max_length=40)
    event_id = models.CharField(
        _("event id"), max_length=200, help_text=_("the provider's; the same one twice is one event")
    )
    kind = models.CharField(_("kind"), max_length=20)
    code = models.CharField(_("code"), max_length=40, blank=True)
    delivery = models.ForeignKey(
        Delivery, on_delete=models.CASCADE, null=True, blank=True, related_name="events", verbose_name=_("delivery")
    )
    direct = models.ForeignKey(
        "notifications.DirectMessage",
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="events",
        verbose_name=_("direct message"),
    )
    at = models.DateTimeField(_("at"), default=timezone.now)

    class Meta:
        verbose_name = _("provider event")
        verbose_name_plural = _("provider events")
        constraints = [
            # forbids that a callback sent twice counts twice
            models.UniqueConstraint(fields=["provider", "event_id"], name="provider_event_once"),
        ]

    def __str__(self) -> str:
        return f"{self.provider}: {self.kind} {self.code}"


class OutboxMessage(models.Model):
    """What would have gone out: written by the development providers instead of a network call."""

    channel = models.CharField(_("channel"), max_length=20, choices=Channel.choices)
    key = models.CharField(_("key"), max_length=64, unique=True)
    to = models.CharField(_("to"), max_length=500)
    subject = models.TextField(_("subject"), blank=True)
    text = models.TextField(_("text"), blank=True)
    html = models.TextField(_("html"), blank=True)
    created_at = models.DateTimeField(_("created at"), default=timezone.now)

    class Meta:
        verbose_name = _("outbox message")
        verbose_name_plural = _("outbox messages")

    def __str__(self) -> str:
        said = {"channel": self.get_channel_display(), "address": privacy.shown(self.to, privacy.address)}
        return gettext("{channel} to {address}").format(**said)


class Breaker(models.Model):
    """Whether a provider is being left alone, for all workers."""

    provider = models.CharField(_("provider"), max_length=40, primary_key=True)
    state = models.CharField(_("state"), max_length=10, default="closed")  # closed, open, half-open
    failures = models.PositiveIntegerField(_("failures"), default=0)
    successes = models.PositiveIntegerField(_("successes"), default=0)
    opened_at = models.DateTimeField(_("opened at"), null=True, blank=True)
    changed_at = models.DateTimeField(_("changed at"), default=timezone.now)

    class Meta:
        verbose_name = _("breaker")
        verbose_name_plural = _("breakers")

    def __str__(self) -> str:
        return f"{self.provider}: {self.state}"


class BulkChange(models.Model):
    """One change to everything that matches a filter: the clinic is closed tomorrow."""

    class Kind(models.TextChoices):
        CANCEL = "cancel", _("cancel")
        MOVE = "move", _("move")
        MESSAGE = "message", _("message")

    tenant = tenant_field()  # of all its bookings: one change is one tenant's
    kind = models.CharField(_("kind"), max_length=10, choices=Kind.choices)
    filters = models.JSONField(_("filters"))
    parameters = models.JSONField(_("parameters"), default=dict)
    reason = models.TextField(_("reason"))
    actor = models.CharField(_("actor"), max_length=150)
    total = models.PositiveIntegerField(_("total"), null=True)
    done = models.PositiveIntegerField(_("done"), default=0)
    counts = models.JSONField(_("counts"), default=dict, help_text=_("what became of bookings and reminders"))
    after = models.BigIntegerField(
        _("after"), default=0, help_text=_("the last booking that was changed: where to go on")
    )
    rule = models.OneToOneField(
        ReminderRule,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="bulk",
        help_text=_("of its message"),
        verbose_name=_("rule"),
    )
    job_id = models.UUIDField(_("job"), null=True, blank=True, help_text=_("the job that makes the change"))
    token = models.UUIDField(
        _("token"), unique=True, default=uuid4, editable=False, help_text=_("of the page it was asked on: once")
    )
    created_at = models.DateTimeField(_("created at"), default=timezone.now)
    finished_at = models.DateTimeField(_("finished at"), null=True, blank=True)
    cancelled_at = models.DateTimeField(_("cancelled at"), null=True, blank=True, help_text=_("when it was called off"))
    cancelled_by = models.CharField(_("cancelled by"), max_length=150, blank=True)

    class Meta:
        verbose_name = _("bulk change")
        verbose_name_plural = _("bulk changes")
        permissions = [("run_bulkchange", _("Can change, or write to, many bookings at once"))]
        constraints = [
            # forbids a message that nobody can withdraw, because no rule speaks for it
            models.CheckConstraint(
                name="bulk_message_has_a_rule", condition=Q(rule__isnull=False) | ~Q(kind="message")
            ),
        ]

    def __str__(self) -> str:
        said = {"kind": self.get_kind_display(), "actor": self.actor, "done": self.done, "total": self.total}
        return gettext("{kind} by {actor}: {done} of {total}").format(**said)


class Trial(models.Model):
    """A message sent as a test to an address that an operator named: who, what, where to, and what was answered."""

    tenant = tenant_field()  # of the booking or payment that it was written with
    template = models.ForeignKey(
        MessageTemplate, on_delete=models.SET_NULL, null=True, related_name="trials", verbose_name=_("message template")
    )
    message = models.CharField(_("message"), max_length=100)
    channel = models.CharField(_("channel"), max_length=20, choices=Channel.choices)
    address = models.CharField(_("address"), max_length=500)
    actor = models.CharField(_("actor"), max_length=150)
    at = models.DateTimeField(_("at"), default=timezone.now)
    answer = models.TextField(
        _("answer"), blank=True, help_text=_("of the provider; empty: the sender died before it came")
    )

    class Meta:
        verbose_name = _("trial")
        verbose_name_plural = _("trials")
        indexes = [
            # how many somebody has sent within the last minute
            models.Index(fields=["actor", "at"], name="trial_by_actor"),
        ]

    def __str__(self) -> str:
        at = date_format(timezone.localtime(self.at), "DATETIME_FORMAT")
        said = {"message": self.message, "channel": self.get_channel_display()}
        return gettext("{message} by {channel}, {at}").format(at=at, **said)
