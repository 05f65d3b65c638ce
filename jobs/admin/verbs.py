"""The actions of the list of jobs, each the beginning of an order: to the selected, or to all that match the filter."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext_lazy

from jobs.admin import filters
from jobs.models import Job, Order

Verb = Order.Verb


def ordering(verb: str, asked: dict[str, Any]) -> str:
    """The address of the page that shows what an order would do."""
    return f"{reverse('admin:jobs_order_add')}?{urlencode({'verb': verb, **asked})}"


class Verbs:
    """The actions of the list: on what is selected, or on all that the filter shows."""

    def _order(self, request: HttpRequest, verb: str) -> HttpResponse:
        if request.POST.get("select_across") == "1":
            asked = {name: value for name, value in request.GET.items() if name in filters.KNOWN and value}
        else:
            asked = {"ids": ",".join(request.POST.getlist("_selected_action"))}
        return HttpResponseRedirect(ordering(verb, asked))

    @admin.action(description=gettext_lazy("Cancel..."), permissions=["cancel"])
    def cancel(self, request: HttpRequest, queryset: QuerySet[Job]) -> HttpResponse:
        return self._order(request, Verb.CANCEL)

    @admin.action(description=gettext_lazy("Run again..."), permissions=["retry"])
    def retry(self, request: HttpRequest, queryset: QuerySet[Job]) -> HttpResponse:
        return self._order(request, Verb.RETRY)

    @admin.action(description=gettext_lazy("Run now..."), permissions=["postpone"])
    def run_now(self, request: HttpRequest, queryset: QuerySet[Job]) -> HttpResponse:
        return self._order(request, Verb.RUN_NOW)

    @admin.action(description=gettext_lazy("Postpone..."), permissions=["postpone"])
    def postpone(self, request: HttpRequest, queryset: QuerySet[Job]) -> HttpResponse:
        return self._order(request, Verb.POSTPONE)

    @admin.action(description=gettext_lazy("Change the priority..."), permissions=["reprioritise"])
    def reprioritise(self, request: HttpRequest, queryset: QuerySet[Job]) -> HttpResponse:
        return self._order(request, Verb.REPRIORITISE)

    def has_cancel_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("jobs.cancel_job")

    def has_retry_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("jobs.retry_job")

    def has_postpone_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("jobs.postpone_job")

    def has_reprioritise_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("jobs.reprioritise_job")
