"""The API with its description: what ninja leaves out of OpenAPI is added here, once for every operation.

Used by `config/api.py`. The promise: every code and every header that `door` and `problems` may answer with is in the
description, so that a client that is generated from it knows them all.
"""

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe
from ninja import NinjaAPI
from ninja.openapi.docs import ABS_TPL_PATH, Swagger
from ninja.openapi.schema import OpenAPISchema
from ninja.operation import Operation

from jobs.api import bodies, door, idempotency, methods, problems

PROBLEM = {
    "type": "object",
    "title": "Problem",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "what is wrong, and what to do"},
        "id": {"type": "string", "description": "of a mistake of ours, as it is in the log"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["field", "message"],
                "properties": {"field": {"type": "string"}, "message": {"type": "string"}},
            },
        },
    },
}
PAGES = ("openapi-json", "openapi-view")  # ninja answers them to any method
FOR_DEBUGGING = "demo"  # the tag of what is there with DEBUG only
RETRY_AFTER = {"Retry-After": {"description": "seconds", "schema": {"type": "integer"}}}
CONTENT = {problems.MEDIA: {"schema": {"$ref": "#/components/schemas/Problem"}}}
IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "A name for this request, such as a UUID: sent again it is answered as before, and changes nothing.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
}


class Pages(Swagger):
    """With the files that we serve, also where ninja is no app; it would take them from elsewhere."""

    template_cdn = str(ABS_TPL_PATH / "swagger.html")


class Api(NinjaAPI):
    """NinjaAPI with our door, our problems and the whole description."""

    def __init__(self, *, outside: Callable[[], dict[str, Any]] = dict, **options: Any) -> None:
        """`outside` are paths of other views that belong to the description, in OpenAPI's form."""
        super().__init__(parser=bodies.Checked(), docs=Pages(), **options)
        self.outside = outside
        problems.install(self)
        self.add_decorator(door.guard, mode="view")

    def _get_urls(self) -> list[Any]:
        addresses: list[Any] = super()._get_urls()
        for address in addresses:
            view = require_safe(address.callback) if address.name in PAGES else address.callback
            address.callback = csrf_exempt(methods.answered(view))  # ninja checks it where a session opens the door
        return addresses

    def get_openapi_operation_id(self, operation: Operation) -> str:
        return str(operation.view_func.__name__)

    def get_openapi_schema(self, **options: Any) -> OpenAPISchema:
        schema = super().get_openapi_schema(**options)
        schema["components"]["schemas"]["Problem"] = PROBLEM
        if not settings.DEBUG:
            schema["paths"] = {path: found for path, found in schema["paths"].items() if not _for_debugging(found)}
        for address in schema["paths"].values():
            for method, operation in address.items():
                _complete(method, operation)
        schema["paths"] |= self.outside()
        return schema


def _for_debugging(methods: dict[str, Any]) -> bool:
    return any(FOR_DEBUGGING in operation.get("tags", ()) for operation in methods.values())


def _complete(method: str, operation: dict[str, Any]) -> None:
    changes = method.upper() not in door.SAFE
    codes = {422, 429, 500, 503, 400, 413}
    if operation.get("security"):
        codes |= {401, 403}
    if any(one["in"] == "path" for one in operation.get("parameters", ())):
        codes.add(404)
    if "requestBody" in operation:
        codes.add(415)
    if changes:
        codes.add(409)
        if idempotency.is_kept(operation):
            operation.setdefault("parameters", []).append(IDEMPOTENCY_KEY)
    for code in sorted(codes):
        known = {"description": problems.TITLES[code], "content": CONTENT}
        if code in (409, 429, 503):
            known["headers"] = RETRY_AFTER
        operation["responses"].setdefault(code, known)
