"""Orders to many jobs: what one would do, with the question why; then how far it is, and its receipt.

Nothing here changes a job: `bulk_orders` does. The promise: to look changes nothing, and nothing is started that was
not shown: when it would touch more jobs than was said, it is shown again.
"""

import json
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from django.contrib import admin, messages
from django.contrib.admin.options import IncorrectLookupParameters
from django.core import signing
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.formats import date_format
from django.utils.timezone import localtime
from django.utils.translation import gettext as _, gettext_lazy

from config.theme.pages import ModelAdmin
from jobs import bulk_orders, scopes
from jobs.admin import wishes
from jobs.admin.filters import selection_of
from jobs.admin.order_form import OrderForm
from jobs.admin.paging import told
from jobs.bulk_orders import Preview, Wish
from jobs.ids import new_id
from jobs.listing import Selection
from jobs.models import Job, Order

SEEN = "_seen"
MOMENTS = frozenset({"run_from", "run_until"})
SALT = "jobs.order"
AS_LONG = timedelta(hours=1)  # what was shown longer ago is shown again


@admin.register(Order)
class OrderAdmin(ModelAdmin[Order]):
    list_display = ("asked_at", "verb", "reason", "by", "done", "total", "finished_at", "called_off_at")
    list_filter = ("verb",)
    ordering = ("-id",)
    show_full_result_count = False
    fields = ("verb", "reason", "by", "asked_at", "which", "parameters", "called_off_by")
    readonly_fields = ("which",)

    @admin.display(description=gettext_lazy("filters"))
    def which(self, order: Order) -> str:
        """A search may be for somebody's address or name."""
        return json.dumps(order.filters | ({"search": "•••"} if "search" in order.filters else {}), ensure_ascii=False)

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest | None = None) -> bool:
        return lookup == "verb__exact"  # ?filters__search__startswith=... would tell letter by letter

    def get_queryset(self, request: HttpRequest) -> QuerySet[Order]:
        """Who sees some of the jobs only does not see what others did with all of them."""
        rows = super().get_queryset(request)
        if scopes.of(request.user).limits is None:
            return rows
        name = request.user.get_username()
        return rows.filter(by__in=[name, f"user:{name}"])  # here, and over the API

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view
        return [
            path("<uuid:pk>/live/", view(self.live), name="jobs_order_live"),
            path("<uuid:pk>/call-off/", view(self.call_off), name="jobs_order_call_off"),
            *super().get_urls(),
        ]

    # --- Before: what it would do, and why ---

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        verb = request.GET.get("verb", "")
        if verb not in Order.Verb.values:
            raise Http404
        if not request.user.has_perm(bulk_orders.PERMISSIONS[Order.Verb(verb)]):
            raise PermissionDenied
        selection = _selection(request)
        if selection == Selection():
            messages.error(request, _("Filter the list first: an order to all jobs is not given by mistake."))
            return HttpResponseRedirect(reverse("admin:jobs_job_changelist"))
        form = OrderForm(verb, request.POST if request.method == "POST" else None)
        seen = bulk_orders.preview(verb, selection, scopes.of(request.user))
        if request.method == "POST" and form.is_valid():
            before = _read(request, selection)
            if before and Order.objects.filter(pk=before.order).exists():
                return _receipt(before.order)  # sent twice, by two clicks or from a page that was gone back to
            if before and seen.total <= before.total:
                seen = Preview(before.at, seen.counts, seen.reach)
                return self._start(request, form, selection, seen, before.order)
            messages.warning(request, _("What it would do has changed since. Please look again."))
        return self._page(request, form, selection, seen)

    def _start(
        self, request: HttpRequest, form: OrderForm, selection: Selection, seen: Preview, pk: UUID
    ) -> HttpResponse:
        said = {"by": request.user.get_username(), "reason": form.cleaned_data["reason"], "parameters": form.parameters}
        try:
            order = bulk_orders.start(Wish(form.verb, selection, scopes.of(request.user), **said), seen, pk)
        except IntegrityError:  # the other click was faster
            return _receipt(pk)
        self.log_addition(request, order, f"{order.verb} ({seen.total}): {order.reason}")
        return _receipt(pk)

    def _page(self, request: HttpRequest, form: OrderForm, selection: Selection, seen: Preview) -> TemplateResponse:
        names = dict(Job.State.choices)
        rows = [(names[Job.State(state)], told(number), state in seen.reach) for state, number in seen.counts.items()]
        running = seen.counts.get(Job.State.RUNNING, 0)
        token = [seen.at.isoformat(), seen.total, str(new_id()), *_about(request, selection)]
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": str(form.verb.label),
            "verb": str(form.verb.label),  # the cards of the page have titles of their own
            "form": form,
            "media": self.media + form.media,
            "seen_name": SEEN,
            "token": signing.dumps(token, salt=SALT),
            "total": told(seen.total),
            "rows": rows,
            "running": told(running) if form.verb == Order.Verb.CANCEL and running else "",
            "filters": _said(selection),
            "destructive": form.verb == Order.Verb.CANCEL,
        }
        return TemplateResponse(request, "admin/jobs/order/prepare.html", context)

    # --- After: how far it is ---

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        order = self.get_object(request, object_id)
        shown = self._told(request, order) if order else {}
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **shown})

    def live(self, request: HttpRequest, pk: Any) -> HttpResponse:
        order = self.get_object(request, str(pk))
        if order is None:
            raise Http404
        if not self.has_view_permission(request, order):
            raise PermissionDenied
        answer = TemplateResponse(request, "admin/jobs/order/live.html", self._told(request, order))
        if not order.open:
            answer["X-Over"] = "yes"
        return answer

    def _told(self, request: HttpRequest, order: Order) -> dict[str, Any]:
        return {
            "order": order,
            "percent": min(100, round(100 * order.done / order.total)) if order.total else 100,
            "outcomes": [(wishes.outcome(what), number) for what, number in order.counts.items()],
            "may_call_off": order.open and request.user.has_perm(bulk_orders.PERMISSIONS[Order.Verb(order.verb)]),
        }

    def call_off(self, request: HttpRequest, pk: Any) -> HttpResponse:
        order = self.get_object(request, str(pk))
        if order is None:
            raise Http404
        if not request.user.has_perm(bulk_orders.PERMISSIONS[Order.Verb(order.verb)]):
            raise PermissionDenied
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if bulk_orders.call_off(order, by=request.user.get_username()):
            self.log_change(request, order, "called off")
            messages.success(request, _("Called off: no more jobs are touched. What is done is done."))
        else:
            messages.error(request, _("It was over before."))
        return HttpResponseRedirect(reverse("admin:jobs_order_change", args=[pk]))

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False  # orders begin at the list of jobs; `add_view` asks for the verb's own permission

    def has_change_permission(self, request: HttpRequest, obj: Order | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Order | None = None) -> bool:
        return False


