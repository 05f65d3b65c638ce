"""Cancel, move or write to many bookings: from their list to a preview, to a page that shows how far it is.

Nothing here changes a booking: `bulk` does. The promise: nothing is started that was not shown; when what it would do
has changed since, it is shown again; and a page starts one change, however often it is sent.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID

import pydantic
from django.contrib import admin, messages
from django.contrib.admin.options import IS_POPUP_VAR
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError
from django.db.models import Count, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.dateparse import parse_datetime
from django.utils.http import urlencode
from django.utils.translation import gettext as _, gettext_lazy

from config.theme.pages import ModelAdmin
from config.theme.readonly import ReadOnly
from config.theme.tenancy import OfTenants, chooser, sees_several, tenants_of, the_only_one
from jobs.ids import new_id, parsed
from notifications import bulk, circulars, privacy
from notifications.admin.masking import may_reveal
from notifications.bulk_form import BulkForm
from notifications.models import Booking, BulkChange, Channel, Delivery, ReminderRule

SEEN, CONFIRM, TOKEN = "_seen", "_confirm", "_token"
PERMISSION = "notifications.run_bulkchange"
OF_THE_LIST = frozenset(["o", "p", "all", "e", "_facets", IS_POPUP_VAR])  # how it is shown, not what


COUNTED = {  # as `bulk` counts, in words
    "cancelled": gettext_lazy("bookings cancelled"),
    "moved": gettext_lazy("bookings moved"),
    "written to": gettext_lazy("bookings written about"),
    "reminders withdrawn": gettext_lazy("reminders withdrawn"),
    "reminders planned": gettext_lazy("reminders planned"),
    "reminders in flight": gettext_lazy("reminders that were being sent just then"),
    "messages planned": gettext_lazy("messages planned"),
}


class NotAFilter(ValueError):
    """The list is filtered by something that a change to many cannot keep."""


def selection_of(filters: dict[str, str]) -> bulk.Selection:
    """What the list of bookings is filtered by. Raises NotAFilter."""
    left = {name: value for name, value in filters.items() if name not in OF_THE_LIST}
    said: dict[str, Any] = {"search": left.pop("q", ""), "tenant": left.pop("tenant", "")}
    if left.pop("status__exact", "booked") != "booked":
        raise NotAFilter(_("Only bookings that are still on can be changed."))
    year, month, day = (left.pop(f"starts_at__{part}", "") for part in ("year", "month", "day"))
    if year:
        said["starts_from"], said["starts_before"] = _span(int(year), int(month or 0), int(day or 0))
    for name, column in (("wall_date", "on"), ("location", "location"), ("service", "service")):
        said |= {column: left.pop(name)} if left.get(name) else {}
        left.pop(name, None)
    for name, column in (("starts_at__gte", "starts_from"), ("starts_at__lt", "starts_before")):
        if name in left:
            said[column] = parse_datetime(left.pop(name))
    if left:
        unknown = ", ".join(sorted(left))
        raise NotAFilter(_("Select the bookings one by one: the filter {unknown} is not kept.").format(unknown=unknown))
    try:
        return bulk.Selection.model_validate(said)
    except pydantic.ValidationError:
        raise NotAFilter(_("Filter the list first: a change to all bookings is not made by mistake.")) from None


def _span(year: int, month: int, day: int) -> tuple[datetime, datetime]:
    """As the list's own calendar, in UTC."""
    begins = datetime(year, month or 1, day or 1, tzinfo=UTC)
    if day:
        return begins, begins + timedelta(days=1)
    if month:
        return begins, datetime(year + month // 12, month % 12 + 1, 1, tzinfo=UTC)
    return begins, datetime(year + 1, 1, 1, tzinfo=UTC)


class ToMany:
    """Actions of the list of bookings, on those that are selected or on all that match the filter."""

    def has_run_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(PERMISSION)

    @admin.action(description=gettext_lazy("Cancel many..."), permissions=["run"])
    def cancel_many(self, request: HttpRequest, queryset: QuerySet[Booking]) -> HttpResponse | None:
        return self._prepare(request, queryset, bulk.Kind.CANCEL)

    @admin.action(description=gettext_lazy("Move many..."), permissions=["run"])
    def move_many(self, request: HttpRequest, queryset: QuerySet[Booking]) -> HttpResponse | None:
        return self._prepare(request, queryset, bulk.Kind.MOVE)

    @admin.action(description=gettext_lazy("Write to many..."), permissions=["run"])
    def message_many(self, request: HttpRequest, queryset: QuerySet[Booking]) -> HttpResponse | None:
        return self._prepare(request, queryset, bulk.Kind.MESSAGE)

    def _prepare(self, request: HttpRequest, queryset: QuerySet[Booking], kind: bulk.Kind) -> HttpResponse | None:
        try:
            if request.POST.get("select_across") == "1":
                chosen = selection_of({name: str(value) for name, value in request.GET.items()})
            else:
                chosen = bulk.Selection(ids=tuple(queryset.values_list("pk", flat=True)))
            chosen = chosen.model_copy(update={"tenant": _tenant(request, queryset)})
        except ValueError as exc:
            messages.error(request, str(exc))
            return None
        asked = {"kind": kind.value, "selection": chosen.model_dump_json(exclude_defaults=True)}
        return HttpResponseRedirect(f"{reverse('admin:notifications_bulkchange_add')}?{urlencode(asked)}")


@admin.register(BulkChange)
class BulkChangeAdmin(OfTenants, ReadOnly, ModelAdmin[BulkChange]):
    list_display = ("created_at", "kind", "reason", "actor", "done", "total", "finished_at", "cancelled_at")
    list_filter = ("kind",)
    ordering = ("-id",)
    fields = ("kind", "reason", "actor", "which", "parameters", "created_at", "cancelled_at", "cancelled_by")

    readonly_fields = ("which",)

    @admin.display(description=gettext_lazy("filters"))
    def which(self, change: BulkChange) -> str:
        """A search may be for somebody's address or name."""
        hidden = (
            {"search": privacy.shown(change.filters["search"], privacy.nothing)} if "search" in change.filters else {}
        )
        return json.dumps({**change.filters, **hidden}, ensure_ascii=False)

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest | None = None) -> bool:
        return lookup == "kind__exact"  # ?filters__search__startswith=... would tell letter by letter

    def has_add_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(PERMISSION)

    def has_view_permission(self, request: HttpRequest, obj: BulkChange | None = None) -> bool:
        return super().has_view_permission(request, obj) or request.user.has_perm(PERMISSION)

    def get_urls(self) -> list[Any]:
        call_off = self.admin_site.admin_view(self.call_off)
        return [path("<int:pk>/call-off/", call_off, name="notifications_bulkchange_call_off"), *super().get_urls()]

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """Which bookings, what, and why; then what that would do; then it is started."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        if request.method != "POST":
            return self._page(request, _form(request, initial=_initial(request)))
        form = _form(request, request.POST)
        if not form.is_valid():
            return self._page(request, form)
        if form.cleaned_data["search"] and not may_reveal(request):
            # it looks for parts of names and addresses: the counts would tell them letter by letter
            form.add_error("search", _("You may not see names and addresses, nor look for them."))
            return self._page(request, form)
        token = parsed(request.POST.get(TOKEN))
        if CONFIRM in request.POST and token and (first := _started(token)):
            return first  # by another click, or from a page that was gone back to
        preview = bulk.preview(form.asked["selection"], form.asked["kind"], **_words(form))
        seen, asked = _fingerprint(form, preview), request.POST.get(SEEN)
        if CONFIRM not in request.POST or asked != seen or token is None:
            if CONFIRM in request.POST:
                messages.warning(request, _("What it would do has changed since. Please look again."))
            return self._page(request, form, preview=preview, seen=seen, **_said_of(form, preview))
        said = {"reason": form.cleaned_data["reason"], "actor": request.user.get_username(), "token": token}
        try:
            change = bulk.start(**form.asked, **said)
        except IntegrityError:
            if first := _started(token):  # the other click was faster
                return first
            raise
        self.log_addition(request, change, f"{change.kind}: {change.reason}")
        return HttpResponseRedirect(reverse("admin:notifications_bulkchange_change", args=[change.pk]))

    def _page(self, request: HttpRequest, form: BulkForm, **shown: Any) -> TemplateResponse:
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": _("Change many bookings"),
            "form": form,
            "media": self.media + form.media,
            "seen_name": SEEN,
            "confirm_name": CONFIRM,
            "token_name": TOKEN,
            "token": new_id(),  # of this page: it starts one change
            "hidden": not may_reveal(request),
            **shown,
        }
        return TemplateResponse(request, "admin/notifications/bulkchange/prepare.html", context)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        change = self.get_object(request, object_id)
        shown: dict[str, Any] = {"row": change, "may_call_off": request.user.has_perm(PERMISSION)}
        if change is not None:
            groups = Delivery.objects.filter(bulk=change).values("channel", "state", "reason").annotate(n=Count("pk"))
            shown["groups"] = [_in_words(group) for group in groups.order_by("channel", "state", "reason")]
            shown["counts"] = [(_counted(what), number) for what, number in change.counts.items()]
        answer = super().change_view(request, object_id, form_url, {**(extra_context or {}), **shown})
        if change is not None and not change.finished_at and not change.cancelled_at:
            answer["Refresh"] = "3"  # how far it is
        return answer

    def call_off(self, request: HttpRequest, pk: int) -> HttpResponse:
        if not request.user.has_perm(PERMISSION):
            raise PermissionDenied
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        change = self.get_queryset(request).filter(pk=pk).first()
        if change is None:
            raise Http404
        if bulk.call_off(change, actor=request.user.get_username()):
            self.log_change(request, change, "called off")
            messages.success(request, _("Called off. What has not gone out is being withdrawn."))
        else:
            messages.error(request, _("It had been called off before."))
        return HttpResponseRedirect(reverse("admin:notifications_bulkchange_change", args=[pk]))


def _form(request: HttpRequest, data: Any = None, initial: Any = None) -> BulkForm:
    """Of one's own tenants. Who has one, or knows of none, is not asked."""
    form = BulkForm(data, initial=initial)
    if sees_several(request):
        form.fields["tenant"] = chooser(request)
    elif (only := the_only_one(request)) is not None and tenants_of(request) is not None:
        form.fields["tenant"].disabled = True  # whatever is posted
        form.initial["tenant"] = only
    return form


