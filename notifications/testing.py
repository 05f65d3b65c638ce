"""For the tests of projects that send: a provider that sends nothing, keeps what it was given, and answers as told.

    with testing.provider("email") as provider:
        provider.answers(Busy("the server is full"))       # the next one; after that it takes everything
        ...
    assert provider.taken[0].to == "alice@example.com"

It stands where the real channel does, so intents, policies, breakers and fallbacks are the real ones.
"""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from unittest import mock

from notifications.channels import CHANNELS
from notifications.channels.base import Message, Receipt


class Provider:
    def __init__(self) -> None:
        self.taken: list[Message] = []
        self.keys: list[str] = []  # of the messages taken, in their order
        self._answers: deque[Exception | Receipt] = deque()

    def answers(self, *answers: Exception | Receipt) -> None:
        """To the next messages, one after the other: a Receipt, or what `channels.base` has to be raised."""
        self._answers.extend(answers)

    def send(self, message: Message, *, idempotency_key: str) -> Receipt:
        answer = self._answers.popleft() if self._answers else Receipt(provider_id=f"test:{idempotency_key}")
        if isinstance(answer, Exception):
            raise answer
        self.taken.append(message)
        self.keys.append(idempotency_key)
        return answer

    def find(self, key: str) -> Receipt | None:
        """What a look-up of a doubt is told."""
        return Receipt(provider_id=f"test:{key}") if key in self.keys else None


@contextmanager
def provider(channel: str) -> Iterator[Provider]:
    """Raises KeyError for a channel that there is not."""
    made, real = Provider(), CHANNELS[channel]
    find = made.find if real.find else None
    with mock.patch.dict(CHANNELS, {channel: replace(real, send=made.send, find=find)}):
        yield made
