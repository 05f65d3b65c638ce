"""What every request passes, in this order: the address's limit, who asks, the key's limit, what may be asked, and for
changes their idempotency, their transaction and their record.

`config/api.py` puts it before every operation. The promise: what is answered with an error has changed nothing, and
what was changed is on record.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.conf import settings
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from ninja.errors import AuthenticationError
from ninja.operation import Operation

from config.logins import client_address
from jobs.access import ApiCall
from jobs.api import bodies, idempotency, throttle
from jobs.api.callers import Caller

SAFE = ("GET", "HEAD", "OPTIONS")


def guard(run: Callable[..., Any]) -> Callable[..., Any]:
    """For NinjaAPI.add_decorator(mode="view"): before an operation reads anything."""
    operation: Operation = run.__self__  # type: ignore[attr-defined]
    known, lists = _query_names(operation)

    @wraps(run)
    def passed(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        try:
            throttle.check("address", client_address(request), settings.API_RATE_OF_ADDRESS)
            caller = _caller(operation, request)
            if caller:
                throttle.check("caller", caller.name, caller.per_minute or settings.API_RATE_OF_KEY)
            bodies.check_query(request.GET, known, lists, request.META.get("QUERY_STRING", ""))
            for value in kwargs.values():
                bodies.check_text(str(value), "The path")
            if request.method in SAFE:
                return run(request, *args, **kwargs)
            return _change(request, operation, caller, lambda: run(request, *args, **kwargs))
        except Exception as exc:
            return operation.api.on_exception(request, exc)

    return passed


def _caller(operation: Operation, request: HttpRequest) -> Caller | None:
    """Raises what the operation's own check would raise later: a problem 401 or 403."""
    if not operation.auth_callbacks:
        return None
    for callback in operation.auth_callbacks:
        if found := callback(request):
            caller: Caller = found
            return caller
    raise AuthenticationError


def _change(request: HttpRequest, operation: Operation, caller: Caller | None, run: Callable[[], Any]) -> HttpResponse:
    raw = bodies.raw_of(request)
    if _has_body(operation):
        bodies.read(request)
    else:
        bodies.check_none(raw)
    key = idempotency.key_of(request)
    by = caller.name if caller else ""

    def act() -> HttpResponse:
        with transaction.atomic():
            response: HttpResponse = run()
            if response.status_code >= 400:
                transaction.set_rollback(True)
            else:
                ApiCall.objects.create(
                    by=by,
                    operation=operation.view_func.__name__,
                    path=request.path[:300],
                    status=response.status_code,
                    key=key,
                )
        return response

    if key and caller and idempotency.is_kept(operation.openapi_extra):
        return idempotency.once(request, by, key, raw, act)
    return act()


def _has_body(operation: Operation) -> bool:
    return any(getattr(model, "__ninja_param_source__", "") == "body" for model in operation.models)


def _query_names(operation: Operation) -> tuple[set[str], set[str]]:
    """The names an operation takes in its query, and those of them that may be there more than once."""
    names: set[str] = set()
    lists: set[str] = set()
    for model in operation.models:
        if getattr(model, "__ninja_param_source__", "") == "query":
            names |= set(model.__ninja_flatten_map__)
            lists |= set(getattr(model, "__ninja_collection_fields__", []))
    return names, lists
