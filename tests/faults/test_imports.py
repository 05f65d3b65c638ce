"""Imports that are killed, and two at a time, as real processes; workers run what is there meanwhile."""

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from jobs.models import Job
from jobs.transfer import ours
from tests.faults.conftest import ROOT, Scene, until
from tests.installation import Installation, installed

pytestmark = [pytest.mark.faults, pytest.mark.stack]

SETTINGS = {"DJANGO_SETTINGS_MODULE": "tests.faults.slow_settings"}
MANY = 2_500


# `manage.py` whose import never writes its last chunk: it cannot be through before it is killed.
ENDLESS = f"""
import signal, sys
import django
django.setup()
from django.core.management import execute_from_command_line
from jobs.transfer import importing
chunks, read = importing._chunks, 0
def but_the_last(*asked):
    global read
    for chunk in chunks(*asked):
        read += len(chunk)
        if read >= 2 * {MANY}:
            signal.pause()
        yield chunk
importing._chunks = but_the_last
execute_from_command_line(["manage.py", *sys.argv[1:]])
"""


def written(file: Path, witness: Path, due: datetime) -> Path:
    """An export of jobs that note their number; none has a unique key, so all that knows them is their id."""
    tally, now = ours.Tally(), datetime.now(UTC)
    same = {"task": "faults.noted", "queue": "messages", "run_at": due, "created_at": now}
    jobs = (Job(kwargs={"number": n, "path": str(witness)}, **same) for n in range(MANY))
    with file.open("wb") as out:
        for record in (ours.header({}, now), *map(ours.row, jobs)):
            line = ours.written(record)
            tally.counts["scheduled"] += "id" in record
            tally.line(line)
            out.write(line)
        out.write(ours.written(tally.footer()))
    return file


def importing(env: dict[str, str], file: Path, *manage: str) -> "subprocess.Popen[str]":
    words = [sys.executable, *(manage or ("manage.py",)), "jobs", "import", str(file)]
    return subprocess.Popen(
        words, cwd=ROOT, env=os.environ | env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def ended(process: "subprocess.Popen[str]") -> dict[str, Any]:
    out, err = process.communicate(timeout=600)
    assert process.returncode == 0, err
    told: dict[str, Any] = json.loads(out)
    return told


def killed_at(scene: Scene, process: "subprocess.Popen[str]", many: int) -> None:
    """By SIGKILL, when so many jobs are there."""
    until(lambda: scene.select("SELECT count(*) FROM jobs_job")[0][0] >= many, f"{many} jobs are there")
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL


def ran(witness: Path) -> Counter[str]:
    return Counter(witness.read_text().split()) if witness.exists() else Counter()


def test_an_import_killed_again_and_again_is_completed_and_runs_each_job_once(make_scene, tmp_path: Path) -> None:
    scene: Scene = make_scene(env=SETTINGS)
    witness = tmp_path / "witness"
    file = written(tmp_path / "jobs.jsonl", witness, datetime.now(UTC))
    env = scene.stack.env
    dropped = 0
    for share in (1, 700, 1_500):
        killed_at(scene, importing(env, file, "-c", ENDLESS), share - dropped)
        until(lambda: scene.select("SELECT 1 FROM jobs_job WHERE state = 'succeeded'"), "some have run")
        cleaned = scene.manage("jobs", "clean", "succeeded", "--older", "0s", "--limit", "100000", "--yes")
        dropped += json.loads(cleaned.splitlines()[-1])["jobs"]
    assert dropped, "some were imported, had run and were deleted before the next import"
    told = ended(importing(env, file))
    assert told["counts"].get("added", 0) + told["counts"]["there"] == MANY
    until(lambda: len(ran(witness)) == MANY, "all have run")
    assert ended(importing(env, file))["counts"] == {"there": MANY}
    until(lambda: not scene.select("SELECT 1 FROM jobs_job WHERE state IN ('scheduled', 'queued', 'running')"), "")
    assert ran(witness) == Counter({str(n): 1 for n in range(MANY)})


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Installation]:
    (tmp_path / "installed").mkdir()
    with installed(tmp_path / "installed") as made:
        made.env |= SETTINGS
        yield made


def test_of_two_imports_of_one_file_at_a_time_each_job_is_made_by_one(here: Installation, tmp_path: Path) -> None:
    file = written(tmp_path / "jobs.jsonl", tmp_path / "witness", datetime(2100, 1, 1, tzinfo=UTC))
    told = [ended(one) for one in [importing(here.env, file), importing(here.env, file)]]
    counts = sum((Counter(one["counts"]) for one in told), Counter[str]())
    assert counts == {"added": MANY, "there": MANY}
    back = tmp_path / "back.jsonl"
    assert here.lines("jobs", "export", str(back))[0]["jobs"] == MANY
    assert rows_of(back) == rows_of(file)


def rows_of(file: Path) -> list[str]:
    """All between the first line and the last, by their ids."""
    return sorted(file.read_text().splitlines()[1:-1])
