"""A run has the tests that it is to have, and imports no others; which use the database is not a matter of a list."""

from importlib import import_module

import pytest

from tests.selection import TESTS, can_be_left_out, uses_database


def test_a_test_of_nothing_but_code_is_not_run_twice(request: pytest.FixtureRequest) -> None:
    assert not uses_database(request.node)


@pytest.mark.django_db
def test_a_mark_asks_for_the_database(request: pytest.FixtureRequest) -> None:
    assert uses_database(request.node)


@pytest.mark.usefixtures("db")
def test_a_fixture_asks_for_the_database(request: pytest.FixtureRequest) -> None:
    assert uses_database(request.node)


def test_a_fixture_asks_for_the_database_through_others(worker: object, request: pytest.FixtureRequest) -> None:
    assert uses_database(request.node)


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("subprocess", ""),
        ("tests.installation", "installed"),
        ("tests.stack.live", "live"),
        ("django.db", "connection"),
    ],
    ids=["processes", "an installation", "a stack", "the dialect"],
)
def test_a_module_that_starts_processes_or_knows_the_dialect_counts(
    module: str, name: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not imported above, where it would count for all of this module's tests."""
    found = import_module(module)
    monkeypatch.setattr(request.node.module, name or module, getattr(found, name) if name else found, raising=False)
    assert uses_database(request.node)


@pytest.mark.parametrize(
    ("path", "marks", "out"),
    [
        ("jobs/test_plans.py", "wide and not stack", False),
        ("jobs/test_plans.py", "not wide and not stack", True),
        ("jobs/test_plans.py", "wide or stack", False),
        ("library/test_pictures.py", "wide", False),  # it says so itself
        ("jobs/test_turns.py", "wide and not stack", True),
        ("jobs/test_turns.py", "not wide and not stack", False),
        ("jobs/test_turns.py", "", False),
        ("jobs/test_turns.py", "not (stack and wide)", False),
        ("browser/test_pages.py", "browser", False),  # by its folder
        ("browser/test_pages.py", "faults", True),
        ("faults/test_kills.py", "faults", False),
        ("conftest.py", "faults", False),
        ("faults", "browser", False),
    ],
)
def test_a_file_is_left_out_when_none_of_its_tests_could_be_chosen(path: str, marks: str, out: bool) -> None:
    assert can_be_left_out(TESTS / path, marks) is out
