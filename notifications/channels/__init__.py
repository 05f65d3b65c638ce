"""The one table of channels."""

from collections.abc import Callable

from notifications.channels import email
from notifications.channels.base import Receipt

CHANNELS: dict[str, Callable[..., Receipt]] = {"email": email.send}
