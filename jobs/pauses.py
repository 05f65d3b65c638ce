"""Pausing and resuming a queue, a task or a tenant.

Called by the admin, the command line and application code; read by `windows` in each dispatch. A pause stops sending,
never planning or cancelling, is kept in the database, and ends by itself at `until`. The promise: when `pause` returns,
nothing of what it names is at the broker, and nothing gets there before it ends; what runs already runs on.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from jobs import ledger, queues
from jobs.bulk import database_now
from jobs.models import Job, Pause

Kind = Pause.Kind
LONGEST = timedelta(days=366)  # a longer one is a slip of the pen, or meant without an end


@dataclass(frozen=True)
class Paused:
    """The names of what is paused."""

    queues: frozenset[str]
    tasks: frozenset[str]
    tenants: frozenset[str]


def pause(kind: str, names: Iterable[str], *, by: str, reason: str = "", until: datetime | None = None) -> int:
    """Stop sending. Returns how many queued jobs were taken back. A second pause replaces the first.

    Raises ValueError for an end that is past, or more than LONGEST away.
    """
    kind, names, until = Kind(kind), sorted(set(names)), ending(until)
    rows = [Pause(kind=kind, name=name, by=by, reason=reason, until=until) for name in names]
    with transaction.atomic():
        queues.lock_all()  # waits for dispatchers that looked before us, so that what they send is in sight below
        Pause.objects.bulk_create(
            rows,
            update_conflicts=True,
            unique_fields=["kind", "name"],
            update_fields=["by", "reason", "at", "until"],
        )
        return ledger.release(Job.objects.filter(**{f"{kind}__in": names}))


def ending(until: datetime | None) -> datetime | None:
    """The same, if a pause may end then. Raises ValueError."""
    if until is None:
        return None
    if until.tzinfo is None:
        raise ValueError(f"until={until} names no time zone. Pass an aware datetime, e.g. datetime(..., tzinfo=UTC).")
    if until <= (now := database_now()):
        raise ValueError(_("That is past."))
    if until > now + LONGEST:
        said = {"days": LONGEST.days}
        raise ValueError(_("A pause ends within %(days)d days, or without an end when somebody resumes it.") % said)
    return until


def resume(kind: str, names: Iterable[str]) -> int:
    """Send again, from the next tick on. Returns how many of the names were paused."""
    rows = Pause.objects.filter(kind=Kind(kind), name__in=list(names))
    with transaction.atomic():
        paused = in_force(rows).count()
        rows.delete()
    return paused


def active(now: datetime | None = None) -> Paused:
    """What is paused at this moment."""
    rows = list(in_force(Pause.objects.all(), now).values_list("kind", "name"))
    return Paused(*(frozenset(name for kind, name in rows if kind == which) for which in Kind))


def in_force(rows: QuerySet[Pause], now: datetime | None = None) -> QuerySet[Pause]:
    """Those of the pauses that have not ended by themselves."""
    return rows.filter(Q(until__isnull=True) | Q(until__gt=now or Now()))