def _selection(request: HttpRequest) -> Selection:
    try:
        return selection_of(request.GET)
    except IncorrectLookupParameters as exc:
        raise Http404 from exc


class Seen(NamedTuple):
    at: datetime
    total: int
    order: UUID  # that may be given from it, once


def _about(request: HttpRequest, selection: Selection) -> list[Any]:
    """To whom, what, of which jobs: what was shown of others allows nothing of these."""
    return [request.user.pk, request.GET.get("verb"), selection.model_dump_json(exclude_defaults=True)]


def _read(request: HttpRequest, selection: Selection) -> Seen | None:
    try:
        at, total, order, *about = signing.loads(request.POST.get(SEEN, ""), salt=SALT, max_age=AS_LONG)
    except (signing.BadSignature, ValueError):
        return None
    return Seen(datetime.fromisoformat(at), total, UUID(order)) if about == _about(request, selection) else None


def _receipt(pk: UUID) -> HttpResponseRedirect:
    return HttpResponseRedirect(reverse("admin:jobs_order_change", args=[pk]))


def _said(selection: Selection) -> list[tuple[str, str]]:
    """The filter in words."""
    words = {
        "state": _("state"),
        "queue": _("queue"),
        "task": _("task"),
        "tasks": _("tasks"),
        "tenant": _("tenant"),
        "tag": _("tag"),
        "signature": _("error signature"),
        "run_from": _("due from"),
        "run_until": _("due before"),
        "search": _("search"),
    }
    said = selection.model_dump(exclude_defaults=True)
    chosen = [(_("selected"), str(len(said.pop("ids"))))] if "ids" in said else []
    said |= {"state": wishes.state(said["state"])} if "state" in said else {}
    said |= {name: date_format(localtime(at), "DATETIME_FORMAT") for name, at in said.items() if name in MOMENTS}
    return chosen + [(words[name], str(value)) for name, value in said.items()]
