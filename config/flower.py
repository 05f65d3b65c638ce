"""What Flower lacks for us, within Flower's own process: whoever asks there for something is known by name.

Installed by `config.celery` when the command is Flower. Flower hands each wish of its users to a thread; the name that
the user logged in with goes along, so that a job's page can say who revoked it. Without it, it would say "Flower".
"""

import base64
import binascii
import functools
import sys
from collections.abc import Callable
from typing import Any

from jobs.asker import asking

IS_FLOWER = "flower" in sys.argv


def name_of(authorization: str) -> str:
    """The user's in a header of basic authentication. The password goes no further."""
    kind, _, credentials = authorization.partition(" ")
    if kind.lower() != "basic":
        return ""
    try:
        return base64.b64decode(credentials, validate=True).decode().partition(":")[0]
    except (binascii.Error, UnicodeDecodeError):
        return ""


def user_of(handler: Any) -> str:
    """Who sent the request, which Flower has let in: by basic authentication, or an address known through OAuth."""
    if handler.application.options.basic_auth:
        return name_of(handler.request.headers.get("Authorization", ""))
    return handler.current_user if isinstance(handler.current_user, str) else ""


def install() -> None:
    """Have every wish know whose it is."""
    from flower.api import BaseApiHandler

    theirs: Callable[..., Any] = BaseApiHandler.run_blocking

    @functools.wraps(theirs)
    async def run_blocking(
        self: Any, operation: str, target: str, wish: Callable[..., Any], *args: Any, **kw: Any
    ) -> Any:
        return await theirs(self, operation, target, functools.partial(asking, user_of(self), wish), *args, **kw)

    BaseApiHandler.run_blocking = run_blocking
