"""The rules of the house that a reader relies on: who imports whom, where state is written, how long a file is."""

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
OURS = ("config", "jobs", "notifications")
SOURCES = sorted(
    path.relative_to(ROOT) for app in OURS for path in (ROOT / app).rglob("*.py") if "migrations" not in path.parts
)
LONGEST_FILE, LONGEST_FUNCTION = 300, 50
PURE = {
    *(f"jobs/{name}.py" for name in ("buckets", "capacity", "hold", "occurrences", "priorities", "turns", "when")),
    *(f"notifications/channels/{name}.py" for name in ("segments", "targets")),
    "notifications/reports/periods.py",
    "notifications/timing.py",
}
# What takes too long to import for what is rarely asked for, and the files that import it where it is used.
LATE = {
    "jobs/library/workbooks.py": "xlsxwriter",
    "jobs/when.py": "dateparser",
    "notifications/reports/reports.py": "notifications.reports.documents",
}
# What processes without web leave to web, or to the moment of use.
FOR_WEB = (
    *("config.api", "config.urls", "jobs.admin.jobs", "notifications.admin", "notifications.forms"),
    *("anymail.urls", "limits", "ninja", "unfold.admin", "unfold.forms"),
    *("PIL", "dateparser", "docx", "prometheus_client", "pypdf", "reportlab", "xlsxwriter"),
)


def tree(path: Path) -> ast.Module:
    return ast.parse((ROOT / path).read_text())


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports, and for `from a import b` both a and a.b."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""
            yield from (f"{node.module}.{name.name}" for name in node.names)


def modules(folder: str) -> list[Path]:
    return [path for path in SOURCES if str(path).startswith(folder)]


@pytest.mark.parametrize("path", modules("jobs"), ids=str)
def test_the_ledger_knows_nothing_of_the_product(path: Path) -> None:
    assert not [name for name in imports(path) if name.split(".")[0] == "notifications"]


@pytest.mark.parametrize("path", modules("notifications"), ids=str)
def test_the_product_uses_the_ledger_through_its_front_doors(path: Path) -> None:
    used = {".".join(name.split(".")[:2]) for name in imports(path) if name.split(".")[0] == "jobs" and "." in name}
    doors = {"jobs.aliases", "jobs.durable", "jobs.ledger", "jobs.ids", "jobs.neighbours", "jobs.orders", "jobs.pruner"}
    if "management" in path.parts:
        doors |= {"jobs.management"}  # all commands write and end alike
    # who may see whose rows is one table for jobs and customers alike
    assert used <= doors | {"jobs.api", "jobs.library", "jobs.scopes"}


@pytest.mark.parametrize("path", modules("notifications/channels"), ids=str)
def test_channels_know_nothing_of_jobs_nor_of_the_tables(path: Path) -> None:
    """But the tables that are themselves where a message goes, and the breaker's."""
    own = {f"notifications.models{name}" for name in ("", ".InboxItem", ".OutboxMessage", ".Breaker")}
    ours = {name for name in imports(path) if name.split(".")[0] in OURS} - own
    assert not [name for name in ours if not name.startswith("notifications.channels")]


@pytest.mark.parametrize("path", sorted(PURE))
def test_the_arithmetic_of_time_touches_neither_database_nor_clock(path: str) -> None:
    assert not [name for name in imports(Path(path)) if name.split(".")[0] in ("django", *OURS)]
    calls = {ast.unparse(node.func) for node in ast.walk(tree(Path(path))) if isinstance(node, ast.Call)}
    assert not [call for call in calls if call.endswith((".now", ".today", ".utcnow"))]


