"""Whose jobs a person may see: JobScope, a table of queues and tenants, and the one place that applies it.

Used by every page of jobs and queues, and by those of customers and what is about them. The promise: what lies outside
is not there: not in a list, not by its address, not for an action. Who has no row here, himself or by a group, sees
all; with several rows, what any of them shows.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _


def names(value: Any) -> None:
    """A text would be taken for a list of letters, and let nobody see anything."""
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise ValidationError(_("Write a list of names, such as %(example)s.") % {"example": '["default"]'})


class JobScope(models.Model):
    """The queues and tenants of a user, or of all in a group. An empty list is all of them."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="job_scopes",
        verbose_name=_("user"),
    )
    group = models.ForeignKey(
        "auth.Group",
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="job_scopes",
        verbose_name=_("group"),
    )
    queues = models.JSONField(_("queues"), default=list, blank=True, validators=[names], help_text=_("empty: all"))
    tenants = models.JSONField(_("tenants"), default=list, blank=True, validators=[names], help_text=_("empty: all"))

    class Meta:
        verbose_name = _("scope of jobs")
        verbose_name_plural = _("scopes of jobs")
        ordering = ["id"]
        constraints = [
            # forbids a scope of nobody, which would look as if it limited somebody
            models.CheckConstraint(name="scope_of_one", condition=Q(user__isnull=True) ^ Q(group__isnull=True)),
        ]

    def __str__(self) -> str:
        return f"{self.user or self.group}: {', '.join([*self.queues, *self.tenants]) or '*'}"


Limit = tuple[tuple[str, ...], tuple[str, ...]]  # queues and tenants


@dataclass(frozen=True)
class Scope:
    """What one may see: all (None), or what lies within any of the limits."""

    limits: tuple[Limit, ...] | None = None

    def rows(self, rows: Any, *, queue: str | None = "queue", tenant: str | None = "tenant") -> Any:
        """Those of the rows that are within. `queue` and `tenant` are their columns; None: they have none."""
        if self.limits is None:
            return rows
        wanted = Q(pk__in=[])
        for queues, tenants in self.limits:
            inside = Q(**{f"{queue}__in": queues}) if queues and queue else ~Q(pk__in=[])
            if tenants and tenant:
                inside &= Q(**{f"{tenant}__in": tenants})
            wanted |= inside
        return rows.filter(wanted)

    def holds(self, queue: str, tenant: str) -> bool:
        """Whether a job of that queue and tenant is within."""
        return self.limits is None or any(
            (not queues or queue in queues) and (not tenants or tenant in tenants) for queues, tenants in self.limits
        )

    def owns(self, queue: str) -> bool:
        """Whether the whole queue is within: who has some of its tenants must not stop it for the others."""
        return self.limits is None or any(
            not tenants and (not queues or queue in queues) for queues, tenants in self.limits
        )

    def owns_tenant(self, tenant: str) -> bool:
        """The same for a tenant, in all queues."""
        return self.limits is None or any(
            not queues and (not tenants or tenant in tenants) for queues, tenants in self.limits
        )

    def owns_pause(self, kind: str, name: str) -> bool:
        """A task's jobs are in all queues and of all tenants."""
        whose = {"queue": self.owns, "tenant": self.owns_tenant}.get(kind)
        return self.limits is None if whose is None else whose(name)

    def within(self, queues: Collection[str], tenants: Collection[str]) -> "Scope":
        """What lies in both: this scope, and those queues and tenants (none: all)."""
        narrower = [
            (both_queues, both_tenants)
            for mine, whose in (self.limits if self.limits is not None else [((), ())])
            if (both_queues := _both(mine, queues)) is not None and (both_tenants := _both(whose, tenants)) is not None
        ]
        return self if self.limits is None and not (queues or tenants) else Scope(tuple(narrower))

    @property
    def tenants(self) -> frozenset[str] | None:
        """Whose customers, and what is about them. None: all. Queues limit what one sees of jobs, not of these."""
        if self.limits is None or any(not tenants for _queues, tenants in self.limits):
            return None
        return frozenset(one for _queues, tenants in self.limits for one in tenants)

    def of_tenants(self, rows: Any, tenant: str = "tenant", *, shared: bool = False) -> Any:
        """Those of the rows that are of one's tenants; `shared` are also those of no tenant in particular."""
        if self.tenants is None:
            return rows
        return rows.filter(**{f"{tenant}__in": self.tenants | ({""} if shared else set())})

    @property
    def by_tenant(self) -> bool:
        """Whether the queue alone does not tell what is within."""
        return self.limits is not None and any(tenants for _queues, tenants in self.limits)

    @classmethod
    def told(cls, limits: Iterable[Collection[Any]] | None) -> "Scope":
        """From JSON, or from rows as (queues, tenants)."""
        if limits is None:
            return cls()
        return cls(tuple((tuple(queues), tuple(tenants)) for queues, tenants in limits))


def _both(some: Collection[str], others: Collection[str]) -> tuple[str, ...] | None:
    """Names in both lists, where an empty list is all of them. None: there is none."""
    if not some or not others:
        return tuple(some or others)
    return tuple(one for one in some if one in others) or None


ALL = Scope()


def of(user: Any) -> Scope:
    """One query for each request, none for a superuser."""
    if user.is_superuser:
        return ALL
    if (known := getattr(user, "_job_scope", None)) is not None:
        return known  # type: ignore[no-any-return]
    mine = JobScope.objects.filter(Q(user=user.pk) | Q(group__user=user.pk)).values_list("queues", "tenants")
    found = list(mine)
    user._job_scope = scope = Scope.told(found) if found else ALL
    return scope
