"""`manage.py jobs`: what making and tidying do, on a terminal, in a pipe, and by its exit code."""

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from jobs.models import Job, JobEvent, UniqueKey
from tests.factories import DAY, HOUR, make_job
from tests.jobs.shell import Shell
from tests.probes import ok, typed

pytestmark = pytest.mark.django_db

jobs = Shell("jobs")


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
    jobs.lines("enqueue", "probe.ok", "--run-at", "2099-01-31T09:00+01:00")
    assert Job.objects.latest("pk").run_at == datetime(2099, 1, 31, 8, tzinfo=UTC)


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
