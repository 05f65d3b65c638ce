"""Bytes that are odd, broken or meant to harm: each is told in one line what it is, and leaves nothing behind."""

import gzip
import json
import os
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from tests.jobs.odd_files import brought, file as file, plain, refused

pytestmark = pytest.mark.django_db


def line(**more: Any) -> bytes:
    return json.dumps(plain(**more)).encode()


@pytest.mark.parametrize(
    ("content", "code", "says"),
    [
        (b"", 3, "There is no job in"),
        (b"\n \r\n", 3, "There is no job in"),
        (gzip.compress(line()), 1, "it is gzip: unpack it first, gunzip FILE"),
        (b"PK\x03\x04rest", 1, "it is ZIP"),
        (line().decode().encode("utf-16"), 1, "it is UTF-16: make it UTF-8 first"),
        (line().decode().encode("utf-16-le"), 1, "line 1: it is no JSON"),
        (line() + b"\n" + line(pk="b")[:-5], 1, "line 2: it is no JSON"),
        (line() + b"\n\xff\xfe\n", 1, "line 2: it is no UTF-8: invalid start byte at byte 0"),
        (line() + b"\n[1]\n", 1, "line 2: it is no JSON object"),
        (line() + b"\n" + b"[" * 50_000 + b"\n", 1, "line 2: it is nested too deeply"),
        (line() + b"\n" + b'{"id": ' * 50_000 + b"\n", 1, "line 2: it is nested too deeply"),
        (b'{"who": 1}\n', 1, "by line 1 it is not a file of punctual, bull, agenda, plain"),
    ],
    ids=range(12),
)
def test_bytes_that_are_no_lines_of_json_are_refused(file: Any, content: bytes, code: int, says: str) -> None:
    assert says in refused(file(content), code)


def test_a_byte_order_mark_crlf_and_empty_lines_are_no_harm(file: Any) -> None:
    path = file(b"\xef\xbb\xbf" + line() + b"\r\n\r\n" + line(pk="b") + b"\r\n\n")
    assert brought(path) == {"added": 2}


def test_a_line_of_a_hundred_megabytes_is_refused_in_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    with path.open("wb") as out:
        out.write(line() + b"\n" + b'{"id": "b", "type": "probe.odd", "data": {"invoice": 1, "note": "')
        for _ in range(100):
            out.write(b"x" * 1_000_000)
        out.write(b'"}}\n')
    tracemalloc.start()
    try:
        assert "line 2 has more than 4,194,304 bytes" in refused(path, 1)
        assert tracemalloc.get_traced_memory()[1] < 40_000_000
    finally:
        tracemalloc.stop()


def test_what_is_no_file_is_wrong_usage_or_says_what_to_do(tmp_path: Path) -> None:
    assert "is no regular file" in refused(tmp_path, 1)
    os.mkfifo(tmp_path / "fifo")
    assert "is no regular file, and it has to be read twice: save it as one first" in refused(tmp_path / "fifo", 1)
    assert "cannot be read: No such file" in refused(tmp_path / "none", 2)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_wrong_usage(file: Any) -> None:
    path = file(plain())
    path.chmod(0)
    assert "cannot be read: Permission denied" in refused(path, 2)
