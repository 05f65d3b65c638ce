"""Who asks: a program with a key, or a person who is logged in to the admin; and what they may.

Routers name the scope that an operation needs: `auth=needs("jobs:read")`. Each scope is a permission of the admin too,
so a person may here what he may there, and a key never more than the person who made it.
"""

from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from ninja.security import APIKeyCookie, HttpBearer

from jobs import scopes
from jobs.access import ApiKey
from jobs.api import keys
from jobs.api.problems import Problem, invalid
from jobs.api.scopes import SCOPES
from jobs.library.people import Person
from jobs.listing import Selection
from jobs.models import Job


@dataclass(frozen=True)
class Caller:
    """Who asks, and what lies within their reach. Empty tuples and `scopes.ALL` are no limits."""

    name: str  # for records: key:<prefix> or user:<name>
    user: Any  # who is logged in, or who made the key; None: the key was made on the command line
    granted: frozenset[str] | None  # the scopes of the key; None: a person
    scope: scopes.Scope = scopes.ALL
    tasks: tuple[str, ...] = ()
    per_minute: int | None = None

    def may(self, scope: str) -> bool:
        """Both the key and its maker must: who loses a right loses it here too."""
        if self.granted is not None and scope not in self.granted:
            return False
        return self.user is None or (self.user.is_active and self.user.has_perm(SCOPES[scope]))

    def need(self, scope: str) -> None:
        """Raises Problem 403."""
        if not self.may(scope):
            raise Problem(403, f"This needs the scope {scope}.")

    def permit(self, permission: str) -> None:
        """For what a scope alone does not allow, such as making rows: the person must. Raises Problem 403."""
        if self.user is not None and not (self.user.is_active and self.user.has_perm(permission)):
            raise Problem(403, f"This needs the permission {permission}.")

    def has(self, permission: str) -> bool:
        """The same by the permission's name, as `jobs.library` asks: the scope that was made for it first."""
        scope = next((name for name, right in SCOPES.items() if right == permission), None)
        return scope is not None and self.may(scope)

    def person(self) -> Person:
        """For what asks on behalf of somebody, and is carried out later."""
        only = self.tenants() or ()
        pk = None if self.user is None else self.user.pk
        return Person(self.name, self.has, self.scope, pk, only[0] if len(only) == 1 else "")

    def jobs(self) -> Any:
        """The jobs there are for this caller."""
        rows = self.scope.rows(Job.objects.all())
        return rows.filter(task__in=self.tasks) if self.tasks else rows

    def tenants(self) -> tuple[str, ...] | None:
        """The tenants whose rows of the product are within. None: all."""
        allowed = self.scope.tenants
        return None if allowed is None else tuple(sorted(allowed))

    def of_tenant(self, rows: Any, column: str = "tenant", *, shared: bool = False) -> Any:
        """Those rows of the product that are within; `shared`: and those of no tenant in particular."""
        return self.scope.of_tenants(rows, column, shared=shared)

    def selection(self, selection: Selection) -> Selection:
        """The same with this caller's tasks as a part of it, for what carries it out later."""
        return selection.model_copy(update={"tasks": self.tasks}) if self.tasks else selection

    def may_call(self, task: str) -> bool:
        return not self.tasks or task in self.tasks

    def owns(self, queue: str) -> bool:
        """Whether all of the queue is theirs: who has some of its tenants or tasks must not stop it for the others."""
        return not self.tasks and self.scope.owns(queue)

    def owns_pause(self, kind: str, name: str) -> bool:
        if kind == "task" and self.tasks:
            return self.scope.limits is None and name in self.tasks
        return not self.tasks and self.scope.owns_pause(kind, name)

    @property
    def sees_all(self) -> bool:
        return not self.tasks and self.scope.limits is None

    def tenant_for(self, asked: str | None) -> str:
        """The tenant of what the caller makes. Raises Problem 422 where it is not theirs, or not clear."""
        allowed = self.tenants()
        if asked is None:
            if allowed is not None and len(allowed) != 1:
                raise invalid("tenant", f"say which: {', '.join(allowed) or 'none is allowed'}")
            return allowed[0] if allowed else ""
        if allowed is not None and asked not in allowed:
            raise invalid("tenant", f"{asked!r} is not one of yours: {', '.join(allowed)}")
        return asked


def caller(request: HttpRequest) -> Caller:
    """Who asks, within an operation that needs somebody."""
    who: Caller = request.auth  # type: ignore[attr-defined]  # ninja's
    return who


def of_key(key: ApiKey) -> Caller:
    mine: scopes.Scope = scopes.of(key.created_by) if key.created_by else scopes.ALL
    return Caller(
        name=f"key:{key.prefix}",
        user=key.created_by,
        granted=frozenset(key.scopes),
        scope=mine.within(key.queues, key.tenants),
        tasks=tuple(key.tasks),
        per_minute=key.per_minute,
    )


def of_user(user: Any) -> Caller:
    return Caller(name=f"user:{user.get_username()}", user=user, granted=None, scope=scopes.of(user))


class Key(HttpBearer):
    """Authorization: Bearer pk_..."""

    def __init__(self, scope: str | None) -> None:
        super().__init__()
        self.scope = scope

    def authenticate(self, request: HttpRequest, token: str) -> Caller | None:
        return _known(request, self.scope, lambda: _by_key(token))


class Session(APIKeyCookie):
    """Who is logged in to the admin; changes need Django's CSRF token."""

    param_name: str = settings.SESSION_COOKIE_NAME

    def __init__(self, scope: str | None) -> None:
        super().__init__(csrf=True)
        self.scope = scope

    def __call__(self, request: HttpRequest) -> Caller | None:
        if request.headers.get("Authorization") or not request.user.is_authenticated:
            return None  # a wrong key must not fall back to a cookie
        return super().__call__(request)  # checks the CSRF token

    def authenticate(self, request: HttpRequest, key: str | None) -> Caller | None:
        return _known(request, self.scope, lambda: of_user(request.user) if request.user.is_staff else None)


def needs(scope: str | None) -> list[Any]:
    """What an operation asks of its caller; None: only that they are known."""
    if scope is not None and scope not in SCOPES:
        raise LookupError(f"There is no scope {scope!r}; register it first.")
    return [Key(scope), Session(scope)]


def _by_key(token: str) -> Caller | None:
    row = keys.found(token)
    return of_key(row) if row else None


def _known(request: HttpRequest, scope: str | None, look: Any) -> Caller | None:
    """Once a request, whoever asks: `door` does before ninja does."""
    if not hasattr(request, "_punctual_caller"):
        request._punctual_caller = look()  # type: ignore[attr-defined]
    caller: Caller | None = request._punctual_caller  # type: ignore[attr-defined]
    if caller is not None and scope is not None:
        caller.need(scope)
    return caller