def _tenant(request: HttpRequest, queryset: QuerySet[Booking]) -> str:
    """That of all the chosen bookings. Raises NotAFilter: a change is of one tenant."""
    first = queryset.order_by().values_list("tenant", flat=True).first() or ""
    if sees_several(request) and queryset.exclude(tenant=first).exists():
        raise NotAFilter(_("These are bookings of several tenants. Filter the list by one of them first."))
    return first


def _started(token: UUID) -> HttpResponse | None:
    """The page of the change that was started with it."""
    pk = BulkChange.objects.filter(token=token).values_list("pk", flat=True).first()
    return HttpResponseRedirect(reverse("admin:notifications_bulkchange_change", args=[pk])) if pk else None


def _initial(request: HttpRequest) -> dict[str, Any]:
    """From the address that the list of bookings sent us to; empty if somebody has edited it."""
    try:
        chosen = bulk.Selection.model_validate_json(request.GET.get("selection", ""))
    except pydantic.ValidationError:
        return {"kind": request.GET.get("kind", bulk.Kind.MESSAGE)}
    initial = chosen.model_dump(exclude_defaults=True) | {"kind": request.GET.get("kind")}
    return initial | {"ids": ",".join(map(str, chosen.ids))}


def _words(form: BulkForm) -> dict[str, Any]:
    return {name: form.asked[name] for name in ("days", "message")}


