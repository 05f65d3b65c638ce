"""Files of jobs that somebody made up: a bad row is told, and nothing crashes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jobs.transfer import sources
from tests.jobs.bringing import bad, jobs, row as row

pytestmark = pytest.mark.django_db

BULL = {"key": "bull:q:1", "state": "wait"}
FINE = {"name": "fine", "data": {"invoice": 1}}


@pytest.mark.parametrize(
    ("record", "says"),
    [
        ('{"type": "probe.invoice", "data": {"invoice": NaN}, "id": "a"}', "NaN is no number"),
        ('{"type": "probe.invoice", "id": "a", "id": "b", "data": {"invoice": 1}}', "'id' is there twice"),
        ('{"type": "probe.invoice", "id": "a", "data": {"invoice": 1, "invoice": 2}}', "'invoice' is there twice"),
        ({"type": "probe.invoice", "data": {"invoice": 1}, "id": "a\0b"}, "NUL"),
        ({"type": "probe.invoice", "data": {"invoice": 1}, "id": "a\ud800b"}, "surrogate"),
        ('{"type": "probe.invoice", "data": {"invoice": 1}, "id": "a", "attempts": 1e999}', "no JSON"),
        ({"type": "probe.invoice", "data": {"invoice": 1}, "id": "a", "options": {"delay": 10**30}}, "too large"),
        (BULL | {"job": FINE | {"opts": {"repeat": "x"}}}, "shape"),
        (BULL | {"job": FINE | {"opts": {"deduplication": "x"}}}, "shape"),
        (BULL | {"job": FINE | {"delay": 10**30, "timestamp": 5}}, "too large"),
        (BULL | {"job": FINE | {"data": "[" * 100_000}}, "nested too deeply"),
        (BULL | {"job": FINE | {"data": '{"invoice": 1, "invoice": 2}'}}, "'invoice' is there twice"),
        (BULL | {"job": FINE | {"attemptsMade": 10**12}}, "too large"),
        ('{"_id": "1", "name": "fine", "data": ' + "[" * 900 + "]" * 900 + "}", ""),
        ({"_id": "1", "name": "fine", "data": {"invoice": 1}, "repeatInterval": "9" * 30 + " days"}, ""),
    ],
    ids=range(15),
)
def test_a_hostile_row_is_a_bad_row_and_no_crash(row: Callable[..., Path], record: Any, says: str) -> None:
    assert "1 bad rows; nothing was written" in bad(row(record), "--schedules", "--priorities", "ten")
    assert says in jobs.written


def test_a_file_without_line_ends_does_not_fill_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "LONGEST_LINE", 1000)
    file = tmp_path / "rows.jsonl"
    file.write_text('{"type": "' + "x" * 2000)
    assert "line 1 has more than 1,000 bytes" in bad(file)
