"""What an import finds here, and what an export leaves behind."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from jobs import bulk, keys, pruner
from jobs.models import Group, Job, JobEvent, UniqueKey
from jobs.transfer import importing, sources
from tests.factories import make_job
from tests.jobs.odd_files import brought, bull, file as file, jobs, odd, plain, refused
from tests.jobs.races import TRANSACTIONAL
from tests.races import needs_postgresql, race

pytestmark = pytest.mark.django_db


# --- A dry run, and what is there -----------------------------------------------------------------------


def test_a_dry_run_tells_what_will_be_added_and_what_is_there(file: Any) -> None:
    first = [plain(str(n)) for n in range(3)]
    assert brought(file(*first)) == {"added": 3}
    over = [plain("8", status="done"), {"id": "9", "type": "probe.odd", "data": {"invoice": 2}}]
    assert brought(file(*first, *over)) == {"added": 1, "there": 3, "remembered": 1}
    every = bull("r", opts='{"repeat": {"every": 60000, "key": "k"}}')
    assert brought(file(bull(), every), "--schedules") == {"added": 1, "schedules": 1}
    assert brought(file(bull(), every), "--schedules") == {"there": 2}


def test_a_file_that_changes_after_its_dry_run_is_known_by_its_sum(file: Any) -> None:
    path = file(plain())
    (dry,) = jobs.lines("import", str(path), "--dry-run")
    file(plain(), plain("b"))
    assert "its SHA-256 is" in refused(path, 1, "--sha256", dry["sha256"])


def test_a_file_that_changes_while_it_is_read_is_left_and_what_is_in_is_told(
    file: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "CHUNK", 2)
    path = file(*(plain(str(n)) for n in range(6)))
    written = importing._written

    def and_change(*args: Any) -> Any:
        found = written(*args)
        with path.open("ab") as out:
            out.write(json.dumps(plain("late")).encode() + b"\n")
        return found

    with monkeypatch.context() as patch:
        patch.setattr(importing, "_written", and_change)
        code, said = jobs.refuses("import", str(path))
    assert code == 1 and "the file was changed while it was read" in said
    assert "the 2 rows before were brought in and stay" in said
    assert Job.objects.count() == 2
    assert brought(path) == {"added": 5, "there": 2}


def test_another_job_under_the_same_id_is_told_and_the_others_are_in(file: Any) -> None:
    brought(file(plain()))
    path = file(plain(data={"invoice": 2}), plain("b"))
    code, said = jobs.refuses("import", str(path))
    assert code == 1 and "1 rows are other jobs here, by their ids; the others are in" in said
    told = json.loads(jobs.written)
    assert told["counts"] == {"added": 1, "other": 1}
    said = "a is another job here, or has changed itself: probe.odd, left as it is"
    assert told["bad"] == [{"line": 1, "error": said}]
    assert Job.objects.get(unique_key="a").kwargs == {"invoice": 1}


@needs_postgresql
@TRANSACTIONAL
def test_who_inserts_what_somebody_else_is_inserting_is_told_that_it_did_not() -> None:
    """And not from a look before or after, in which the other's rows may be missing."""
    at = datetime.now(UTC)
    rows = [odd.job((n,), unique_key=f"k{n}" if n % 2 else None, now=at, eta=at) for n in range(4)]
    first, second = race(lambda: bulk.insert_missing(rows), lambda: bulk.insert_missing(rows[::-1]))
    assert first == {row.pk for row in rows} and second == set()
    assert Job.objects.count() == 4


# --- What was imported and is deleted -------------------------------------------------------------------


@pytest.mark.parametrize("key", [None, "welcome-17"])
def test_a_job_that_was_imported_and_deleted_is_not_made_again_until_its_name_is_forgotten(
    tmp_path: Path, key: str | None
) -> None:
    job, path = make_job(task="probe.odd", kwargs={"invoice": 1}, unique_key=key), tmp_path / "jobs.jsonl"
    jobs.lines("export", str(path))
    Job.objects.all().delete()
    assert brought(path) == {"added": 1}
    Job.objects.update(state="succeeded", finished_at=job.run_at)
    pruner.drop(Job.objects.all())
    assert UniqueKey.objects.get().key == (key or keys.imported(job.pk))
    assert brought(path) == {"there": 1}
    assert not Job.objects.exists() and not JobEvent.objects.exists()
    UniqueKey.objects.all().delete()
    assert brought(path) == {"added": 1}


def test_a_job_that_was_not_imported_leaves_nothing_behind() -> None:
    make_job("succeeded")
    pruner.drop(Job.objects.all())
    assert not UniqueKey.objects.exists()


# --- What an export leaves behind -----------------------------------------------------------------------


def test_an_export_tells_what_an_import_will_not_take(tmp_path: Path) -> None:
    make_job("running"), make_job()
    group = Group.objects.create(size=2).pk
    make_job(group_id=group), make_job("succeeded", group_id=group)
    (told,) = jobs.lines("export", str(tmp_path / "jobs.jsonl"))
    assert told["left"] == {"running": 1, "awaited": 1, "of_groups": 1}
    assert "1 jobs run: an import refuses them" in jobs.complaints
    assert "belong to a group that is not over" in jobs.complaints
    assert "come along, without their group" in jobs.complaints


def test_an_export_tells_of_jobs_whose_rows_stay_here(tmp_path: Path) -> None:
    """A message, an export or a reminder is a row that its job names; the file has the job alone."""
    make_job(task="notifications.send_email"), make_job("succeeded", task="notifications.send_email"), make_job()
    (told,) = jobs.lines("export", str(tmp_path / "jobs.jsonl"))
    assert told["left"] == {"internal": 1}
    assert "the rows that these are about" in jobs.complaints


def test_the_ids_that_were_seen_are_kept_in_a_file_and_told_by_their_first_line() -> None:
    seen, by_id, other = sources.Seen(), ("id a",), ("key b", "tenant")
    lines: list[list[tuple[str, ...]]] = [[("key a", "")], [by_id, other], [other]]
    try:
        for _time in range(2):  # and the same when the file is read again
            assert [seen.first(some, n) for n, some in enumerate(lines, 1)] == [1, 2, 2]
        assert seen.first([("key b", "")], 9) == 9
    finally:
        seen.close()
