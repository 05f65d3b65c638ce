"""Which tests a run has to have: by the marks that it asks for, and on PostgreSQL by whether they use the database.

On PostgreSQL the others would only find again what they found on SQLite.
pytest-django refuses a query to a test that has not asked for the database, so what a test asks for says whether it
uses one. Processes that a test starts go by DATABASE_URL and are not refused: where a module can start some, all of its
tests count.
"""

from pathlib import Path

import pytest

TESTS = Path(__file__).parent
# Every case of a large table, or a process for each: not what one wants to wait for after each change.
WIDE = {
    *(f"jobs/test_{name}.py" for name in ("broker", "command_processes", "ledger_machine", "occurrences", "plans")),
    "jobs/test_scopes.py",
    *(
        f"notifications/test_{name}.py"
        for name in ("delivery_machine", "import_costs", "one_moment", "permission_matrix", "simulation")
    ),
    *("notifications/test_tenant_forms.py", "notifications/test_tenant_pages.py"),
    *(f"api/test_{name}.py" for name in ("hostile_fields", "matrix", "slow_clients", "tenants_everywhere")),
    *("library/test_export_rights.py", "library/test_file_matrix.py", "library/test_files.py", "model/test_model.py"),
    *("reports/test_mails.py", "reports/test_mail_accidents.py"),
    *("test_absurd_words.py", "test_attacks_on_privacy.py", "test_compose.py", "test_custom_jobs.py"),
    *("test_docs_operating.py", "test_elsewhere.py", "test_operator_commands.py", "test_roles.py"),
    "test_wrong_settings.py",
}
# A mark is a request too: pytest-django adds these for it when the test begins.
FIXTURES = {"db", "transactional_db", "django_db_setup", "django_db_serialized_rollback"}
STARTS_PROCESSES = ("subprocess", "config.stack", "tests.forked", "tests.installation", "tests.stack")
OPTION = "--of-the-database"


def uses_database(item: pytest.Item) -> bool:
    asked: set[str] = set(getattr(item, "fixturenames", ()))
    marked = item.get_closest_marker("django_db") is not None
    return marked or bool(asked & FIXTURES) or _unblocks(item) or _beside_its_fixtures(item)


def _unblocks(item: pytest.Item) -> bool:
    """Whether a fixture of ours opens the database itself; pytest-django's own are in every test."""
    fixtures = item._fixtureinfo.name2fixturedefs.values()  # type: ignore[attr-defined]
    ours = [one for some in fixtures for one in some if one.func.__module__.startswith("tests")]
    return any("django_db_blocker" in one.argnames for one in ours)


def _beside_its_fixtures(item: pytest.Item) -> bool:
    """The dialect of SQL is told without a query; a process is not this process's business."""
    names = vars(item.module)  # type: ignore[attr-defined]
    if "connection" in names or "connections" in names:
        return True
    homes = {getattr(value, "__module__", None) or getattr(value, "__name__", "") for value in names.values()}
    return any(str(home).startswith(STARTS_PROCESSES) for home in homes)


def is_wide(path: Path) -> bool:
    return path.is_relative_to(TESTS) and str(path.relative_to(TESTS)) in WIDE


def can_be_left_out(path: Path, marks: str) -> bool:
    """Whether a file need not even be imported: with all of them, that takes a quarter of a minute.

    By `-m MARKS`, if that is a list of marks with "and" between them, none of its tests could be chosen.
    """
    if path.suffix != ".py" or not path.name.startswith("test_") or " or " in marks or "(" in marks:
        return False
    terms = marks.split(" and ")
    if "not wide" in terms and is_wide(path):
        return True
    folders = [folder / "conftest.py" for folder in path.parents if folder.is_relative_to(TESTS) and folder != TESTS]
    told = "".join(file.read_text() for file in (path, *folders) if file.exists())
    wanted = [term for term in terms if term.isidentifier() and not (term == "wide" and is_wide(path))]
    return any(f"mark.{mark}" not in told for mark in wanted)
