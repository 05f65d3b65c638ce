"""Jobs in from Bull and BullMQ.

The files of Bull 4 and BullMQ 5 in `exports/` were made by those libraries on a real Redis, and taken out of it with
the script of docs/migrating.md.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
from django_celery_beat.models import PeriodicTask

from jobs.models import Job
from tests.jobs.bringing import EXPORTS, PAGE, bad, bring, jobs, row as row, send_invoice, told_of

pytestmark = pytest.mark.django_db


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
            found += subprocess.run(words, check=True, capture_output=True, text=True, timeout=60).stdout
    finally:
        client.delete(*client.scan_iter(f"{prefix}:*"))
    taken = [json.loads(line.replace(f"{prefix}:", "bull:")) for line in found.splitlines()]
    assert {one["key"]: one for one in taken} == {one["key"]: one for one in records}
