"""What an address answers to methods that no operation is for: HEAD, OPTIONS, and those that it does not take.

Put around every address by `description`. The promise: HEAD is GET without the body, OPTIONS tells what there is, and
any other is a problem (405); the last two say in `Allow` what the address takes.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseNotAllowed

from jobs.api.problems import Problem, answer

View = Callable[..., HttpResponseBase]


def answered(view: View) -> View:
    @wraps(view)
    def of_any_method(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        asked = request.method
        request.method = "GET" if asked == "HEAD" else asked
        try:
            response = view(request, *args, **kwargs)
        finally:
            request.method = asked
        if isinstance(response, HttpResponseNotAllowed):
            response = _other(str(asked), response)
        return _without_body(response) if asked == "HEAD" else response

    return of_any_method


def _other(method: str, response: HttpResponseNotAllowed) -> HttpResponse:
    taken = {name.strip() for name in response["Allow"].split(",")}
    allow = {"Allow": ", ".join(sorted(taken | {"OPTIONS"} | ({"HEAD"} if "GET" in taken else set())))}
    if method == "OPTIONS":
        return HttpResponse(status=204, headers=allow)
    return answer(Problem(405, f"{method[:20]} is nothing that this address takes: {allow['Allow']}.", headers=allow))


def _without_body(response: HttpResponseBase) -> HttpResponseBase:
    """Servers leave that to the application. The length is that of GET's."""
    if isinstance(response, HttpResponse):
        response.headers.setdefault("Content-Length", str(len(response.content)))
        response.content = b""
    else:
        response.streaming_content = []  # type: ignore[attr-defined]  # a file's; what is open is closed with the answer
    return response
