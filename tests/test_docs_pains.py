"""docs/pains.md: a row for each pain, with tests that exist or the reason why there is none."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROWS = [
    [cell.strip() for cell in line.strip("|").split(" | ")]
    for line in (ROOT / "docs" / "pains.md").read_text().splitlines()
    if line.startswith("| ") and not line.startswith(("| pain |", "| part |"))
]
PARTS = {"rules", "time", "bookings", "payments", "late and crowded", "consent", "guarantee", "channels"} | {
    *("templates", "why", "bulk"),
}
NAMED = [(cells[0], test) for cells in ROWS for test in re.findall(r"`(tests/[\w/.]+::\w+)`", cells[-1])]


@cache
def names_in(path: Path) -> set[str]:
    return {node.name for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)}


def test_each_pain_and_each_part_has_a_row() -> None:
    pains = {f"P{n}" for n in range(1, 23)} | {f"R{n}" for n in range(1, 15)}
    first = [cells[0] for cells in ROWS]
    assert pains | PARTS <= set(first)
    assert len(first) == len(set(first))


def test_each_row_names_a_test_or_says_why_there_is_none() -> None:
    tested = {row for row, _ in NAMED}
    assert [cells[0] for cells in ROWS if cells[0] not in tested and "not ours because" not in cells[-1]] == []


@pytest.mark.parametrize(("row", "test"), NAMED)
def test_a_test_that_is_named_exists(row: str, test: str) -> None:
    path, _, name = test.partition("::")
    assert name in names_in(ROOT / path)


def test_each_story_of_a_pain_is_in_its_row() -> None:
    named = {test.partition("::")[2]: row for row, test in NAMED if row not in PARTS}
    stories = [name for path in (ROOT / "tests/stories").glob("test_*.py") for name in names_in(path)]
    pains = {name: pain[1] for name in stories if (pain := re.match(r"test_([PR]\d+[a-e]?)_", name))}
    assert len(pains) > 20
    assert {name: named.get(name) for name in pains} == pains
