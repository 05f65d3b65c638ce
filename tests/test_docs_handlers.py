"""docs/handlers.md: each row has a test that exists; every kind is in it."""

import re
from functools import cache
from pathlib import Path

import pytest
from celery import current_app

from tests.test_docs_pains import names_in

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "handlers.md").read_text()
ROWS = [
    [cell.strip() for cell in line.strip("|").split(" | ")]
    for line in PAGE.splitlines()
    if line.startswith("| ") and not line.startswith("| asked for |")
]
NAMED = [(cells[0], test) for cells in ROWS for test in re.findall(r"`(tests/[\w/.]+::\w+)`", cells[-1])]


@cache
def kinds() -> set[str]:
    """The durable tasks that are there to be called by others."""
    current_app.loader.import_default_modules()
    homes = ("jobs.library.", "notifications.direct")
    return {
        name
        for name, task in current_app.tasks.items()
        if getattr(task, "is_durable", False) and task.run.__module__.startswith(homes)
    }


def test_each_kind_of_the_library_is_in_the_table() -> None:
    assert len(kinds()) >= 9
    assert [name for name in sorted(kinds()) if f"`{name}`" not in PAGE] == []


def test_each_row_names_a_test() -> None:
    tested = {row for row, _ in NAMED}
    assert [cells[0] for cells in ROWS if cells[0] not in tested] == []


@pytest.mark.parametrize(("row", "test"), NAMED)
def test_a_test_that_is_named_exists(row: str, test: str) -> None:
    path, _, name = test.partition("::")
    assert name in names_in(ROOT / path)
