"""The list of jobs by keyset: "next" asks for what comes after the last one, however far one has paged.

Used by JobAdmin. The promise: no COUNT over the table and no OFFSET; beyond 10,000 it says "more than".
"""

from typing import Any

from django.contrib.admin.options import IncorrectLookupParameters
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.formats import number_format
from django.utils.translation import gettext as _

from config.theme.pages import Rows
from jobs import listing
from jobs.admin.filters import selection_of
from jobs.models import Job

AFTER, BEFORE = "after", "before"


class Many(int):
    """A number of which one knows only that it is greater."""

    def __str__(self) -> str:
        return _("more than %s") % number_format(listing.MOST, force_grouping=True)


def told(number: int) -> str:
    """As people read it; what was not counted to the end has `listing.MOST` and some."""
    return str(Many(number)) if number > listing.MOST else number_format(number, force_grouping=True)


class Keyset(Rows):
    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> "QuerySet[Job]":
        for name in (AFTER, BEFORE):  # not a filter: links to other filters must not carry it
            self.params.pop(name, None)
            self.filter_params.pop(name, None)
        super().get_queryset(request, exclude_parameters)  # draws the filters, which narrow nothing
        self.selection = selection_of(request.GET)
        return self.selection.rows(self.root_queryset)

    def get_results(self, request: HttpRequest) -> None:
        cursors = {name: request.GET.get(name, "") for name in (AFTER, BEFORE)}
        try:
            page = listing.page(self.selection, self.root_queryset, self.list_per_page, **cursors)
        except ValueError as exc:
            raise IncorrectLookupParameters(str(exc)) from exc
        self.result_list = page.jobs
        self.newer = page.before and self.get_query_string({BEFORE: page.before})
        self.older = page.after and self.get_query_string({AFTER: page.after})
        self.result_count = self._bounded() if self.newer or self.older else len(page.jobs)
        self.full_result_count, self.show_full_result_count = None, False
        self.unnarrowed()
        self.show_admin_actions, self.can_show_all, self.multi_page = True, False, bool(self.older or self.newer)
        self.paginator = self.model_admin.get_paginator(request, page.jobs, self.list_per_page)

    def _bounded(self) -> int:
        number = self.queryset.order_by()[: listing.MOST + 1].count()
        return Many(number) if number > listing.MOST else number
