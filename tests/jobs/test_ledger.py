"""The verbs, called directly. A verb that finds its guard unmet changes nothing."""

import re
from pathlib import Path
from typing import Any

import pytest
from django.db import IntegrityError, OperationalError, transaction
from django.utils import timezone

from jobs import ledger, transitions
from jobs.models import Attempt, Job
from tests.factories import HOUR, MINUTE, make_job

pytestmark = pytest.mark.django_db


def state(job: Job) -> str:
    return Job.objects.values_list("state", flat=True).get(pk=job.pk)


ALL = [state.value for state in Job.State]


def act(verb: str, job: Job) -> None:
    """Do `verb` to `job` with every condition beside the state fulfilled."""
    errored = Attempt(outcome=Attempt.Outcome.ERRORED, error="x")
    if verb in ("stop", "cancel"):
        Job.objects.filter(pk=job.pk).update(cancel_requested=verb == "stop")
    if verb == "bury":
        Job.objects.filter(pk=job.pk).update(max_attempts=1)
    if verb == "expire":
        Job.objects.filter(pk=job.pk).update(useful_until=timezone.now() - MINUTE)
    if verb == "reject":
        Job.objects.filter(pk=job.pk).update(task="gone", run_at=timezone.now() - 2 * HOUR)
    job = Job.objects.get(pk=job.pk)
    {
        "dispatch": lambda: ledger.dispatch("default", ["probe.ok"], 10),
        "release": lambda: ledger.release(Job.objects.filter(pk=job.pk)),
        "claim": lambda: ledger.claim(job.pk, "me"),
        "succeed": lambda: ledger.succeed(job),
        "back_off": lambda: ledger.back_off(job, MINUTE, errored),
        "snooze": lambda: ledger.snooze(job, timezone.now() + MINUTE, errored),
        "give_up": lambda: ledger.give_up(job, errored),
        "stop": lambda: ledger.stop(job, errored),
        "rescue": lambda: ledger.rescue(job),
        "bury": lambda: ledger.rescue(job),
        "give_back": lambda: ledger.give_back(job),
        "reject": lambda: ledger.reject(["probe.ok"], ["default"], HOUR),
        "expire": lambda: ledger.expire(),
        "cancel": lambda: ledger.cancel([job.pk], "because"),
        "reschedule": lambda: ledger.reschedule({job.pk: (timezone.now() + HOUR, None)}),
        "retry": lambda: ledger.retry([job.pk]),
    }[verb]()


@pytest.mark.parametrize("verb", sorted(transitions.TRANSITIONS))
@pytest.mark.parametrize("source", ALL)
def test_a_verb_moves_a_job_from_its_source_states_and_from_no_other(verb: str, source: str) -> None:
    sources, target = transitions.TRANSITIONS[verb]
    job = make_job(source, lease="over")
    act(verb, job)
    assert state(job) == (target if source in sources else source)


def test_a_process_that_is_known_to_be_gone_loses_its_job_whatever_the_lease() -> None:
    job = make_job("running", lease="live")
    assert ledger.rescue(job) is None
    rescued = ledger.rescue(job, killed="out of memory")
    assert rescued and rescued.state == "scheduled"
    assert job.attempts.get().error == "out of memory"
    assert Job.objects.get().failures == 1


def test_what_is_given_back_has_cost_nothing_and_keeps_its_place() -> None:
    job = make_job("running", lease="live", max_attempts=1)
    assert ledger.give_back(job)
    after = Job.objects.get()
    assert (after.state, after.failures, after.run_at, after.worker) == ("scheduled", 0, job.run_at, "")
    assert not job.attempts.exists()


def test_the_next_attempt_is_not_taken_from_its_holder_because_the_last_one_died() -> None:
    dead = make_job("running", lease="live")
    Job.objects.update(token=2, worker="alive:2")
    assert not ledger.give_back(dead)
    assert ledger.rescue(dead, killed="long ago") is None
    assert (Job.objects.get().state, Job.objects.get().failures) == ("running", 0)


@pytest.mark.parametrize("take", [ledger.give_back, lambda job: ledger.rescue(job, killed="gone")])
def test_a_job_that_was_asked_to_stop_is_not_tried_again_when_its_process_dies(take) -> None:
    job = make_job("running", lease="live", cancel_requested=True)
    assert take(job)
    assert state(job) == "cancelled"


def test_what_runs_is_moved_by_its_worker_and_the_rescuer_alone() -> None:
    """Whatever the table of transitions says."""
    job = make_job("running", task="gone", due=-2 * HOUR, useful_until=timezone.now() - MINUTE)
    assert ledger.release(Job.objects.all()) == 0
    assert ledger.retry([job.pk]) == ledger.reschedule({job.pk: (job.run_at, job.useful_until)}) == set()
    assert ledger.expire() == ledger.reject([], [], HOUR) == ledger.dispatch("default", ["gone"], 10) == []
    assert ledger.cancel([job.pk], "no") == {job.pk: "in flight"}
    assert state(job) == "running"


