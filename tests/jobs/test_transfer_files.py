"""Files that are odd, broken or meant to harm: each is told in one line what it is and what to do, and nothing of it is
done in silence. A dry run tells the same as the import."""

import gzip
import json
import os
import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from celery import shared_task
from django_celery_beat.models import PeriodicTask

from jobs import bulk, keys, pruner
from jobs.durable import Durable
from jobs.models import Group, Job, JobEvent, UniqueKey
from jobs.transfer import importing, sources
from tests.factories import make_job
from tests.jobs.races import TRANSACTIONAL
from tests.jobs.shell import Shell
from tests.races import needs_postgresql, race

pytestmark = pytest.mark.django_db

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


# --- Bytes ----------------------------------------------------------------------------------------------


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


# --- Rows -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (plain("b", type="probe.typo"), "there is no task 'probe.typo': say which it is, --names probe.typo=TASK"),
        (plain("b", data={"invoice": "seven"}), "Argument invoice: Input should be a valid integer"),
        (plain("b", data={"invoice": 1, "more": 2}), "unexpected keyword argument 'more'"),
        (plain("a", data={"invoice": 2}), "it is the same as line 1: a"),
        (plain("b", runAt=-1), "run_at -1 is not between 1970 and 2200"),
        (plain("b", runAt=10**15), "run_at 1000000000000000 is no moment"),
        (plain("b", runAt=253_402_300_799_999), "is not between 1970 and 2200"),
        (plain("b", runAt="2201-01-01T00:00:00Z"), "is not between 1970 and 2200"),
        (plain("b", priority=10**30), "first on one scale and last on another"),
        (plain("b", attempts=-1), "max_attempts=-1 is not a number of attempts"),
        (b'{"id": "b", "type": "probe.odd", "data": {"invoice": NaN}}\n', "NaN is no number that databases take"),
        (b'{"id": "b", "type": "probe.odd", "data": {"invoice": -Infinity}}\n', "-Infinity is no number"),
        (plain("b", data={"invoice": 1, "note": "\ud800"}), "half a surrogate pair"),
    ],
    ids=range(13),
)
def test_a_row_that_is_wrong_is_told_with_its_line_and_what_to_do(file: Any, row: Any, says: str) -> None:
    said = refused(file(plain(), row), 1)
    assert "1 bad rows; nothing was written" in said and "line 2: " in said and says in said


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (
            bull("2", priority="2097152"),
            "Say --priorities SCALE if it is on another (BullMQ's",
        ),
        (bull("2", priority="-1"), "The priority -1 is not on the scale 'ten'"),
        (bull("2", delay=str(10**15)), "a delay of 1000000000000000 ms: the last year is 2200"),
        (bull("2", delay=str(10**13)), "the last year is 2200"),
        (bull("2", timestamp="-5"), "timestamp '-5' is not between 1970 and 2200"),
        (bull("2", state="waiting-children"), "has no meaning here (waiting-children: let that flow end there)"),
        (bull("2", opts='{"fpof": true}'), "a parent of its flow waits for it"),
        (bull("2", parentKey="bull:flow:1"), "a parent of its flow waits for it"),
        (bull("2", opts='{"repeat": {"every": 60000}}'), "make schedules of such with --schedules"),
        (bull("2", opts='{"repeat": {"every": 60000, "limit": 3}}'), "make the schedule by hand, in the admin"),
    ],
    ids=range(10),
)
def test_what_bull_has_and_we_have_not_is_told(file: Any, row: Any, says: str) -> None:
    assert says in refused(file(bull(), row), 1)


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (agenda("2", priority=21), "The priority 21 is not on the scale 'agenda' from -20 to 20"),
        (agenda("2", priority="soon"), "There is no priority 'soon'"),
        (agenda("2", nextRunAt={"$date": {"$numberLong": "-62135596800001"}}), "is no moment"),
        (agenda("2", nextRunAt={"$date": {"$numberLong": "-1"}}), "is not between 1970 and 2200"),
        (agenda("2", repeatInterval="0 9 * * *"), "make schedules of such with --schedules"),
        (agenda("2", data={"invoice": {"$numberDouble": "NaN"}}), "Argument invoice"),
        (agenda("2", data={"invoice": 1, "note": {"$numberDouble": "Infinity"}}), "Argument note"),
        (agenda("2", debounceAt=5), "debounceAt is not known here"),
    ],
    ids=range(8),
)
def test_what_agenda_has_and_we_have_not_is_told(file: Any, row: Any, says: str) -> None:
    assert says in refused(file(agenda(), row), 1)


def test_priorities_of_bullmq_and_agenda_keep_their_order_to_their_ends(file: Any) -> None:
    rows = [bull(str(n), priority=str(n)) for n in (1, 2, 3, 7, 8, 11, 2**21)]
    assert brought(file(bull("0", priority="0"), *rows), "--priorities", "bullmq") == {"added": 8}
    found = dict(Job.objects.values_list("unique_key", "priority"))
    assert [found[f"mail:{n}"] for n in (1, 2, 3, 7, 8, 11, 2**21)] == [20, 20, 10, 5, 1, 1, 1]
    assert found["mail:0"] == 5, "none was given: the task's own"
    named = [(-20, 1), (20, 20), ("lowest", 1), ("low", 1), ("normal", 5), ("high", 10), ("highest", 20)]
    made = [agenda(f"p{n}", priority=theirs, nextRunAt={"$date": 5}) for n, (theirs, _ours) in enumerate(named)]
    assert brought(file(*made)) == {"added": 7}
    mine = Job.objects.filter(unique_key__startswith="agenda:").order_by("unique_key")
    assert list(mine.values_list("priority", flat=True)) == [ours for _theirs, ours in named]


def test_a_queue_that_is_none_is_wrong_usage(file: Any) -> None:
    assert "There is no queue 'nowhere'" in refused(file(plain()), 2, "--queue", "nowhere")


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
