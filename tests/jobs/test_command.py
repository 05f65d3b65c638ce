"""`manage.py jobs`: what each verb does, on a terminal, in a pipe, and by its exit code."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from jobs import bulk_orders, pauses, registry, stats
from jobs.models import Job, JobEvent, Order, UniqueKey
from tests.factories import DAY, HOUR, MINUTE, make_job
from tests.jobs.shell import Shell
from tests.probes import ok, typed

pytestmark = pytest.mark.django_db

jobs = Shell("jobs")


def ids(told: list[Any]) -> list[str]:
    return [one["id"] for one in told]


# --- Looking --------------------------------------------------------------------------------------------


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


# --- Making ---------------------------------------------------------------------------------------------


def test_enqueue_makes_a_job_through_the_front_door_and_says_who_did() -> None:
    (told,) = jobs.lines(
        *("enqueue", "probe.typed", "--data", '{"number": 7, "when": "2027-01-31T09:00:00Z"}', "--priority", "high"),
        *("--tag", "invoice:7", "--by", "olga", "--reason", "asked by phone"),
    )
    job = Job.objects.get()
    assert (told["id"], told["new"], told["state"]) == (str(job.pk), True, "scheduled")
    assert (job.kwargs, job.version, job.priority, job.correlation_id) == (
        {"number": 7, "when": "2027-01-31T09:00:00Z"},
        typed.version,
        10,
        "invoice:7",
    )
    event = JobEvent.objects.get()
    assert (event.job_id, event.by, event.verb, event.reason) == (job.pk, "olga", "enqueue", "asked by phone")


def test_the_second_call_with_a_key_is_the_first_job() -> None:
    first, second = (jobs.lines("enqueue", "probe.ok", "--key", "welcome-17")[0] for _ in range(2))
    assert (first["new"], second["new"], first["id"]) == (True, False, second["id"])
    assert JobEvent.objects.count() == Job.objects.count() == 1


def test_schedule_understands_words() -> None:
    text = jobs.screen("schedule", "probe.ok", "in 30 minutes", "--data", "[1]")
    job = Job.objects.get()
    assert timedelta(minutes=29) < job.run_at - timezone.now() <= timedelta(minutes=30)
    assert job.args == [1] and str(job.pk) in text
    jobs.lines("enqueue", "probe.ok", "--run-at", "2027-01-31T09:00+01:00")
    assert Job.objects.latest("pk").run_at == datetime(2027, 1, 31, 8, tzinfo=UTC)


def test_arguments_come_from_a_file(tmp_path) -> None:
    file = tmp_path / "data.json"
    file.write_text('{"value": "from a file"}')
    jobs.lines("enqueue", "probe.ok", "--data", f"@{file}")
    assert Job.objects.get().kwargs == {"value": "from a file"}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["enqueue", "probe.typo"], "There is no task 'probe.typo'. There are"),
        (["enqueue", "jobs.order"], "called by the application alone"),
        (["enqueue", "probe.typed", "--data", '{"number": "seven"}'], "missing"),
        (["enqueue", "probe.typed", "--data", '{"number": "x", "when": "2027-01-31T09:00:00Z"}'], "Argument number"),
        (["enqueue", "probe.typed", "--data", '{"nombre": 7}'], "jobs types probe.typed"),
        (["enqueue", "probe.ok", "--queue", "mesages"], "Unknown queue 'mesages'. Known: clock, default, messages"),
        (["schedule", "probe.ok", "yesterday"], "in the past"),
        (["schedule", "probe.ok", "soonish"], "not understood as a time"),
        (["cancel"], "Say which jobs"),
        (["cancel", "--queue", "mesages"], "There is no queue 'mesages'"),
        (["cancel", "--state", "failed"], "Nothing to cancel: there are no such jobs."),
        (["list", "--after", "nonsense"], "not where this list goes on"),
    ],
)
def test_what_has_no_meaning_is_refused_with_what_there_is(words: list[str], says: str) -> None:
    code, said = jobs.refuses(*words)
    assert code in (2, 3) and says in said
    assert not Job.objects.exists()


@pytest.mark.parametrize(
    "words",
    [
        *[["enqueue", "probe.ok", "--data", "{"], ["enqueue", "probe.ok", "--data", "7"]],
        *[["enqueue", "probe.ok", "--priority", "7"], ["reschedule", "--state", "scheduled"], ["list", "--limit", "0"]],
        *[["clean", "scheduled", "--older", "7d"], ["clean", "failed"], ["list", "--json", "--table"], []],
    ],
)
def test_what_argparse_refuses_does_nothing(words: list[str]) -> None:
    make_job()
    jobs.refuses(*words)
    assert Job.objects.count() == 1


# --- Ordering -------------------------------------------------------------------------------------------


def test_cancel_is_an_order_with_who_and_why() -> None:
    job, over = make_job(), make_job("succeeded")
    (told,) = jobs.lines("cancel", str(job.pk), str(over.pk), "--by", "olga", "--reason", "closed")
    order = Order.objects.get()
    assert told == {
        **{"verb": "cancel", "order": str(order.pk), "jobs": 1, "counts": {"cancelled": 1}},
        "left_alone": {"succeeded": 1},
    }
    assert (order.by, order.reason, order.open) == ("olga", "closed", False)
    job.refresh_from_db()
    assert (job.state, job.reason) == ("cancelled", "closed")
    assert JobEvent.objects.get().order == order


def test_what_runs_is_asked_to_stop_and_that_is_not_yet_done() -> None:
    job = make_job("running")
    code, said = jobs.refuses("cancel", str(job.pk))
    assert code == 3 and "1 of them run at this moment and are asked to stop" in said
    job.refresh_from_db()
    assert (job.state, job.cancel_requested) == ("running", True)


def test_a_filter_is_looked_at_first_and_needs_a_yes() -> None:
    [make_job("failed", task="probe.fail") for _ in range(3)], make_job("failed")
    which = ("retry", "--state", "failed", "--task", "probe.fail")
    assert jobs.lines(*which, "--dry-run") == [{"verb": "retry", "dry_run": True, "jobs": 3, "counts": {"failed": 3}}]
    code, said = jobs.refuses(*which)
    assert code == 2 and "retry 3 jobs (3 failed)? There is nobody to ask: say --yes" in said
    assert Job.objects.filter(state="failed").count() == 4
    assert "retry: 3 done." in jobs.screen(*which, "--yes")
    assert Job.objects.filter(state="scheduled", task="probe.fail").count() == 3


def test_all_jobs_that_there_are_have_to_be_asked_for_by_that_word() -> None:
    make_job(), make_job()
    assert jobs.refuses("cancel", "--yes")[0] == 2
    assert jobs.lines("cancel", "--every-job", "--yes")[0]["counts"] == {"cancelled": 2}


def test_a_retry_can_be_spread() -> None:
    [make_job("failed") for _ in range(3)]
    jobs.lines("retry", "--state", "failed", "--per-minute", "2", "--yes")
    first, *others = Job.objects.order_by("run_at").values_list("run_at", flat=True)
    assert [at - first for at in others] == [timedelta(seconds=30), timedelta(seconds=60)]


def test_run_now_and_reschedule_change_the_time_of_what_waits() -> None:
    job = make_job(due=DAY)
    jobs.lines("reschedule", str(job.pk), "--by-time", "2h")
    assert Job.objects.get().run_at - job.run_at == 2 * HOUR
    jobs.lines("reschedule", str(job.pk), "--to", "2027-01-31T09:00+01:00")
    assert Job.objects.get().run_at == datetime(2027, 1, 31, 8, tzinfo=UTC)
    jobs.lines("run-now", str(job.pk))
    assert abs(Job.objects.get().run_at - timezone.now()) < MINUTE


def test_unknown_ids_are_named_and_the_others_are_done() -> None:
    job = make_job()
    code, said = jobs.refuses("cancel", str(job.pk), "welcome-99")
    assert (code, said) == (3, "There is no job welcome-99.")
    assert Job.objects.get().state == "cancelled"


def test_a_large_order_is_carried_out_here_and_its_job_finds_nothing_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk_orders, "AT_ONCE", 2)
    [make_job("failed") for _ in range(5)]
    (told,) = jobs.lines("retry", "--state", "failed", "--yes")
    order = Order.objects.get()
    assert told["counts"] == {"done": 5} and not order.open and order.job_id
    assert bulk_orders.chunk(order.pk).done == 5


@pytest.mark.parametrize("at_once", [2, 1_000])
def test_ctrl_c_calls_an_order_off(monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    monkeypatch.setattr(bulk_orders, "AT_ONCE", at_once)
    monkeypatch.setattr(bulk_orders, "CHUNK", 2)
    [make_job() for _ in range(5)]
    chunk = bulk_orders.chunk
    done: list[Any] = []

    def interrupted(pk: Any) -> Order:
        if done:
            raise KeyboardInterrupt
        done.append(pk)
        return chunk(pk)

    monkeypatch.setattr(bulk_orders, "chunk", interrupted)
    code, said = jobs.refuses("cancel", "--queue", "default", "--state", "scheduled", "--yes", "--by", "olga")
    assert (code, said) == (3, "Called off after 2 of 5. What is done is done.")
    assert Order.objects.get().called_off_by == "olga"
    assert Job.objects.filter(task="probe.ok", state="cancelled").count() == 2


# --- Tidying --------------------------------------------------------------------------------------------


def test_clean_deletes_by_state_age_and_number_and_keeps_the_keys() -> None:
    old = timezone.now() - 2 * DAY
    for n in range(3):
        make_job("succeeded", finished_at=old + n * HOUR, unique_key=f"welcome-{n}")
    kept = [make_job("succeeded"), make_job("failed", finished_at=old), make_job()]
    which = ("clean", "succeeded", "--older", "24h")
    assert jobs.lines(*which, "--dry-run")[0]["jobs"] == 3
    assert jobs.refuses(*which)[0] == 2
    assert jobs.lines(*which, "--limit", "2", "--yes")[0]["jobs"] == 2
    assert set(UniqueKey.objects.values_list("key", flat=True)) == {"welcome-0", "welcome-1"}
    assert "Deleted 1 succeeded jobs that ended more than 24 h ago." in jobs.screen(*which, "--yes")
    assert set(Job.objects.all()) == set(kept)
    assert jobs.refuses(*which, "--yes")[0] == 3
    assert ok.apply_async(unique_key="welcome-0").id == str(UniqueKey.objects.get(key="welcome-0").job)


def test_clean_goes_by_queue_and_task() -> None:
    old = timezone.now() - 2 * DAY
    make_job("failed", finished_at=old, task="probe.fail"), make_job("failed", finished_at=old, queue="messages")
    make_job("failed", finished_at=old)
    assert jobs.lines("clean", "failed", "--older", "1d", "--task", "probe.fail", "--yes")[0]["jobs"] == 1
    assert jobs.lines("clean", "failed", "--older", "1d", "--queue", "messages", "--yes")[0]["jobs"] == 1
    assert Job.objects.count() == 1
