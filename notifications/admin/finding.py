"""The search of a list of very many rows that belong to customers: by id or by customer, never by reading all rows.

Used by the page of deliveries. A pattern such as `%alice%` is looked for among the customers, who are fewer, and of
whom `MOST` count at most; of the rows themselves only whole values are compared, for which there are indexes.
"""

from typing import Any

from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.text import smart_split, unescape_string_literal

from config.theme.tenancy import within
from jobs.ids import parsed
from notifications.models import Customer

MOST = 200  # customers, the newest
OF_CUSTOMERS = "customer__"


class ByCustomer:
    """Goes behind `Masked`, which says what may be looked for in part and what only as a whole ("=email")."""

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        words = [_plain(word) for word in smart_split(search_term)]
        if not words:
            return queryset, False
        if len(words) == 1 and (pk := parsed(words[0])):
            return queryset.filter(pk=pk), False
        fields: list[str] = list(self.get_search_fields(request))  # type: ignore[attr-defined]  # the admin's
        theirs = [field for field in fields if OF_CUSTOMERS in field]
        rows = Q(customer__in=_customers(within(request, Customer.objects.all()), words, theirs))
        for field in fields:
            if field not in theirs:
                rows |= Q(**{field.lstrip("=^@"): " ".join(words)})
        return queryset.filter(rows), False


def _customers(found: QuerySet[Customer], words: list[str], fields: list[str]) -> list[int]:
    for word in words:
        either = Q(pk__in=[])
        for field in fields:
            how = "iexact" if field.startswith("=") else "icontains"
            either |= Q(**{f"{field.lstrip('=^@').removeprefix(OF_CUSTOMERS)}__{how}": word})
        found = found.filter(either)
    return list(found.order_by("-pk").values_list("pk", flat=True)[:MOST])


def _plain(word: str) -> str:
    quoted = len(word) > 1 and word[0] in "\"'" and word[0] == word[-1]
    return unescape_string_literal(word) if quoted else word
