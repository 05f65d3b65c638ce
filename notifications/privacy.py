"""How names and addresses are shown to those who may not know them: a•••@e•••.com. Pure text, but for who is asking.

Used by `str(customer)` and by the admin. Within a web request it is the user's permission that decides; elsewhere
(workers, commands) nothing is hidden. The promise: what is masked here cannot be turned back.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

DOTS = "•••"
ADDRESS = re.compile(r"[^\s<>,;:\"'()]+@[\w-]+(\.[\w-]+)+")
NUMBER = re.compile(r"\+?\d[\d ()/-]{6,}\d")

_hidden: ContextVar[Callable[[], bool]] = ContextVar("hidden", default=lambda: False)


def hidden() -> bool:
    """Whether whoever is being answered may not know who the customers are."""
    return _hidden.get()()


@contextmanager
def asked(hides: Callable[[], bool] = lambda: True) -> Iterator[None]:
    """Within it, `hides` is asked, each time, whether to mask. Without it: always."""
    token = _hidden.set(hides)
    try:
        yield
    finally:
        _hidden.reset(token)


def name(value: str) -> str:
    """Alice Example: A••• E•••"""
    return " ".join(f"{word[0]}{DOTS}" for word in value.split())


def email(value: str) -> str:
    """alice@example.com: a•••@e•••.com"""
    user, at, domain = value.rpartition("@")
    return f"{user[:1]}{DOTS}@{domain[:1]}{DOTS}.{domain.rpartition('.')[2]}" if at else DOTS


def phone(value: str) -> str:
    """+4915123456789: •••89"""
    return f"{DOTS}{value[-2:]}"


def address(value: str) -> str:
    """Of any channel."""
    if not value:
        return value
    if "://" in value:
        return f"{value.partition('://')[0]}://{DOTS}"
    return email(value) if "@" in value else phone(value)


def text(value: str) -> str:
    """With the addresses and numbers in it masked; for what machines say, not for what people write."""
    return NUMBER.sub(lambda found: phone(found[0]), ADDRESS.sub(lambda found: email(found[0]), value))


def nothing(value: object) -> str:
    """For what cannot be masked in part."""
    return DOTS if value else ""


def shown(value: str, mask: Callable[[str], str]) -> str:
    """As it is, or masked, whoever asks."""
    return mask(value) if value and hidden() else value
