"""Jobs as a file: out, and in again."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from jobs import bulk, keys
from jobs.models import Group, Job, JobEvent, UniqueKey
from jobs.transfer import importing, ours
from tests.factories import DAY, make_job
from tests.jobs.bringing import EXPORTS, NAMES, bad, bring, jobs, row as row, send_invoice

pytestmark = pytest.mark.django_db


# --- Our own files --------------------------------------------------------------------------------------


def everything() -> list[Any]:
    return list(Job.objects.order_by("pk").values())


def test_what_is_exported_comes_back_as_it_was(tmp_path: Path) -> None:
    make_job(
        task="probe.invoice", kwargs={"invoice": 7}, unique_key="welcome-17", due=DAY, tenant="venue-7", priority=20
    )
    make_job("failed", task="probe.invoice", args=[8], failures=5, reason="größer", signature="größer", result={"a": 1})
    make_job("succeeded", result=[1], log=["12:00:00 half"], progress={"done": 1, "total": 2, "note": ""})
    make_job("cancelled", reason="closed", correlation_id="booking:1", options={"headers": {"a": "b"}})
    before, file = everything(), tmp_path / "jobs.jsonl"
    (told,) = jobs.lines("export", str(file))
    assert (told["jobs"], told["counts"]) == (4, {"cancelled": 1, "failed": 1, "scheduled": 1, "succeeded": 1})
    assert file.stat().st_mode & 0o777 == 0o600
    Job.objects.all().delete()
    assert bring(file)["counts"] == {"added": 4}
    assert everything() == before
    assert bring(file)["counts"] == {"there": 4}
    assert everything() == before
    assert set(JobEvent.objects.values_list("by", "verb", "outcome")) == {("olga", "import", "made")}


def test_jobs_of_two_tenants_with_one_key_come_back_both(tmp_path: Path) -> None:
    for tenant in ("", "a", "b"):
        make_job(task="probe.invoice", kwargs={"invoice": 7}, unique_key="welcome-17", due=DAY, tenant=tenant)
    before, file = everything(), tmp_path / "jobs.jsonl"
    jobs.lines("export", str(file))
    Job.objects.filter(tenant="a").delete()
    Job.objects.filter(tenant="b").delete()
    other = make_job(task="probe.invoice", kwargs={"invoice": 7}, unique_key="welcome-17", tenant="b")
    assert bring(file)["counts"] == {"added": 1, "there": 2}
    assert Job.objects.get(tenant="b").pk == other.pk
    assert [row for row in everything() if row["tenant"] != "b"] == before[:2]


def test_the_last_line_has_the_checksum_of_the_others(tmp_path: Path) -> None:
    make_job()
    file = tmp_path / "jobs.jsonl"
    jobs.lines("export", str(file))
    *lines, last = file.read_bytes().splitlines(keepends=True)
    assert json.loads(last)["sha256"] == hashlib.sha256(b"".join(lines)).hexdigest()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda lines: lines[:-1], "cut off: its last line is missing"),
        (lambda lines: [*lines[:1], *lines[2:]], "the file was changed"),
        (lambda lines: [lines[0], lines[1].replace("probe.ok", "probe.xx"), *lines[2:]], "the file was changed"),
        (lambda lines: [*lines, lines[1]], "line 5 comes after the last line"),
        (lambda lines: [lines[0].replace('"version":1', '"version":9'), *lines[1:]], "the file is of version 9"),
    ],
)
def test_a_file_that_is_not_whole_is_refused_as_a_whole(tmp_path: Path, change: Any, says: str) -> None:
    make_job(), make_job()
    file = tmp_path / "jobs.jsonl"
    jobs.lines("export", str(file))
    Job.objects.all().delete()
    file.write_text("".join(change(file.read_text().splitlines(keepends=True))))
    assert says in bad(file)
    assert not Job.objects.exists()


def test_an_export_goes_by_the_filters_and_writes_over_nothing(tmp_path: Path) -> None:
    make_job("failed"), make_job()
    file = tmp_path / "jobs.jsonl"
    assert jobs.lines("export", str(file), "--state", "failed")[0]["counts"] == {"failed": 1}
    assert jobs.refuses("export", str(file))[0] == 2
    assert jobs.lines("export", str(file), "--force")[0]["jobs"] == 2
    assert not list(tmp_path.glob("*.part"))


def test_what_ran_when_the_file_was_made_is_not_run_a_second_time(tmp_path: Path) -> None:
    make_job("running"), make_job("queued"), make_job(group_id=Group.objects.create(size=1).pk)
    file = tmp_path / "jobs.jsonl"
    jobs.lines("export", str(file))
    Job.objects.all().delete()
    assert "2 bad rows; nothing was written" in bad(file)
    assert not Job.objects.exists()
    assert "2 bad rows; the others are in" in bad(file, "--skip-bad")
    assert Job.objects.get().state == "scheduled", "the one that was queued"


def test_an_import_that_was_interrupted_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "CHUNK", 2)
    [make_job() for _ in range(5)]
    before, file = everything(), tmp_path / "jobs.jsonl"
    jobs.lines("export", str(file))
    Job.objects.all().delete()
    enqueue = bulk.insert_missing
    calls: list[int] = []

    def interrupted(rows: Any) -> Any:
        calls.append(len(rows))
        added = enqueue(rows)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return added

    with monkeypatch.context() as patch:
        patch.setattr(bulk, "insert_missing", interrupted)
        code, said = jobs.refuses("import", str(file))
    assert code == 130 and "whole chunks are in" in said
    assert Job.objects.count() == 2, "of the second chunk nothing"
    assert bring(file)["counts"] == {"added": 3, "there": 2}
    assert everything() == before


def test_a_tenants_job_is_remembered_by_its_id_from_before_keys_had_tenants(tmp_path: Path) -> None:
    job, file = make_job(tenant="north"), tmp_path / "jobs.jsonl"
    jobs.lines("export", str(file))
    Job.objects.all().delete()
    UniqueKey.objects.create(key=keys.imported(job.pk), job=job.pk, state="succeeded")  # as the migration leaves it
    assert bring(file)["counts"] == {"there": 1}
    assert not Job.objects.exists()


def test_a_dry_run_writes_nothing(tmp_path: Path) -> None:
    make_job()
    file = tmp_path / "jobs.jsonl"
    jobs.lines("export", str(file))
    Job.objects.all().delete()
    assert bring(file, "--dry-run")["counts"] == {"added": 1}
    assert not Job.objects.exists()


def test_an_import_shows_a_person_what_became_of_it() -> None:
    text = jobs.screen("import", str(EXPORTS / "bull.jsonl"), "--names", *NAMES, "--schedules")
    assert "8 rows: 5 added, 1 over, 2 schedules." in text
    assert "rows: backoff: the task says how long it waits between attempts" in text


# --- Files that somebody made up ------------------------------------------------------------------------


def signed(tmp_path: Path, **changes: Any) -> Path:
    """A file of ours with one row that somebody changed, and a checksum that is right."""
    good = dict(ours.row(Job.objects.get(pk=send_invoice.delay(1).id)))
    Job.objects.all().delete()
    tally = ours.Tally()
    lines = [ours.written(one) for one in ({"format": ours.FORMAT, "version": ours.VERSION}, good | changes)]
    tally.counts[str((good | changes)["state"])] += 1
    for line in lines:
        tally.line(line)
    file = tmp_path / "jobs.jsonl"
    file.write_bytes(b"".join([*lines, ours.written(tally.footer())]))
    return file


@pytest.mark.parametrize(
    "changes",
    [
        *({"priority": one} for one in ("x", 77, 10**12, True)),
        *({"log": one} for one in (5, "x")),
        *({"failures": one} for one in (-1, "a", 10**12)),
        *({"queue": []}, {"max_attempts": -1}, {"version": "x"}, {"tenant": "x" * 1000}, {"tenant": 5}),
        *({"state": "failed", "args": 5}, {"state": "failed", "kwargs": "x"}, {"kwargs": {"a": "\0"}}),
        *({"reason": "a\0b"}, {"signature": "x" * 9999}, {"unique_key": "x" * 999}, {"progress": "x"}),
        *({"options": [1]}, {"options": {"exchange": "evil"}}, {"run_at": None}, {"created_at": None}),
        *({"correlation_id": None}, {"concurrency_key": 3}, {"task": 5}, {"task": ["a"]}, {"checkpoint": "\0"}),
        {"state": "failed", "result": {"a": float("nan")}},
    ],
    ids=lambda changes: str(changes)[:40],
)
def test_a_row_of_ours_that_the_ledger_cannot_hold_is_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    bad(signed(tmp_path, **changes))
    assert not Job.objects.exists()


def test_a_wrong_name_of_a_task_is_wrong_usage_in_a_process_of_its_own(tmp_path: Path) -> None:
    """The tasks are known when the verb runs, and not while its words are read."""
    env = os.environ | {"DATA_DIR": str(tmp_path), "ENV_FILE": os.devnull, "SECRET_KEY": "k3-" + os.urandom(40).hex()}
    command = [sys.executable, "manage.py", "jobs", "import", os.devnull, "--names", "x=nosuch"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2 and "There is no task 'nosuch'" in done.stderr, done.stderr
    assert "jobs.export" in done.stderr and "Traceback" not in done.stderr
