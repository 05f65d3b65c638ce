"""Errors as RFC 9457 has them: a Problem is raised anywhere, and becomes `application/problem+json`.

Used by every router. The promise: each error says what is wrong and what to do, in one shape, and nothing of the
inside: what was not foreseen is logged under an id, and only the id is told.
"""

import json
import logging
from collections.abc import Mapping
from typing import Any

from django.core.exceptions import NON_FIELD_ERRORS, PermissionDenied, ValidationError as Invalid
from django.db import IntegrityError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse
from ninja import NinjaAPI
from ninja.errors import AuthenticationError, HttpError, ValidationError

from jobs.ids import new_id

logger = logging.getLogger(__name__)

MEDIA = "application/problem+json"
TITLES = {
    400: "Not understood",
    401: "No valid key",
    403: "Not allowed",
    404: "Not found",
    405: "No such method here",
    409: "Conflict",
    410: "Gone",
    413: "Too large",
    415: "Not a type that is taken",
    422: "Not acceptable",
    429: "Too many requests",
    500: "Our mistake",
    503: "Not now",
}


class Problem(Exception):
    """`detail` says what to do; `more` is told beside it."""

    def __init__(self, status: int, detail: str, *, headers: Mapping[str, str] | None = None, **more: Any) -> None:
        super().__init__(detail)
        self.status, self.detail, self.headers, self.more = status, detail, headers or {}, more


def not_found(what: str = "row") -> Problem:
    """Also for what is another's: that it exists is not told."""
    return Problem(404, f"There is no such {what}, or not for this key.")


def answer(problem: Problem) -> HttpResponse:
    body = {"type": "about:blank", "title": TITLES[problem.status], "status": problem.status, "detail": problem.detail}
    response = HttpResponse(json.dumps(body | problem.more), status=problem.status, content_type=MEDIA)
    for name, value in problem.headers.items():
        response[name] = value
    return response


def install(api: NinjaAPI) -> None:
    """Have the API answer with problems, whatever is raised."""
    handlers: dict[type[Exception], Any] = {
        Problem: lambda _request, exc: answer(exc),
        AuthenticationError: lambda _request, _exc: answer(unauthenticated()),
        HttpError: lambda _request, exc: answer(Problem(exc.status_code, exc.message)),
        Http404: lambda _request, _exc: answer(not_found()),
        PermissionDenied: lambda _request, exc: answer(Problem(403, str(exc) or "This is not allowed.")),
        ValidationError: lambda _request, exc: answer(_invalid(exc.errors)),
        Invalid: lambda _request, exc: answer(of_model(exc)),
        IntegrityError: _taken,
        OperationalError: _busy,
        Exception: _unforeseen,
    }
    for kind, handler in handlers.items():
        api.add_exception_handler(kind, handler)


def unauthenticated() -> Problem:
    detail = "Send a key that is valid now, as Authorization: Bearer pk_..."
    return Problem(401, detail, headers={"WWW-Authenticate": "Bearer"})


def invalid(field: str, message: str) -> Problem:
    """One value that cannot be taken."""
    return Problem(422, f"{field}: {message}", errors=[{"field": field, "message": message}])


def of_model(exc: Invalid) -> Problem:
    """What a form of the admin would say beside its fields."""
    told = exc.message_dict if hasattr(exc, "error_dict") else {"": exc.messages}
    whole: dict[str, str] = {NON_FIELD_ERRORS: ""}  # what is wrong with several fields together
    errors = [
        {"field": whole.get(field, field), "message": str(text)} for field, texts in told.items() for text in texts
    ]
    return Problem(422, _summary(errors), errors=errors)


def _invalid(found: list[dict[str, Any]]) -> Problem:
    errors = [{"field": _field(one["loc"]), "message": str(one["msg"]).removeprefix("Value error, ")} for one in found]
    return Problem(422, _summary(errors), errors=errors)


def _field(place: tuple[Any, ...]) -> str:
    """Without where the value stands and the name of our parameter: `run_at`, `jobs.3.task`, or a query's `limit`."""
    inner = place[2:] if place and place[0] == "body" else place[1:]
    return ".".join(str(part) for part in inner) or place[0]


def _summary(errors: list[dict[str, str]]) -> str:
    first = f"{errors[0]['field']}: {errors[0]['message']}" if errors[0]["field"] else errors[0]["message"]
    return first if len(errors) == 1 else f"{first} (and {len(errors) - 1} more)"


def _busy(_request: HttpRequest, exc: Exception) -> HttpResponse:
    """The database is away, or its locks are taken. Nothing was changed."""
    logger.warning("The database did not answer a request: %s", type(exc).__name__)
    return answer(Problem(503, "The database is busy. Nothing was changed; try again.", headers={"Retry-After": "5"}))


UNIQUE = ("23505", "SQLITE_CONSTRAINT_UNIQUE", "SQLITE_CONSTRAINT_PRIMARYKEY")  # as PostgreSQL and SQLite name it
REFERRED = ("23503", "SQLITE_CONSTRAINT_FOREIGNKEY")


def _taken(request: HttpRequest, exc: Exception) -> HttpResponse:
    """Somebody else was faster with the same name, or removed what this refers to; these constraints decide races.

    Any other (a CHECK, an empty column) no race can break: that is a mistake of ours, and must be seen as one.
    """
    cause = exc.__cause__
    if (getattr(cause, "sqlstate", None) or getattr(cause, "sqlite_errorname", "")) not in UNIQUE + REFERRED:
        return _unforeseen(request, exc)
    logger.warning("A request met a constraint: %s", type(exc).__name__)
    return answer(Problem(409, "Somebody has just made or removed the same. Nothing was changed; look, and try again."))


def _unforeseen(request: HttpRequest, exc: Exception) -> HttpResponse:
    pk = str(new_id())
    logger.error("error=%s method=%s path=%s", pk, request.method, request.path, exc_info=exc)
    return answer(Problem(500, "This is our mistake. Nothing was changed. Tell us its id.", id=pk))
