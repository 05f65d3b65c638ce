"""/metrics: what Prometheus reads, for whoever has METRICS_TOKEN; without that there is nothing at this address.

The promise: an answer is whole or an error (503 while the database is away), and what writes it is loaded when somebody
asks with the right token, not when web starts.
"""

import secrets

from django.conf import settings
from django.db import Error, connection
from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

PLAIN = "text/plain; charset=utf-8"


@never_cache
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    if not settings.METRICS_TOKEN:
        return HttpResponse("METRICS_TOKEN is not set.\n", PLAIN, 404)
    if not _allowed(request.headers.get("Authorization", "")):
        said = "Send METRICS_TOKEN as Authorization: Bearer ...\n"
        return HttpResponse(said, PLAIN, 401, headers={"WWW-Authenticate": "Bearer"})
    from config import gauges

    try:
        return HttpResponse(*gauges.written(request.headers.get("Accept", "")))
    except Error:
        connection.close()  # the next look begins anew
        return HttpResponse("The database does not answer.\n", PLAIN, 503)


def _allowed(header: str) -> bool:
    scheme, _space, token = header.partition(" ")
    right = secrets.compare_digest(token.strip().encode(), settings.METRICS_TOKEN.encode())
    return right and scheme.lower() == "bearer"
