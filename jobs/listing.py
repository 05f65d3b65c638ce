"""What the admin's list of jobs would otherwise ask of all rows, on each page: how many there are, and which queues.

Used by the admin. The promise: a page costs what is on it, with a thousand jobs or with a million.
"""

from collections.abc import Iterable
from typing import Any

from django.contrib import admin
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.functional import cached_property

from jobs.models import Job, Queue

MOST = 10_000  # rows that are counted, and that one can page through; whoever looks for more narrows the search


class Pages(Paginator[Any]):
    @cached_property
    def count(self) -> int:
        rows: Any = self.object_list
        return int(rows.order_by()[:MOST].count())


class QueueFilter(admin.SimpleListFilter):
    """By queue. Django's own would read all jobs to know which queues there are."""

    title = parameter_name = "queue"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, str]]:
        return [(name, name) for name in Queue.objects.values_list("name", flat=True)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Job]) -> QuerySet[Job]:
        return queryset.filter(queue=self.value()) if self.value() else queryset
