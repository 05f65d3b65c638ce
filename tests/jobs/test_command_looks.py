"""`manage.py jobs`: what its looks show, on a terminal and in a pipe."""

from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from jobs import pauses, registry, stats
from jobs.models import Job, UniqueKey
from tests.factories import HOUR, make_job
from tests.jobs.shell import Shell

pytestmark = pytest.mark.django_db

jobs = Shell("jobs")


def ids(told: list[Any]) -> list[str]:
    return [one["id"] for one in told]


def test_a_list_is_newest_first_and_goes_on_where_it_ended() -> None:
    made = [str(make_job().pk) for _ in range(5)][::-1]
    assert ids(jobs.lines("list", "--limit", "2")) == made[:2]
    cursor = jobs.complaints.split("--after ")[1].strip()
    assert ids(jobs.lines("list", "--limit", "2", "--after", cursor)) == made[2:4]
    assert ids(jobs.lines("list", "--all")) == made
    assert "--after" not in jobs.complaints


def test_a_list_goes_by_the_filters_of_the_admin_and_the_words_of_other_systems() -> None:
    failed, other = make_job("failed", tenant="venue-7"), make_job("succeeded", task="probe.add")
    assert (
        ids(jobs.lines("list", "--state", "failed")) == ids(jobs.lines("list", "--state", "dead")) == [str(failed.pk)]
    )
    assert ids(jobs.lines("list", "--state", "completed")) == [str(other.pk)]
    assert ids(jobs.lines("list", "--tenant", "venue-7")) == [str(failed.pk)]
    assert ids(jobs.lines("list", "--task", "probe.add")) == [str(other.pk)]


def test_a_window_of_time_is_shown_in_the_order_of_time() -> None:
    late, soon, later = make_job(due=-2 * HOUR), make_job(due=HOUR), make_job(due=3 * HOUR)
    assert ids(jobs.lines("list", "--from", "3h ago", "--until", "2h")) == [str(late.pk), str(soon.pk)]
    moment = (timezone.now() + 2 * HOUR).isoformat()
    assert ids(jobs.lines("list", "--from", moment)) == [str(later.pk)]


def test_a_list_on_a_terminal_is_a_table_that_no_error_text_can_draw_on() -> None:
    make_job("failed", reason="boom \x1b[2J\x9b31m [red]")
    text = jobs.screen("list", "--state", "failed")
    assert "boom \\x1b[2J\\x9b31m [red]" in text and "run at" in text
    (told,) = jobs.lines("list")
    assert told["reason"] == "boom \x1b[2J\x9b31m [red]"
    assert jobs.written.isascii() and "\x1b" not in jobs.written


def test_nothing_found_ends_with_3() -> None:
    assert jobs.refuses("list", "--state", "failed") == (3, "There are no such jobs.")
    assert jobs.refuses("show", "welcome-17") == (3, "There is no job welcome-17.")


def test_a_job_is_shown_with_its_story_and_its_arguments_masked() -> None:
    job = make_job(
        "failed", kwargs={"to": "olga@example.com"}, unique_key="welcome-17", reason="no room 17", failures=1
    )
    jobs.lines("retry", str(job.pk), "--by", "olga", "--reason", "mended")
    (told,) = jobs.lines("show", "welcome-17")
    assert told["id"] == str(job.pk)
    assert told["kwargs"] == {"to": "text of 16 characters"}
    assert [(one["by"], one["verb"], one["reason"]) for one in told["events"]] == [("olga", "retry", "mended")]
    assert "olga@example.com" in jobs.screen("show", str(job.pk), "--reveal")
    assert "olga@example.com" not in jobs.screen("show", str(job.pk))


def test_a_key_whose_job_is_deleted_tells_what_became_of_it() -> None:
    first = make_job().pk
    UniqueKey.objects.create(key="welcome-17", job=first, state="succeeded")
    assert f"it was {first}, succeeded" in jobs.refuses("show", "welcome-17")[1]


def test_a_key_that_two_tenants_have_names_neither_of_their_jobs() -> None:
    first, second = (make_job("failed", unique_key="welcome-17", tenant=tenant) for tenant in ("", "venue 7"))
    code, says = jobs.refuses("retry", "welcome-17", "--reason", "mended")
    assert code == 2 and f"{first.pk}, or {second.pk} of venue 7" in says
    assert set(Job.objects.values_list("state", flat=True)) == {"failed"}


def test_a_key_that_two_tenants_had_tells_what_became_of_each() -> None:
    for tenant, state in (("", "succeeded"), ("venue 7", "failed")):
        UniqueKey.objects.create(key="welcome-17", tenant=tenant, job=make_job().pk, state=state)
    says = jobs.refuses("show", "welcome-17")[1]
    assert ", succeeded" in says and " of venue 7, failed" in says


def test_types_tell_each_kind_with_the_schema_of_its_arguments() -> None:
    told = {one["task"]: one for one in jobs.lines("types")}
    assert told["probe.typed"]["schema"]["properties"]["when"] == {"format": "date-time", "type": "string"}
    assert told["probe.typed"]["schema"]["required"] == ["number", "when"]
    assert told["probe.flaky"]["max_attempts"] == 3
    assert "jobs.order" not in told
    assert {one["task"] for one in jobs.lines("types", "--internal")} == set(registry.names())
    assert "number: integer, when: string" in jobs.screen("types")
    assert jobs.lines("types", "probe.typed")[0] == told["probe.typed"]


def test_stats_count_each_state_and_say_how_late_the_latest_is() -> None:
    make_job(due=-HOUR), make_job("running"), make_job("failed"), make_job("failed")
    (told,) = jobs.lines("stats")
    assert (told["scheduled"], told["running"], told["failed"], told["succeeded"]) == (1, 1, 2, 0)
    assert 3590 < told["late"] < 3700
    assert "60 min" in jobs.screen("stats")


def test_a_number_that_was_not_counted_to_its_end_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stats, "MOST", 2)
    [make_job("failed") for _ in range(5)]
    assert "2+" in jobs.screen("stats")
    assert jobs.lines("stats")[0]["failed"] == 3


def test_queues_tell_their_limits_and_pauses() -> None:
    make_job(due=-HOUR), make_job("running")
    pauses.pause("queue", ["default"], by="olga", reason="new disk")
    pauses.pause("tenant", ["venue-7"], by="olga")
    told = next(one for one in jobs.lines("queues") if one["queue"] == "default")
    assert (told["queue"], told["due"], told["running"], told["window"]) == ("default", 1, 1, 500)
    assert (told["paused"], told["paused_by"], told["paused_because"]) == (True, "olga", "new disk")
    assert "Paused: tenant venue-7 until resumed, by olga." in jobs.complaints
    assert "default" in jobs.screen("queues")


def test_one_look_of_a_watch_tells_what_ended_within_a_minute() -> None:
    make_job(due=-HOUR), make_job("succeeded"), make_job("succeeded", finished_at=timezone.now() - HOUR)
    (told,) = jobs.lines("watch", "--once")
    assert (told["due"], told["a_minute"]["succeeded"], told["processes"]) == (1, 1, 0)
    assert told["late"] > 3590
    assert "No workers." in jobs.screen("watch", "--once")


@pytest.mark.parametrize("many", [3, 30])
def test_a_look_costs_the_same_however_many_jobs_there_are(many: int, django_assert_num_queries) -> None:
    [make_job() for _ in range(many)], [make_job("succeeded") for _ in range(many)]
    jobs.lines("watch", "--once")
    with django_assert_num_queries(13 + (connection.vendor == "postgresql")):  # whose clock has to be asked
        jobs.lines("watch", "--once")
