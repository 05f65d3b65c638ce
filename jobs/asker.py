"""Who asks, where it is a person behind a program: Flower's user. For the length of one call, in its thread.

Set within Flower's process by `config.flower`; read by `control`, which writes it down with what was asked for.
"""

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

_name: ContextVar[str] = ContextVar("asker", default="")


def asking(name: str, call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call it in the name of somebody."""
    token = _name.set(name)
    try:
        return call(*args, **kwargs)
    finally:
        _name.reset(token)


def told(door: str) -> str:
    """`olga (Flower)`, or the door alone when nobody is known."""
    name = _name.get()
    return f"{name} ({door})" if name else door