def test_a_late_finisher_cannot_overwrite_the_next_attempt() -> None:
    job = make_job("queued")
    first = ledger.claim(job.pk, "slow:1")
    assert first
    Job.objects.filter(pk=job.pk).update(lease_until=timezone.now() - MINUTE)
    assert ledger.rescue(Job.objects.get(pk=job.pk))
    ledger.dispatch("default", ["probe.ok"], 10)
    second = ledger.claim(job.pk, "fast:2")
    assert second and second.token == first.token + 1
    errored = Attempt(outcome=Attempt.Outcome.ERRORED)
    assert not ledger.succeed(first, "stale")
    assert not ledger.give_up(first, errored)
    assert not ledger.back_off(first, MINUTE, errored)
    assert ledger.succeed(second, "fresh")
    assert Job.objects.get(pk=job.pk).result == "fresh"


def test_of_many_that_finish_together_each_has_its_own_result_and_its_own_fence() -> None:
    """Two tokens, values that one database or the other takes for something else, and one that was taken away."""
    ids = [make_job("queued", token=n % 2).pk for n in range(9)]
    jobs = ledger.claim_many(ids, "me")
    jobs.sort(key=lambda job: ids.index(job.pk))
    Job.objects.filter(pk=ids[-1]).update(token=7)
    results = [None, True, "true", "null", 0, [1, {"a": None}], "ä\\u0041\"'", 1.5, "stale"]
    assert ledger.succeed_many(jobs, results) == 8
    kept = {job.pk: job for job in Job.objects.all()}
    assert [kept[pk].result for pk in ids] == [*results[:-1], None]
    assert kept[ids[1]].result is True and kept[ids[-1]].state == "running"
    assert ledger.succeed_many(jobs, results) == 0


def test_a_claimed_job_can_be_asked_for_all_of_its_columns() -> None:
    job = make_job("queued", args=[1, {"b": []}], kwargs={}, reason="why", checkpoint={"at": 3})
    claimed = ledger.claim(job.pk, "me")
    assert claimed and (claimed.args, claimed.kwargs, claimed.checkpoint) == ([1, {"b": []}], {}, {"at": 3})
    assert claimed.reason == "why" and claimed.started_at is not None and claimed == job


def test_a_late_finisher_of_many_overwrites_none() -> None:
    mine, lost = make_job("running"), make_job("running")
    Job.objects.filter(pk=lost.pk).update(token=2, worker="fast:2")
    assert ledger.succeed_many([mine, lost]) == 1
    assert (state(mine), state(lost)) == ("succeeded", "running")


def test_an_outcome_whose_story_cannot_be_kept_is_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    job = make_job("running")

    def full(*_: Any, **__: Any) -> None:
        raise OperationalError("could not extend file: No space left on device")

    monkeypatch.setattr(Attempt, "save", full)
    errored = Attempt(outcome=Attempt.Outcome.ERRORED)
    for end in (lambda: ledger.back_off(job, MINUTE, errored), lambda: ledger.give_up(job, errored)):
        with pytest.raises(OperationalError):
            end()
    assert state(job) == "running"


def test_a_persons_retry_resets_the_failures_but_never_the_fence() -> None:
    job = make_job("failed", failures=4, token=9)
    assert ledger.retry([job.pk]) == {job.pk}
    job.refresh_from_db()
    assert (job.state, job.failures, job.token) == ("scheduled", 0, 9)


def test_a_cancelled_job_runs_again_when_a_person_says_so() -> None:
    job = make_job()
    ledger.cancel([job.pk], "no")
    assert ledger.retry([job.pk]) == {job.pk}
    assert [sent.pk for sent in ledger.dispatch("default", ["probe.ok"], 10)] == [job.pk]


def test_a_job_cannot_be_held_without_a_lease() -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        make_job("running", lease_until=None)


def test_a_verb_on_no_rows_returns_nothing() -> None:
    assert ledger.release(Job.objects.none()) == 0


def test_the_diagram_in_the_architecture_page_is_the_table() -> None:
    text = (Path(__file__).parents[2] / "ARCHITECTURE.md").read_text()
    drawn = set(re.findall(r"^\s+(\w+) --> (\w+): (.+)$", text, re.M))
    arrows = {(s.value, target.value) for sources, target in transitions.TRANSITIONS.values() for s in sources}
    assert {(source, target) for source, target, _ in drawn} == arrows
    named = {verb.strip() for _, _, verbs in drawn for verb in verbs.split(",")}
    assert named == set(transitions.TRANSITIONS)


def test_a_job_that_is_moved_while_it_runs_comes_back_at_the_new_time_and_not_when_it_meant_to() -> None:
    job = ledger.claim(make_job("queued").pk, "me:1")
    assert job
    sooner, later = timezone.now() + MINUTE, timezone.now() + HOUR
    assert ledger.reschedule({job.pk: (sooner, None)}) == set()  # it runs: moved it is not
    assert ledger.snooze(job, later, Attempt(outcome=Attempt.Outcome.SNOOZED))
    row = Job.objects.get()
    assert (row.state, row.run_at) == ("scheduled", sooner)


def test_a_job_that_was_moved_before_it_ran_may_snooze() -> None:
    waiting, later = make_job(), timezone.now() + HOUR
    ledger.reschedule({waiting.pk: (timezone.now() - MINUTE, None)})
    ledger.dispatch("default", ["probe.ok"], 10)
    job = ledger.claim(waiting.pk, "me:1")
    assert job and ledger.snooze(job, later, Attempt(outcome=Attempt.Outcome.SNOOZED))
    assert Job.objects.get().run_at == later
