"""Many rows of other systems in one file: as many statements as for a few, and each row as if alone."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from jobs.library import storage
from jobs.library.storage import Whose
from jobs.models import Job
from jobs.orders import CHUNK
from jobs.transfer import rows
from jobs.transfer.sources import Source
from notifications.models import Customer, DirectMessage, MessageTemplate
from tests.api.callers import Make
from tests.api.conftest import caller as caller
from tests.jobs.shell import Shell

pytestmark = pytest.mark.django_db
MANY = 1_000
Data = dict[str, Any]


def kept(**whose: Any) -> str:
    return str(storage.keep(io.BytesIO(b"%PDF"), "Rechnung.pdf", "application/pdf", Whose(**whose)).pk)


@pytest.fixture
def row(tmp_path: Path) -> Callable[..., Data]:
    """A message of a customer of its own, or to a stranger, with words of a template and files in turn."""
    MessageTemplate.objects.create(message="hi", channel="email", subject="Hi", text="{{ customer.name }}")
    made = [Customer(name=f"C{n}", email=f"c{n}@example.com", external_id=f"u-{n}") for n in range(MANY // 2)]
    Customer.objects.bulk_create(made)
    files = [kept() for _ in range(4)]

    def one(n: int) -> Data:
        to: Data = {"userId": f"u-{n // 2}"} if n % 2 else {"to": f"stranger{n}@example.com"}
        said: Data = {"template": "hi"} if n % 3 == 1 and n % 2 else {"subject": "Hi", "body": "There"}
        return to | said | {"attachments": [files[n % 4], files[(n + 1) % 4]]}

    return one


def write(file: Path, calls: list[Data]) -> Path:
    rows = [{"id": f"{file.stem}-{n}", "type": "EMAIL_SEND", "data": call} for n, call in enumerate(calls)]
    file.write_text("".join(json.dumps(one) + "\n" for one in rows))
    return file


def statements(file: Path, *words: str) -> tuple[int, int]:
    """Those that look, and those that write. What is inserted goes in chunks, which are small on SQLite."""
    with CaptureQueriesContext(connection) as seen:
        Shell("jobs").lines("import", str(file), *words)
    told = [one["sql"] for one in seen]
    looks = sum(sql.startswith("SELECT") for sql in told)
    return looks, sum(sql.startswith(("INSERT", "UPDATE", "DELETE")) for sql in told)


def test_a_thousand_messages_cost_what_a_few_do(row: Callable[..., Data], tmp_path: Path) -> None:
    looked, _writes = statements(write(tmp_path / "few.jsonl", [row(n) for n in range(6)]))
    chunks = MANY // CHUNK
    looks, writes = statements(write(tmp_path / "many.jsonl", [row(n) for n in range(MANY)]))
    assert looks <= chunks * (looked + 2)  # names of deleted jobs are looked for by some hundred
    assert writes <= chunks * (4 if connection.vendor == "postgresql" else 40)
    assert DirectMessage.objects.exclude(attachments=[]).count() == MANY + 6


def test_files_that_many_rows_name_are_looked_up_together(tmp_path: Path) -> None:
    def looks(number: int) -> int:
        steps = {"operation": "resize", "options": {"width": 32}}
        calls = [{"id": f"r{n}", "type": "FILE_PROCESS", "data": steps | {"filePath": kept()}} for n in range(number)]
        file = tmp_path / "jobs.jsonl"
        file.write_text("".join(json.dumps(one) + "\n" for one in calls))
        return statements(file, "--dry-run")[0]

    assert looks(50) == looks(1)


def test_attachments_of_a_request_are_looked_up_together(row: Callable[..., Data], caller: Make) -> None:
    program = caller()

    def looks(numbers: range) -> int:
        calls = [{"type": "EMAIL_SEND", "data": row(n)} for n in numbers]
        with CaptureQueriesContext(connection) as seen:
            answer = program.post("/jobs/bulk", {"jobs": calls})
        assert answer.data["refused"] == 0, answer.data
        return sum(one["sql"].startswith("SELECT") for one in seen)

    assert looks(range(6)) == looks(range(6, 66))


def test_a_bad_row_among_many_is_told_as_if_it_were_alone(row: Callable[..., Data], tmp_path: Path) -> None:
    """Each has its own reason, also one that lacks what others were looked up for."""
    wrong: list[Data] = [
        {"attachments": [kept(tenant="south")]},
        {"attachments": ["01890000-0000-7000-8000-000000000000"]},
        {"attachments": ["/etc/passwd"]},
        {"userId": "nobody"},
        {"template": "none", "subject": "", "body": ""},
    ]
    bad = [{"to": "x@example.com", "subject": "x", "body": "y"} | one for one in wrong]
    bad[3].pop("to")
    many = write(tmp_path / "many.jsonl", [row(0), *bad, row(1)])
    said = told(many)
    assert [line for line, _error in said] == [2, 3, 4, 5, 6]
    for line, error in said:
        alone = write(tmp_path / "alone.jsonl", [bad[line - 2]])
        assert told(alone) == [(1, error)]
    assert not Job.objects.exists()


def told(file: Path) -> list[tuple[int, str]]:
    shell = Shell("jobs")
    shell.refuses("import", str(file), "--json")
    return [(one["line"], one["error"]) for one in json.loads(shell.written)["bad"]]


def test_rows_that_are_large_are_not_all_kept_until_a_chunk_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "LONGEST_LINE", 300)
    file = write(tmp_path / "jobs.jsonl", [{"to": f"x{n}@example.com", "body": "x" * 100} for n in range(6)])
    with Source(file) as source:
        assert [len(chunk) for chunk in rows.read(source, rows.Wanted(), 500)] == [2, 2, 2]
