"""Webhooks for tests: a secret, a message, and little patience for what never comes."""

from notifications.channels.base import Message

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
QUICK = {"connect": 0.5, "read": 0.4, "total": 0.8, "body": 1000}  # where nothing is to arrive anyhow


def message(url: str, secret: str = SECRET) -> Message:
    return Message(
        to=f"{url}/hook", subject="Grüße", text="Alice, tomorrow", metadata={"booking": "b-1"}, secret=secret
    )
