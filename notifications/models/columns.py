"""Columns that several tables have, with their checks."""

from datetime import timedelta
from typing import TYPE_CHECKING

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from notifications import timing

if TYPE_CHECKING:
    from django_stubs_ext import StrPromise


class Channel(models.TextChoices):
    """The ways a message can go, see `notifications.channels`."""

    EMAIL = "email", _("email")
    SMS = "sms", _("SMS")
    INBOX = "inbox", _("in-app message")
    WEBHOOK = "webhook", _("webhook")


def validate_zone(name: str) -> None:
    try:
        timing.zone(name)
    except ValueError as exc:
        raise ValidationError(str(exc)) from exc


def validate_channels(names: object) -> None:
    known = [str(channel.value) for channel in Channel]
    if not isinstance(names, list) or any(name not in known for name in names) or len(set(names)) != len(names):
        raise ValidationError(_("A list of channels, each once, of %s.") % ", ".join(known))


def within_two_years(offset: timedelta) -> None:
    if abs(offset) > timedelta(days=730):
        raise ValidationError(_("A reminder goes out within two years of its anchor."))


def default_zone() -> str:
    return str(settings.TIME_ZONE)


def zone_field() -> "models.CharField[str, str]":
    return models.CharField(
        _("time zone"), max_length=64, default=default_zone, validators=[validate_zone], help_text=_("IANA name")
    )


def tenant_field(told: "StrPromise | None" = None) -> "models.CharField[str, str]":
    """As a job's. It is set when the row is made and never changes."""
    about = told or _("the business it belongs to; empty: the only one")
    return models.CharField(_("tenant"), max_length=100, blank=True, default="", help_text=about)


def newest_of_tenant(name: str) -> models.Index:
    """For the list of a tenant, newest first. Without tenants it is empty and costs nothing."""
    return models.Index(fields=["tenant", "-id"], name=name, condition=Q(tenant__gt=""))


def by_email() -> list[str]:
    return [Channel.EMAIL.value]