def writes_state(path: Path) -> bool:
    """Whether the file writes a job's state: an update(state=...) or save on Job, or the helper that does."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("add_update_values"):
            return True
        if isinstance(node, ast.ImportFrom) and "move" in [name.name for name in node.names]:
            return True
        if (
            isinstance(node, ast.Call)
            and ast.unparse(node.func).startswith("Job.objects")
            and any(keyword.arg == "state" for keyword in node.keywords if ast.unparse(node.func).endswith("update"))
        ):
            return True
    return False


def test_only_the_ledger_writes_a_jobs_state() -> None:
    assert {str(path) for path in SOURCES if writes_state(path)} == {"jobs/ledger.py", "jobs/transitions.py"}


def test_no_message_is_published_but_in_one_place() -> None:
    publishers = {
        str(path)
        for path in SOURCES
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("send_task", "send_task_message"))
    }
    assert publishers == {"jobs/messages.py"}


def test_no_file_of_tests_is_too_long_to_be_read_at_once() -> None:
    lengths = {path: len(path.read_text().splitlines()) for path in (ROOT / "tests").rglob("*.py")}
    assert len(lengths) > 300
    assert [str(path) for path, lines in lengths.items() if lines > LONGEST_FILE] == []


@pytest.mark.parametrize("path", SOURCES, ids=str)
def test_no_file_and_no_function_is_too_long_to_be_read_at_once(path: Path) -> None:
    text = (ROOT / path).read_text()
    assert len(text.splitlines()) <= LONGEST_FILE
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            assert node.end_lineno is not None
            assert node.end_lineno - node.lineno < LONGEST_FUNCTION, node.name


@pytest.mark.parametrize("path", [path for path in SOURCES if path.stat().st_size > 400], ids=str)
def test_a_file_opens_with_what_it_does(path: Path) -> None:
    text = ast.get_docstring(tree(path))
    assert text, "no module docstring"
    assert len(text.splitlines()) <= 14


@pytest.mark.parametrize(
    "path", [path for path in (*modules("jobs"), *modules("notifications")) if path.name != "apps.py"], ids=str
)
def test_imports_stand_at_the_top(path: Path) -> None:
    """But in an app's configuration, which Django imports before there are models."""
    late = [
        node.lineno
        for function in ast.walk(tree(path))
        if isinstance(function, ast.FunctionDef)
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    assert len(late) == (str(path) in LATE)


@pytest.mark.parametrize(("path", "module"), LATE.items())
def test_an_import_that_does_not_stand_at_the_top_is_one_that_takes_long(path: str, module: str) -> None:
    assert any(name.startswith(module) for name in imports(Path(path)))


# Each of them up to where it is ready, one after the other: what one had imported, the next would have too.
WITHOUT_WEB = """
import sys
import django
django.setup()
from django.core.management import call_command
call_command("migrate", verbosity=0)
from config.celery import app
from celery.apps.beat import Beat
from celery.apps.worker import Worker
from notifications import links
from notifications.models import Booking
for name, start in (
    ("a worker", lambda: Worker(app=app)),
    ("beat", lambda: Beat(app=app).init_loader()),
    ("a message's links", lambda: links.confirm_url(Booking(pk=1, revision=1))),
    ("manage.py jobs", lambda: call_command("jobs", "types", skip_checks=False)),
    ("manage.py verify", lambda: call_command("verify", skip_checks=False)),
):
    start()
    print("loaded by", name, *sys.modules, sep="|")
"""


def test_a_process_without_web_does_not_import_it(tmp_path: Path) -> None:
    environment = os.environ | {
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "DATABASE_URL": "sqlite://:memory:",
        "BROKER_URL": "memory://",
        "DATA_DIR": str(tmp_path),
    }
    command = [sys.executable, "-c", WITHOUT_WEB]
    said = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert said.returncode == 0, said.stderr
    loaded = [line.split("|")[1:] for line in said.stdout.splitlines() if line.startswith("loaded by|")]
    assert len(loaded) == 5
    for name, *modules_of in loaded:
        assert "notifications.reminders" in modules_of
        assert [module for module in FOR_WEB if module in modules_of] == [], name


def test_no_file_is_named_for_nothing() -> None:
    vague = {"utils", "helpers", "services", "common", "core", "misc", "manager"}
    assert not [path for path in SOURCES if vague & {part.removesuffix(".py") for part in path.parts}]


def test_no_business_logic_hangs_on_signals_or_on_save() -> None:
    for path in [*modules("jobs"), *modules("notifications")]:
        assert not [name for name in imports(path) if name.startswith("django.db.models.signals")], path
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.FunctionDef):
                assert node.name not in ("save", "delete"), f"{path}: {node.name}"


def test_the_six_files_of_the_path_exist_and_the_page_names_them() -> None:
    page = (ROOT / "ARCHITECTURE.md").read_text()
    for path in (
        "notifications/bookings.py",
        "notifications/reminders.py",
        "jobs/durable.py",
        "jobs/dispatcher.py",
        "jobs/executor.py",
        "notifications/channels/email.py",
    ):
        assert (ROOT / path).exists()
        assert f"`{path}`" in page


def test_the_page_names_every_package_and_no_file_that_is_not_there() -> None:
    page = (ROOT / "ARCHITECTURE.md").read_text()
    there = {str(path.relative_to(ROOT)) for app in (*OURS, "tests") for path in (ROOT / app).rglob("*.py")}
    there |= {path.name for path in ROOT.glob("*.py")}
    named = set(re.findall(r"`([\w/]+\.py)`", page))
    assert named and not [name for name in named if not any(f"/{path}".endswith(f"/{name}") for path in there)]
    packages = {Path(path).parent.name for path in there if path.endswith("__init__.py")}
    assert not [name for name in packages - {"commands", "migrations"} if not re.search(rf"\b{name}\b", page)]


@pytest.mark.parametrize(("mark", "variables"), [("faults", ["FAULTS"]), ("stack", ["STACK", "FAULTS"])])
def test_make_looks_where_the_marked_tests_are(mark: str, variables: list[str]) -> None:
    """A module that is faults as a whole is run by `make faults`, whatever else it is."""
    makefile = (ROOT / "Makefile").read_text()
    looked_at = [word for name in variables for word in re.findall(rf"{name}_TESTS := (.+)", makefile)[0].split()]
    marked = [path for path in (ROOT / "tests").rglob("test_*.py") if f"pytest.mark.{mark}" in path.read_text()]
    found = [str(path.relative_to(ROOT)) for path in marked if path != Path(__file__)]
    assert found and not [name for name in found if not name.startswith(tuple(looked_at))]
