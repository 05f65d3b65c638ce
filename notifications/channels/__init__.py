"""The one table of channels: how each sends, what it guarantees, and whom its breaker watches.

`reminders.deliver` asks `ready` before it writes an intent and calls the channel after it. Policies: `hold` keeps a
doubtful delivery for a person or a callback, `resend` sends it again, `keyed` may send it again because the
receiver knows the key.
"""

from collections.abc import Callable
from dataclasses import dataclass

from notifications.channels import breaker, email, inbox, sms, webhook
from notifications.channels.base import Find, Message, Receipt, Send


@dataclass(frozen=True)
class Channel:
    name: str
    send: Send
    default_policy: str  # "hold", "resend" or "keyed"
    provider: Callable[[Message], str]  # whom the breaker watches; empty: nobody, nothing can be down
    find: Find | None = None

    def ready(self, message: Message) -> None:
        """Raises Throttled while the provider is being left alone. Ask before the intent is written."""
        breaker.ready(self.provider(message))

    def __call__(self, message: Message, *, idempotency_key: str) -> Receipt:
        """Send, and let the breaker know. Raises Busy (Down, Throttled), Refused or Unknown, see `base`."""
        with breaker.watching(self.provider(message)):
            return self.send(message, idempotency_key=idempotency_key)


CHANNELS: dict[str, Channel] = {
    channel.name: channel
    for channel in (
        Channel("email", email.send, "hold", email.provider),
        Channel("sms", sms.send, "hold", sms.provider),
        Channel("inbox", inbox.send, "keyed", lambda message: "", inbox.find),
        Channel("webhook", webhook.send, "keyed", webhook.provider),
    )
}
