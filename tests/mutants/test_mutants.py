"""Every mutant can be tried: its guard stands where it says, and its tests exist. `make mutants` tries them."""

import ast
from collections import Counter
from functools import cache

import pytest

from jobs import limits
from tests.mutants import MUTANTS, warm
from tests.mutants.mutant import ROOT, Cut, Moved, Mutant, mutant
from tests.mutants.races import RACES, page, unknown
from tests.mutants.trial import BROKEN, KILLED, SKIPPED, SURVIVED, judge


@cache
def defined_in(path: str) -> frozenset[str]:
    tree = ast.parse((ROOT / path).read_text())
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


@pytest.mark.parametrize("each", MUTANTS, ids=lambda each: each.name)
def test_a_guard_stands_where_its_mutant_says_and_its_tests_exist(each: Mutant) -> None:
    assert all(text != (ROOT / path).read_text() for path, text in each.files().items()), "the mutant changes nothing"
    assert each.tests
    for test in each.tests:
        path, name = test.partition("[")[0].split("::")
        assert name in defined_in(path), f"{path} has no {name}"


def test_no_two_mutants_have_one_name() -> None:
    assert [name for name, many in Counter(each.name for each in MUTANTS).items() if many > 1] == []


def test_every_race_names_its_mutants() -> None:
    assert list(unknown(MUTANTS)) == []
    assert [race.number for race in RACES] == list(range(1, 31))
    assert [race.number for race in RACES if not race.mutants] == [22, 26], "these two have no guard in the code"


def test_the_page_tells_of_the_guards_as_they_are() -> None:
    told = (ROOT / "docs/races.md").read_text()
    assert told == page(MUTANTS), "print it anew: python -m tests.mutants --page > docs/races.md"
    assert "docs/races.md" in (ROOT / "ARCHITECTURE.md").read_text()


def test_a_function_gets_the_code_without_its_guard_and_a_table_has_to_be_imported_anew() -> None:
    guarded = mutant("x", "jobs/limits.py:key_limit", "if key in limits:", "if False:", "a test")
    table = mutant("x", "jobs/transitions.py", "({S.QUEUED}), S.RUNNING)", "({S.RUNNING}), S.RUNNING)", "a test")
    assert (warm.possible(guarded), warm.possible(table)) == (True, False)
    code = limits.key_limit.__code__
    try:
        warm.apply(guarded, ROOT)
        assert limits.key_limit("venue:7", {"venue:7": 5, "*": 2}) == 2
    finally:
        limits.key_limit.__code__ = code
    assert limits.key_limit("venue:7", {"venue:7": 5, "*": 2}) == 5


CODE = "def a():\n    return wanted(1,\n        token)\n\n\ndef b():\n    return wanted(1, token)\n"


def test_a_guard_is_found_in_its_function_however_it_is_broken_into_lines() -> None:
    assert Cut("x.py:a", "wanted(1, token)", "wanted(1)").apply(CODE) == CODE.replace(
        "wanted(1,\n        token)", "wanted(1)"
    )


@pytest.mark.parametrize(
    ("place", "guard", "says"),
    [
        ("x.py", "wanted(1, token)", "stands 2 times"),
        ("x.py:b", "wanted(2, token)", "x.py:7: return wanted(1, token)"),
        ("x.py:c", "wanted(1, token)", "defines c 0 times"),
    ],
)
def test_a_guard_that_moved_is_an_error_that_says_where_to(place: str, guard: str, says: str) -> None:
    with pytest.raises(Moved, match="update the mutant") as told:
        Cut(place, guard).apply(CODE)
    assert says in str(told.value)


@pytest.mark.parametrize(
    ("outcomes", "broken", "verdict"),
    [
        ({"t.py::a[1]": "failed", "t.py::a[2]": "passed", "t.py::b": "failed"}, [], KILLED),
        ({"t.py::a": "failed", "t.py::b": "passed"}, [], SURVIVED),
        ({"t.py::a": "failed", "t.py::b": "skipped"}, [], SKIPPED),
        ({"t.py::a": "failed"}, [], BROKEN),
        ({"t.py::a": "failed", "t.py::b": "failed"}, ["t.py::a: no module named x"], BROKEN),
    ],
)
def test_a_mutant_is_killed_when_each_of_its_tests_fails(
    outcomes: dict[str, str], broken: list[str], verdict: str
) -> None:
    tried = mutant("x", "x.py", "guard", "", "t.py::a", "t.py::b")
    assert judge(tried, {"outcomes": outcomes, "broken": broken})[0] == verdict
