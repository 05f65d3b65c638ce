"""Jobs as a file: out and in again, and in from Bull, BullMQ, Agenda and a mock.

The files of Bull 4 and BullMQ 5 in `exports/` were made by those libraries on a real Redis, and taken out of it with
the script of docs/migrating.md.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import redis
from celery import shared_task
from django_celery_beat.models import PeriodicTask

from jobs import bulk, keys
from jobs.durable import Durable
from jobs.models import Group, Job, JobEvent, UniqueKey
from jobs.transfer import importing, ours, sources
from tests.factories import DAY, make_job
from tests.jobs.shell import Shell

pytestmark = pytest.mark.django_db

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


# --- Bull and BullMQ ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "scheduled"), [("bull", 4), ("bullmq", 5)])
def test_the_files_of_bull_and_bullmq_come_in_once(name: str, scheduled: int) -> None:
    file = EXPORTS / f"{name}.jsonl"
    told = bring(file, "--schedules", "--reason", "we move")
    assert told["counts"] == {"added": scheduled + 1, "schedules": 2, "over": 1}
    again = bring(file, "--schedules")
    assert again["counts"] == {"there": scheduled + 3, "over": 1}
    assert Job.objects.filter(state="scheduled").count() == scheduled
    assert "backoff: the task says how long it waits between attempts" in told["notes"]


def test_a_delayed_job_of_bull_keeps_time_priority_attempts_and_limit() -> None:
    bring(EXPORTS / "bull.jsonl", "--schedules")
    job = Job.objects.get(unique_key="mail:2")
    assert job.run_at == datetime.fromtimestamp(1795845975.955, UTC) + timedelta(days=1)
    assert (job.task, job.kwargs, job.priority, job.max_attempts) == ("probe.invoice", {"invoice": 8}, 20, 3)
    assert job.options["time_limit"] == 30


def test_a_retry_of_bullmq_comes_when_redis_says_with_its_attempts_behind_it() -> None:
    bring(EXPORTS / "bullmq.jsonl", "--schedules")
    job = Job.objects.get(unique_key="welcome2:2")
    assert (job.failures, job.max_attempts, job.reason) == (1, 3, "bounced")
    assert job.run_at == datetime.fromtimestamp(1795849576.881, UTC)


def test_what_failed_there_waits_for_a_person_here() -> None:
    bring(EXPORTS / "bullmq.jsonl", "--schedules")
    job = Job.objects.get(state="failed")
    assert (job.unique_key, job.reason, job.signature, job.failures) == ("welcome2:1", "bounced", "bounced", 1)
    jobs.lines("retry", "welcome2:1")
    assert Job.objects.get(pk=job.pk).state == "scheduled"


def test_an_id_that_the_application_chose_stays_the_key_of_its_calls() -> None:
    bring(EXPORTS / "bullmq.jsonl", "--schedules")
    first = Job.objects.get(unique_key="welcome-17")
    assert send_invoice.apply_async((9,), unique_key="welcome-17").id == str(first.pk)


def test_the_chosen_id_of_a_job_that_is_over_is_remembered(row: Callable[..., Path]) -> None:
    done = {"name": "send-email", "data": '{"invoice": 1}', "opts": "{}", "finishedOn": "1795845976870"}
    told = bring(row({"key": "bull:welcome:welcome-5", "state": "completed", "job": done}))
    assert told["counts"] == {"remembered": 1}
    assert send_invoice.apply_async((1,), unique_key="welcome-5").job is None
    assert not Job.objects.exists()


def test_what_recurs_becomes_a_schedule_if_that_is_wanted() -> None:
    file = EXPORTS / "bull.jsonl"
    assert "2 bad rows; nothing was written" in bad(file)
    assert not Job.objects.exists()
    bring(file, "--schedules")
    made = PeriodicTask.objects.filter(task="probe.invoice")
    daily, every = made.get(interval=None), made.get(crontab=None)
    assert (str(daily.crontab.timezone), daily.crontab.hour, daily.crontab.minute) == ("Europe/Berlin", "9", "0")
    assert (every.interval.every, every.interval.period) == (60, "seconds")
    assert json.loads(daily.kwargs) == {"invoice": 1}


def hash_of(**more: Any) -> dict[str, Any]:
    job = {"name": "send-email", "data": '{"invoice": 1}', "opts": "{}", "timestamp": "1795845976870"} | more
    return {"key": "bull:mail:1", "state": "wait", "job": job}


@pytest.mark.parametrize(
    ("record", "says"),
    [
        (hash_of() | {"state": "active"}, "it was running"),
        (hash_of() | {"state": "waiting-children"}, "has no meaning here"),
        (hash_of(name="unheard"), "there is no task 'unheard': say which it is, --names unheard=TASK"),
        (hash_of(data="{"), "data is no JSON"),
        (hash_of(data="7"), "no object of arguments by name"),
        (hash_of(data='{"invoice": "seven"}'), "Argument invoice"),
        (hash_of(data='{"nombre": 1}'), "unexpected keyword argument"),
        (hash_of(priority="99"), "The priority 99 is not on the scale 'ten' from 1 to 10"),
        (hash_of(opts='{"parent": {"id": "1"}}'), "a parent of its flow waits for it"),
        (hash_of(opts='{"repeat": {"every": 1500}}'), "whole seconds"),
        (hash_of(opts='{"repeat": {"pattern": "*/5 * * * * *"}}'), "has not five fields"),
        (hash_of(opts='{"repeat": {"pattern": "0 9 1 * 1"}}'), "days of the month and of the week"),
        (hash_of(opts='{"repeat": {"pattern": "0 9 * * *", "limit": 3}}'), "repeat.limit has no counterpart"),
        (hash_of(timestamp="soon"), "timestamp 'soon' is no moment"),
        ("{not json", "it is no JSON"),
        ("[1]", "it is no JSON object"),
        ({"key": "mail", "job": {}}, "is not prefix:queue:id"),
    ],
)
def test_a_row_that_cannot_come_in_is_named_with_its_line_and_reason(
    row: Callable[..., Path], record: Any, says: str
) -> None:
    good = hash_of() | {"key": "bull:mail:2"}
    file = row(good, record)
    assert "1 bad rows; nothing was written" in bad(file, "--schedules")
    assert not Job.objects.exists()
    told = told_of(file)
    assert [one["line"] for one in told["bad"]] == [2]
    assert says in told["bad"][0]["error"]
    assert Job.objects.count() == 1


def test_two_rows_for_one_job_are_told(row: Callable[..., Path]) -> None:
    told = told_of(row(hash_of(), hash_of()))
    assert told["bad"] == [{"line": 2, "error": "it is the same as line 1: mail:1"}]
    assert Job.objects.count() == 1


def test_numbers_of_a_priority_are_read_on_the_scale_that_is_named(row: Callable[..., Path]) -> None:
    bring(row(hash_of(priority="20")), "--priorities", "ours")
    assert Job.objects.get().priority == 20


def test_a_name_or_a_queue_that_is_none_of_ours_is_refused(row: Callable[..., Path], tmp_path: Path) -> None:
    file = row(hash_of())
    assert "There is no task 'probe.typo'" in jobs.refuses("import", str(file), "--names", "send-email=probe.typo")[1]
    assert "There is no queue 'mesages'" in jobs.refuses("import", str(file), "--queue", "mesages")[1]
    assert "cannot be read" in jobs.refuses("import", str(tmp_path / "none"))[1]
    mapping = tmp_path / "names"
    mapping.write_text("# theirs = ours\nsend-email = probe.invoice\n\n")
    assert jobs.lines("import", str(file), "--names", str(mapping), "--queue", "messages")[0]["counts"] == {"added": 1}
    assert Job.objects.get().queue == "messages"


def test_a_sum_and_a_number_that_are_not_the_files_refuse_it(row: Callable[..., Path]) -> None:
    file = row(hash_of())
    right = hashlib.sha256(file.read_bytes()).hexdigest()
    assert f"its SHA-256 is {right}" in bad(file, "--sha256", "0" * 64)
    assert "it has 1 rows, not 2" in bad(file, "--expect", "2")
    assert bring(file, "--expect", "1", "--sha256", right)["counts"] == {"added": 1}


def test_an_empty_file_has_nothing(row: Callable[..., Path]) -> None:
    assert jobs.refuses("import", str(row()))[0] == 3
    assert "is not a file of punctual, bull, agenda, plain" in jobs.refuses("import", str(row({"a": 1})))[1]


# --- Agenda, and others ---------------------------------------------------------------------------------


def test_the_documents_of_agenda_come_in_once() -> None:
    file = EXPORTS / "agenda.jsonl"
    told = bring(file, "--schedules")
    assert told["counts"] == {"added": 3, "over": 1, "schedules": 2}
    first, second, dead = Job.objects.order_by("kwargs__invoice")
    assert (first.priority, first.run_at) == (10, datetime(2027, 1, 31, 8, tzinfo=UTC))
    assert (second.priority, second.kwargs, second.run_at) == (
        5,
        {"invoice": 8},
        datetime.fromtimestamp(1_801_386_000, UTC),
    )
    assert (dead.state, dead.reason, dead.finished_at) == (
        "failed",
        "no such invoice",
        datetime(2026, 1, 31, 8, 0, 1, tzinfo=UTC),
    )
    made = PeriodicTask.objects.filter(task="probe.invoice")
    daily, every = made.get(interval=None), made.get(crontab=None)
    assert daily.crontab.timezone == ZoneInfo("Europe/Berlin") and every.interval.every == 180
    assert bring(file, "--schedules")["counts"] == {"there": 5, "over": 1}


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"lockedAt": {"$date": "2027-01-31T08:00:00Z"}}, "it was running"),
        ({"disabled": True}, "it is disabled"),
        ({"repeatAt": "3:30pm", "repeatInterval": None}, "repeatAt has no counterpart"),
        ({"repeatInterval": "when it rains"}, "neither a cron text nor a span"),
        ({"data": {"invoice": {"$binary": "x"}}}, "$binary has no counterpart in JSON"),
        ({"nextRunAt": {"$date": "2027-01-31T08:00:00"}}, "names no time zone"),
    ],
)
def test_what_agenda_can_and_we_cannot_is_said(row: Callable[..., Path], more: dict[str, Any], says: str) -> None:
    document = {"_id": {"$oid": "1"}, "name": "send-email", "data": {"invoice": 1}, "nextRunAt": None} | more
    assert says in told_of(row(document))["bad"][0]["error"]


def test_rows_of_a_mock_come_in_by_their_own_ids() -> None:
    file = EXPORTS / "plain.jsonl"
    assert bring(file)["counts"] == {"added": 2, "remembered": 1}
    first = Job.objects.get(unique_key="welcome-17")
    assert (first.run_at, first.priority) == (datetime(2027, 1, 31, 8, tzinfo=UTC), 10)
    assert Job.objects.get(unique_key="welcome-19").max_attempts == 3
    assert UniqueKey.objects.get().key == "welcome-18"
    assert bring(file)["counts"] == {"there": 2, "remembered": 1}


@pytest.mark.parametrize(
    ("record", "says"),
    [
        ({"type": "send-email", "data": {"invoice": 1}}, "it has no id"),
        ({"id": "1", "type": "send-email", "runAt": "2027-01-31T09:00:00"}, "names no time zone"),
        (
            {"id": "1", "type": "send-email", "data": {"invoice": 1}, "priority": 1},
            "first on one scale and last on another",
        ),
        ({"id": "1", "type": "send-email", "options": {"delay": 500}}, "counts from a moment that is not told"),
        ({"id": "1", "type": "send-email", "task": "send-email"}, "says again what another name says"),
        ({"id": "1", "type": "send-email", "colour": "red"}, "'colour' is not known here"),
    ],
)
def test_what_a_plain_row_leaves_open_is_asked_for(row: Callable[..., Path], record: Any, says: str) -> None:
    assert says in told_of(row(record))["bad"][0]["error"]


# --- What the page says ---------------------------------------------------------------------------------


def test_the_script_of_the_page_takes_jobs_out_of_a_real_redis(
    need_server: Callable[[str], None], tmp_path: Path
) -> None:
    """Into which they are put as BullMQ had them."""
    need_server("redis")
    if not shutil.which("redis-cli"):
        pytest.skip("redis-cli is not here")
    url = os.environ.get("BROKER_URL") or "redis://127.0.0.1:6379/9"
    client, prefix = redis.Redis.from_url(url), f"test-{os.getpid()}"
    records = [json.loads(line) for line in (EXPORTS / "bullmq.jsonl").read_text().splitlines()]
    queues = sorted({record["key"].split(":")[1] for record in records})
    try:
        for record in records:
            key = record["key"].replace("bull:", f"{prefix}:", 1)
            queue, pk = key.split(":", 2)[1:]
            client.hset(key, mapping=record["job"])
            held = f"{prefix}:{queue}:{record['state']}"
            if record["state"] == "wait":
                client.lpush(held, pk)
            else:
                client.zadd(held, {pk: int(record.get("due", 0)) * 4096 + 7})
        script = re.search(r"```lua\n(.+?)```", PAGE.read_text(), re.S)
        assert script
        found = ""
        for queue in queues:
            words = ["redis-cli", "-u", url, "--raw", "EVAL", script[1], "1", f"{prefix}:{queue}"]
            found += subprocess.run(words, check=True, capture_output=True, text=True, timeout=30).stdout
    finally:
        client.delete(*client.scan_iter(f"{prefix}:*"))
    taken = [json.loads(line.replace(f"{prefix}:", "bull:")) for line in found.splitlines()]
    assert {one["key"]: one for one in taken} == {one["key"]: one for one in records}


def test_each_shape_on_the_page_is_one_that_comes_in(row: Callable[..., Path]) -> None:
    shapes = re.findall(r"```json\n(.+?)```", PAGE.read_text(), re.S)
    assert len(shapes) >= 4
    for n, shape in enumerate(shapes):
        assert bring(row(*shape.strip().splitlines()), "--dry-run")["counts"] == {"added": 1}, n


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


def test_a_wrong_name_of_a_task_is_wrong_usage_in_a_process_of_its_own(tmp_path: Path) -> None:
    """The tasks are known when the verb runs, and not while its words are read."""
    env = os.environ | {"DATA_DIR": str(tmp_path), "ENV_FILE": os.devnull, "SECRET_KEY": "k3-" + os.urandom(40).hex()}
    command = [sys.executable, "manage.py", "jobs", "import", os.devnull, "--names", "x=nosuch"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2 and "There is no task 'nosuch'" in done.stderr, done.stderr
    assert "jobs.export" in done.stderr and "Traceback" not in done.stderr
