"""Columns that several tables have, with their checks."""

from datetime import timedelta

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models

from notifications import timing


class Channel(models.TextChoices):
    """The ways a message can go, see `notifications.channels`."""

    EMAIL = "email"
    SMS = "sms", "SMS"
    INBOX = "inbox", "in-app message"
    WEBHOOK = "webhook"


def validate_zone(name: str) -> None:
    try:
        timing.zone(name)
    except ValueError as exc:
        raise ValidationError(str(exc)) from exc


def validate_channels(names: object) -> None:
    known = [str(channel.value) for channel in Channel]
    if not isinstance(names, list) or any(name not in known for name in names) or len(set(names)) != len(names):
        raise ValidationError(f"A list of channels, each once, of {', '.join(known)}.")


def within_two_years(offset: timedelta) -> None:
    if abs(offset) > timedelta(days=730):
        raise ValidationError("A reminder goes out within two years of its anchor.")


def default_zone() -> str:
    return str(settings.TIME_ZONE)


def zone_field() -> "models.CharField[str, str]":
    return models.CharField(max_length=64, default=default_zone, validators=[validate_zone], help_text="IANA name")


def by_email() -> list[str]:
    return [Channel.EMAIL.value]
