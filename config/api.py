"""The REST API: the routers of jobs and of the product under /api/v1/, its pages at /api/docs.

Mounted by `urls`. A router is a file in `jobs/api/` or `notifications/api/`; what every request passes is in
`jobs.api.door`.
"""

from django.http import HttpRequest, HttpResponse
from django.urls import Resolver404, path, re_path, resolve
from django.views.decorators.csrf import csrf_exempt

from config.demo import api as demo
from jobs.api import exports, failures, jobs, kinds, limits, orders, pauses, problems, queues, schedules, verbs, workers
from jobs.api.description import Api
from notifications.api import outside, routers

DESCRIPTION = """Bookings, payments and what goes out for them, and the jobs beneath.

Send a key as `Authorization: Bearer pk_...`; `manage.py api_key` and the admin make them. Errors are problem details
(RFC 9457). Lists go by `cursor`. Whatever changes something takes an `Idempotency-Key`. Times have a zone, durations
are in seconds, amounts in minor units."""

api = Api(title="Punctual", version="1", description=DESCRIPTION, urls_namespace="api", outside=outside.paths)
for noun in (jobs, verbs, failures, kinds):
    api.add_router("/v1/jobs", noun.router)
api.add_router("/v1/jobs/orders", orders.router)
api.add_router("/v1/queues", queues.router)
api.add_router("/v1/pauses", pauses.router)
api.add_router("/v1/limits", limits.router)
api.add_router("/v1/exports", exports.router)
api.add_router("/v1/workers", workers.router)
api.add_router("/v1/schedules", schedules.router)
api.add_router("/v1/demo", demo.router)
for router in routers.ALL:
    api.add_router("/v1", router)


@csrf_exempt  # else the answer to a POST would be a page about cookies
def nothing_here(request: HttpRequest) -> HttpResponse:
    detail = "There is nothing at this address; /api/docs lists what there is."
    if request.path.endswith("/") and _is_there(request.path_info.rstrip("/")):
        detail = f"This address has no slash at its end: {request.path.rstrip('/')}"
    return problems.answer(problems.Problem(404, detail))


def _is_there(address: str) -> bool:
    try:
        return resolve(address).func is not nothing_here
    except Resolver404:
        return False


urlpatterns = [
    path("api/", nothing_here),
    path("api/", api.urls),
    re_path("^api(?:/|$)", nothing_here),
]
