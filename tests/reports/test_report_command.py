"""`manage.py report`: a report without a worker."""

import io
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pypdf
import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from notifications.models import Customer, Report
from notifications.reports import periods
from tests.reports.scene import BERLIN, at, booking
from tests.virtual import one_moment as one_moment

pytestmark = pytest.mark.django_db
WEEK = ("week", "--on", "2025-11-05", "--zone", "Europe/Berlin")


def report(*words: Any) -> str:
    said = io.StringIO()
    call_command("report", *map(str, words), stdout=said)
    return said.getvalue()


@pytest.fixture(autouse=True)
def _seven(customer: Customer) -> None:
    for _ in range(7):
        booking(customer, created_at=at(4), made_at=at(4))
    booking(customer, created_at=at(10, 1), made_at=at(10, 1))


def line(text: str, name: str) -> str:
    return next(one for one in text.splitlines() if one.startswith(name)).removeprefix(name).strip()


def test_as_text() -> None:
    text = report(*WEEK)
    assert "Week 45 of 2025" in text and line(text, "Made here") == "7"
    assert not Report.objects.exists()


@pytest.mark.parametrize("form", ["html", "pdf", "txt", "json"])
def test_into_a_file(tmp_path: Path, form: str) -> None:
    out = tmp_path / f"week.{form}"
    assert report(*WEEK, "--out", out, "--language", "en") == f"Written to {out}.\n"
    if form == "pdf":
        text = " ".join(page.extract_text() for page in pypdf.PdfReader(out).pages)
        assert "Made here 7" in " ".join(text.split())
    elif form == "json":
        assert json.loads(out.read_text())["bookings"]["made"] == 7
    elif form == "txt":
        assert line(out.read_text(), "Made here") == "7"
    else:
        assert '<th scope="row">Made here</th><td>7</td>' in out.read_text()


@pytest.mark.usefixtures("one_moment")
def test_without_a_day_it_is_the_last_whole_one(customer: Customer) -> None:
    yesterday = periods.last_whole("day", timezone.now(), BERLIN)
    booking(customer, created_at=yesterday.begins, made_at=yesterday.begins)
    booking(customer, created_at=yesterday.ends, made_at=yesterday.ends)
    assert line(report("day", "--zone", "Europe/Berlin"), "Made here") == "1"


def test_of_one_tenant(customer: Customer, capsys: pytest.CaptureFixture[str]) -> None:
    Customer.objects.create(name="Alice", email="alice@example.com", tenant="a")
    assert line(report(*WEEK, "--tenant", "a"), "Made here") == "0" and not capsys.readouterr().err
    assert line(report(*WEEK, "--tenant", "A"), "Made here") == "0"
    assert "No customer is of the tenant 'A': is it misspelt?" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("week", "--zone", "Atlantis"), "Unknown time zone"),
        (("day", "--on", f"{timezone.now().date() + timedelta(days=3)}"), "has not begun yet"),
        (("day", "--on", "1969-12-31"), "not between 1970"),
        (("day", "--out", "report.doc"), "has to end in .html, .pdf, .txt, .json"),
        (("day", "--out", "/nowhere/at/all/report.pdf"), "Name a file in a folder that is there"),
        (("year",), "invalid choice"),
        (("day", "--on", "yesterday"), "'yesterday' is no day. Write it as 2027-01-31"),
        (("month", "--on", "2026-13-45"), "'2026-13-45' is no day"),
    ],
    ids=lambda words: " ".join(words)[:40] if isinstance(words, tuple) else "",
)
def test_what_cannot_be_is_said(words: tuple[str, ...], told: str) -> None:
    with pytest.raises(CommandError, match=told):
        report(*words)
