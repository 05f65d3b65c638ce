"""The description of the product's operations: whole, with what providers call, and with a page that says the same."""

import importlib
import json
import pkgutil
import re
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import resolve
from ninja import Schema

import jobs.api
from config.api import api
from notifications.api import scopes
from notifications.callbacks import generic

PAGE = (Path(__file__).parents[2] / "docs" / "api.md").read_text()
SCHEMA: Any = api.get_openapi_schema()
OURS = {"bookings", "payments", "customers", "consents", "rules", "templates", "deliveries", "inbox", "bulk changes"}
OPERATIONS = [
    pytest.param(path, method, operation, id=f"{method} {path}")
    for path, methods in SCHEMA["paths"].items()
    for method, operation in methods.items()
    if OURS & set(operation.get("tags", ()))
]


@pytest.mark.parametrize("path, method, operation", OPERATIONS)
def test_each_operation_has_its_answers_and_says_who_may(path: str, method: str, operation: Any) -> None:
    answers = {str(code) for code in operation["responses"]}
    assert {"401", "403", "422", "429", "500"} <= answers
    assert answers & {"200", "201", "202", "204"}
    assert ("404" in answers) == ("{" in path)
    assert operation["security"]


def test_no_two_shapes_share_a_name_else_one_is_described_as_the_other() -> None:
    for module in pkgutil.iter_modules(jobs.api.__path__, "jobs.api."):
        importlib.import_module(module.name)
    shapes: dict[str, set[str]] = {}
    waiting = [Schema]
    while waiting:
        shape = waiting.pop()
        waiting += shape.__subclasses__()
        if shape.__module__.startswith(("jobs.api", "notifications.api", "config.demo")):
            shapes.setdefault(shape.__name__, set()).add(shape.__module__)
    described = set(re.findall(r"schemas/(\w+)", json.dumps(SCHEMA)))
    assert {name: where for name, where in shapes.items() if len(where) > 1 and name in described} == {}


def test_what_providers_call_is_described_as_the_view_that_there_is() -> None:
    described = SCHEMA["paths"]["/callbacks/generic/"]["post"]
    assert resolve("/callbacks/generic/").func is generic.event
    assert described["requestBody"]["content"]["application/json"]["schema"]["required"] == ["type", "data"]
    for name in ("unsubscribe", "confirm"):
        assert set(SCHEMA["paths"][f"/{name}/{{token}}"]) == {"get", "post"}


@pytest.mark.django_db
def test_the_description_is_served() -> None:
    assert Client().get("/api/openapi.json").json()["paths"].keys() == SCHEMA["paths"].keys()


def test_the_page_names_tests_and_addresses_that_there_are() -> None:
    ours = PAGE[PAGE.index("## The product") :]
    tests = "\n".join(path.read_text() for path in (Path(__file__).parents[1]).rglob("test_*.py"))
    for name in re.findall(r"`(test_\w+)`", ours):
        assert f"def {name}(" in tests, name
    for name in re.findall(r"`(tests/[\w/]+\.py)`", ours):
        assert (Path(__file__).parents[2] / name).exists(), name
    known = {re.sub(r"{\w+}", "{id}", path.removeprefix("/api/v1")) for path in SCHEMA["paths"]}
    for path in re.findall(r"`(?:GET|POST) (/[^`?:]*[\w}])`", ours):
        if not path.startswith(("/callbacks", "/unsubscribe", "/confirm")):
            assert path in known, path


@pytest.mark.django_db
def test_each_scope_is_a_permission_that_there_is() -> None:
    from django.contrib.auth.models import Permission

    known = {
        f"{one.content_type.app_label}.{one.codename}" for one in Permission.objects.select_related("content_type")
    }
    assert set(scopes.SCOPES.values()) <= known
