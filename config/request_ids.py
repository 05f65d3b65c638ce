"""A name for each request, by which the log tells which jobs it has made. A middleware, before all others.

The name is X-Request-ID, as the proxy in front or the program sends it, else one of ours; the answer has it too. From
it the log leads to the jobs, and a job's id is its delivery's. Words that are no plain name are not taken over.
"""

import logging
import re
from collections.abc import Callable

from django.http import HttpRequest, HttpResponseBase

from jobs import subject
from jobs.ids import new_id

HEADER = "X-Request-ID"
NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
logger = logging.getLogger(__name__)


def middleware(get_response: Callable[[HttpRequest], HttpResponseBase]) -> Callable[[HttpRequest], HttpResponseBase]:
    def answer(request: HttpRequest) -> HttpResponseBase:
        with subject.of_request(_name(request)) as asked:
            response = get_response(request)
            if asked.jobs:
                _tell(request, asked, response.status_code)
        response.headers[HEADER] = asked.id
        return response

    return answer


def _name(request: HttpRequest) -> str:
    said = request.headers.get(HEADER, "")
    return said if NAME.fullmatch(said) else str(new_id())


def _tell(request: HttpRequest, asked: subject.Request, status: int) -> None:
    """The route, not the address: that of a signed link is a secret."""
    route = request.resolver_match.route if request.resolver_match else ""
    names = ",".join(map(str, asked.first))
    told = (asked.id, request.method, route, status, asked.jobs, names)
    logger.info("request=%s method=%s route=%s status=%d jobs=%d ids=%s", *told)
