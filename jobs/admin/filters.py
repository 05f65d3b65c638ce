"""The filters of the list of jobs: how they look, and what the address of the list says, as a Selection.

The filters themselves narrow nothing: the selection does, all at once, the same for the list and for orders.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from django.contrib.admin.options import IncorrectLookupParameters
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from pydantic import ValidationError
from unfold.contrib.filters.admin import DropdownFilter, RangeDateTimeFilter, TextFilter
from unfold.utils import parse_datetime_str

from jobs import registry, scopes
from jobs.ids import parsed
from jobs.listing import Selection
from jobs.models import Job, Queue

WINDOW = tuple(f"run_at_{end}_{part}" for end in ("from", "to") for part in (0, 1))
FIELDS = {"state__exact": "state", "q": "search"} | {
    name: name for name in ("queue", "task", "tenant", "tag", "signature")
}
KNOWN = frozenset([*FIELDS, *WINDOW, "ids"])


class _Shown:
    """A filter that is only drawn."""

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        return queryset


class StateFilter(_Shown, DropdownFilter):  # type: ignore[misc]  # untyped
    title = _("state")
    parameter_name = "state__exact"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, Any]]:
        return [*Job.State.choices, ("retrying", _("tried again")), ("overdue", _("overdue"))]


class QueueFilter(_Shown, DropdownFilter):  # type: ignore[misc]  # untyped
    title = _("queue")
    parameter_name = "queue"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, str]]:
        rows = scopes.of(request.user).rows(Queue.objects.all(), queue="name", tenant=None)
        return [(name, name) for name in rows.values_list("name", flat=True)]


class TaskFilter(_Shown, DropdownFilter):  # type: ignore[misc]  # untyped
    """By the tasks that this installation has code for: to ask the table which there are would read all of it."""

    title = _("task")
    parameter_name = "task"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, str]]:
        names = set(registry.names())
        if chosen := request.GET.get("task"):
            names.add(chosen)
        return [(name, name) for name in sorted(names)]


class TenantFilter(_Shown, TextFilter):  # type: ignore[misc]  # untyped
    title = _("tenant")
    parameter_name = "tenant"


class TagFilter(_Shown, TextFilter):  # type: ignore[misc]  # untyped
    title = _("tag")
    parameter_name = "tag"


class SignatureFilter(_Shown, TextFilter):  # type: ignore[misc]  # untyped
    title = _("error signature")
    parameter_name = "signature"


class WindowFilter(_Shown, RangeDateTimeFilter):  # type: ignore[misc]  # untyped
    """Of run_at."""


LIST = (
    StateFilter,
    QueueFilter,
    TaskFilter,
    ("run_at", WindowFilter),
    TenantFilter,
    TagFilter,
    SignatureFilter,
)


def selection_of(address: Mapping[str, Any]) -> Selection:
    """What the query of an address selects. Raises IncorrectLookupParameters."""
    said: dict[str, Any] = {column: str(address[name]) for name, column in FIELDS.items() if address.get(name)}
    said["run_from"], said["run_until"] = _moment(address, "from"), _moment(address, "to")
    if ids := str(address.get("ids") or ""):
        said["ids"] = [pk for one in ids.split(",") if (pk := parsed(one))]
    try:
        return Selection(**said)
    except ValidationError as exc:
        raise IncorrectLookupParameters(str(exc)) from exc


def _moment(address: Mapping[str, Any], end: str) -> datetime | None:
    """A day alone is its first minute."""
    day, clock = (str(address.get(f"run_at_{end}_{part}") or "") for part in (0, 1))
    if not day:
        return None
    found = parse_datetime_str(f"{day} {clock or '00:00'}")
    if found is None:
        raise IncorrectLookupParameters(f"{day} {clock}")
    return timezone.make_aware(found)