def _said_of(form: BulkForm, preview: bulk.Preview) -> dict[str, Any]:
    """For the page: the states in words, and whether nobody would hear of it."""
    states = [(Delivery.State(state).label, number) for state, number in preview.reminders.items()]
    notice = circulars.NOTICES.get(form.asked["kind"])
    rules = ReminderRule.objects.filter(anchor=notice, active=True, tenant__in={"", form.asked["selection"].tenant})
    silent = notice is not None and not form.asked["message"] and preview.bookings > 0 and not rules.exists()
    return {"states": states, "silent": silent}


def _counted(what: str) -> str:
    _name, untold, reason = what.partition("no message: ")
    if untold:
        return _("no message: {reason}").format(reason=Delivery.Reason(reason).label)
    return str(COUNTED.get(what, what))


def _in_words(group: Mapping[str, Any]) -> dict[str, Any]:
    reason = Delivery.Reason(group["reason"]).label if group["reason"] else ""
    said = {"channel": Channel(group["channel"]).label, "state": Delivery.State(group["state"]).label}
    return {**group, **said, "reason": reason}


def _fingerprint(form: BulkForm, preview: bulk.Preview) -> str:
    """Of what was asked for and of what it would do."""
    reached = preview.message
    counts = [sorted(reached.by_channel), sorted(reached.by_reason)] if reached else []
    of_theirs = BulkChange.objects.filter(tenant=form.asked["selection"].tenant)
    asked = sorted((name, str(value)) for name, value in form.asked.items())
    latest = of_theirs.order_by("-pk").values_list("pk", flat=True).first()  # sent twice, it would move twice
    told = [asked, form.cleaned_data["reason"], preview.bookings, preview.customers, counts, latest]
    return sha256(repr(told).encode()).hexdigest()
