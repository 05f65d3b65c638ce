"""docs/api.md and docs/patterns.md: what they name is there: operations, files, tests."""

import ast
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from django.test import override_settings
from django.urls import Resolver404, resolve

from config.api import api

ROOT = Path(__file__).parents[1]


def rows(name: str) -> list[list[str]]:
    # The product's own table is held by tests/api/test_description.py.
    lines = (ROOT / "docs" / name).read_text().partition("\n## The product")[0].splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines if line.startswith("| ")]
    return [row for row in cells if row[0] not in ("elsewhere", "pattern")]


API, PATTERNS = rows("api.md"), rows("patterns.md")
ASKED_ELSEWHERE = {
    *("POST /queue/jobs", "GET /queue/jobs/:id", "DELETE /queue/jobs/:id", "GET /queue/stats", "POST /queue/pause"),
    *("POST /queue/resume", "POST /queue/clean/completed", "POST /queue/clean/failed", "POST /signup"),
    *("GET /simulate-error?type=", "GET /health", "GET /health/workers"),
}
NINE = {
    *("Error classification", "Graceful shutdown", "Dead letters", "Separation of producer and worker", "Idempotency"),
    *("Small payloads", "Events", "Resource limits", "Security"),
}
TESTS = [(row[0], test) for row in API + PATTERNS for test in re.findall(r"`(tests/[\w/.]+::\w+)`", row[-1])]
OPERATIONS = [
    operation for row in API for operation in re.findall(r"`((?:GET|POST|PUT|PATCH|DELETE) /[^` ]+)`", row[1])
]
LINKS = re.findall(r"\]\((\.\./[^)]+)\)", (ROOT / "docs/patterns.md").read_text())


@cache
def names_in(path: Path) -> set[str]:
    return {node.name for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)}


@cache
def described() -> dict[str, Any]:
    with override_settings(DEBUG=True):  # the demo's too
        paths: dict[str, Any] = api.get_openapi_schema()["paths"]
    return paths


def test_everything_that_is_asked_elsewhere_has_a_row() -> None:
    first = {name for row in API for name in re.findall(r"`([^`]+)`", row[0])}
    assert first >= ASKED_ELSEWHERE
    assert {row[0] for row in PATTERNS} == NINE


def test_each_row_names_its_test() -> None:
    tested = {row for row, _ in TESTS}
    assert [row[0] for row in API + PATTERNS if row[0] not in tested] == []


@pytest.mark.parametrize(("row", "test"), TESTS)
def test_a_test_that_is_named_exists(row: str, test: str) -> None:
    path, _, name = test.partition("::")
    assert name in names_in(ROOT / path)


@pytest.mark.parametrize("operation", sorted(set(OPERATIONS)))
def test_an_operation_that_is_named_exists(operation: str) -> None:
    method, _, path = operation.partition(" ")
    if path.startswith("/health"):
        try:
            resolve(path)
        except Resolver404:
            pytest.fail(f"{path} is nowhere")
        return
    assert method.lower() in described()[path]


@pytest.mark.parametrize("link", sorted(set(LINKS)))
def test_a_link_leads_somewhere(link: str) -> None:
    assert (ROOT / "docs" / link).resolve().is_file()


def test_what_is_described_is_described_whole() -> None:
    """Every operation says what it does, every field of an answer has a type."""
    for path, methods in described().items():
        for method, operation in methods.items():
            assert operation.get("description"), (method, path)
