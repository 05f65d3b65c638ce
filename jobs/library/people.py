"""Who asks for something, as the kinds of the library need to know it: a name, what he may, and what he may see.

Made by the admin, the API and the command line. Jobs run later and as nobody: so what depends on a person is decided
when it is asked for.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from jobs import scopes
from jobs.scopes import Scope


@dataclass(frozen=True)
class Person:
    name: str
    may: Callable[[str], bool]  # a permission, such as jobs.view_job
    scope: Scope = scopes.ALL
    user_id: int | None = None
    tenant: str = ""  # of the jobs that he starts


def trusted(name: str) -> Person:
    """Who has the command line may everything."""
    return Person(name, lambda permission: True)


def of(user: Any) -> Person:
    """A user of the admin. Who has one tenant acts for it."""
    scope = scopes.of(user)
    mine = sorted(scope.tenants or ())
    return Person(user.get_username(), user.has_perm, scope, user.pk, mine[0] if len(mine) == 1 else "")
