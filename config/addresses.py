"""Addresses that nothing can be found by: what holds a NUL is answered before a database is asked, which would break.

A middleware. The API has an answer of its own (jobs/api/bodies.py), in the form that programs read; forms check theirs.
"""

from collections.abc import Callable

from django.core.exceptions import SuspiciousOperation
from django.http import HttpRequest, HttpResponseBase

API = "/api/"


def middleware(get_response: Callable[[HttpRequest], HttpResponseBase]) -> Callable[[HttpRequest], HttpResponseBase]:
    def answer(request: HttpRequest) -> HttpResponseBase:
        if not request.path_info.startswith(API) and _unreadable(request):
            raise SuspiciousOperation("The address holds a NUL, which no text has.")
        return get_response(request)

    return answer


def _unreadable(request: HttpRequest) -> bool:
    return "\x00" in request.path_info or "%00" in request.META.get("QUERY_STRING", "")
