"""Odd files of jobs, and what the command says of them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from celery import shared_task
from django_celery_beat.models import PeriodicTask

from jobs.durable import Durable
from jobs.models import Job, UniqueKey
from tests.jobs.shell import Shell

jobs = Shell("jobs")


@shared_task(base=Durable, name="probe.odd")
def odd(invoice: int, note: str = "") -> None: ...


def plain(pk: str = "a", **more: Any) -> dict[str, Any]:
    return {"id": pk, "type": "probe.odd", "data": {"invoice": 1}} | more


def bull(pk: str = "1", state: str = "wait", **more: Any) -> dict[str, Any]:
    job = {"name": "probe.odd", "data": '{"invoice": 1}', "opts": "{}", "timestamp": "1795845976870"} | more
    return {"key": f"bull:mail:{pk}", "state": state, "job": job}


def agenda(pk: str = "1", **more: Any) -> dict[str, Any]:
    return {"_id": {"$oid": pk}, "name": "probe.odd", "data": {"invoice": 1}, "nextRunAt": {"$date": 5}} | more


@pytest.fixture
def file(tmp_path: Path) -> Callable[..., Path]:
    """A file of these rows; or of these bytes."""

    def write(*rows: Any) -> Path:
        path = tmp_path / "rows.jsonl"
        path.write_bytes(b"".join(one if isinstance(one, bytes) else json.dumps(one).encode() + b"\n" for one in rows))
        return path

    return write


def refused(path: Path, code: int, *words: str) -> str:
    """What is said, which is the same of a dry run, with the bad rows. Nothing was written."""
    told = []
    for more in (["--dry-run"], []):
        found, said = jobs.refuses("import", str(path), *words, *more)
        assert found == code, said
        written = json.loads(jobs.written) if jobs.written else {}
        told.append((said, {name: value for name, value in written.items() if name != "dry_run"}))
        assert (
            not Job.objects.exists()
            and not UniqueKey.objects.exists()
            and not PeriodicTask.objects.filter(task="probe.odd")
        )
    assert told[0] == told[1]
    return " ".join([told[0][0], *(f"line {one['line']}: {one['error']}" for one in told[0][1].get("bad", ()))])


def brought(path: Path, *words: str) -> dict[str, Any]:
    """What became of it, which is what the dry run said."""
    (dry,) = jobs.lines("import", str(path), "--dry-run", *words)
    (told,) = jobs.lines("import", str(path), *words)
    assert dry == told | {"dry_run": True}
    return told["counts"]
