"""Files of jobs for the tests of imports, brought in by the command."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from celery import shared_task

from jobs.durable import Durable
from tests.jobs.shell import Shell

jobs = Shell("jobs")
EXPORTS = Path(__file__).parent / "exports"
PAGE = Path(__file__).parents[2] / "docs" / "migrating.md"
NAMES = [f"{name}=probe.invoice" for name in ("send-email", "report", "tick", "mail", "boom", "fine")]


@shared_task(base=Durable, name="probe.invoice", max_retries=4)
def send_invoice(invoice: int) -> None: ...


def bring(file: Path, *words: str) -> dict[str, Any]:
    (told,) = jobs.lines("import", str(file), "--names", *NAMES, "--by", "olga", *words)
    return told


def bad(file: Path, *words: str) -> str:
    """What is said of a file that is not good."""
    code, said = jobs.refuses("import", str(file), "--names", *NAMES, *words)
    assert code == 1, said
    return said


def told_of(file: Path) -> dict[str, Any]:
    """What is written of an import that leaves bad rows behind."""
    bad(file, "--schedules", "--skip-bad")
    return json.loads(jobs.written)


@pytest.fixture
def row(tmp_path: Path) -> Callable[..., Path]:
    """A file of these rows."""

    def write(*records: Any) -> Path:
        file = tmp_path / "rows.jsonl"
        file.write_text("".join(f"{one if isinstance(one, str) else json.dumps(one)}\n" for one in records))
        return file

    return write
