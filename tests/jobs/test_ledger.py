"""The verbs, called directly. A verb that finds its guard unmet changes nothing."""

import json
import re
import uuid
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import IntegrityError, OperationalError, transaction
from django.db.models import Q
from django.utils import timezone

from jobs import canvas, holding, leases, ledger, transitions
from jobs.models import Attempt, Job
from tests.factories import HOUR, MINUTE, make_job

pytestmark = pytest.mark.django_db

ALL = [state.value for state in Job.State]


def state(job: Job) -> str:
    return Job.objects.values_list("state", flat=True).get(pk=job.pk)


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


def test_a_job_is_claimed_once() -> None:
    job = make_job("queued")
    assert ledger.claim(job.pk, "one:1")
    assert ledger.claim(job.pk, "two:2") is None


def test_a_job_with_a_cancel_asked_for_is_not_claimed() -> None:
    job = make_job("queued", cancel_requested=True)
    assert ledger.claim(job.pk, "me") is None


def test_a_claim_begins_a_lease_and_forgets_the_messages_sent_in_vain() -> None:
    now = timezone.now()
    job = make_job("queued", nudges=5, lease_until=now + HOUR)
    assert ledger.claim(job.pk, "me:1", now=now)
    job.refresh_from_db()
    assert (job.lease_until, job.nudges, job.started_at) == (now + leases.LEASE, 0, now)


def test_a_worker_that_beats_keeps_its_job_from_the_rescuer() -> None:
    seen = make_job("running", lease="over", worker="alive:1")
    assert holding.beat([seen.pk], "alive:1") == 1
    assert ledger.rescue(seen) is None
    assert state(seen) == "running"


def test_another_workers_heartbeat_does_not_extend_a_lease() -> None:
    seen = make_job("running", lease="over", worker="dead:1")
    assert holding.beat([seen.pk], "other:2") == 0
    assert ledger.rescue(seen)


def test_two_rescuers_that_saw_the_same_row_rescue_it_once() -> None:
    seen = make_job("running", lease="over")
    assert ledger.rescue(seen)
    assert ledger.rescue(seen) is None
    assert Job.objects.get(pk=seen.pk).failures == 1


def test_a_job_whose_lease_still_runs_is_not_rescued() -> None:
    seen = make_job("running", lease="live")
    assert ledger.rescue(seen) is None
    assert state(seen) == "running"


def test_a_lease_that_was_prolonged_and_ran_out_again_is_not_the_one_that_was_seen() -> None:
    """A rescuer that was stopped for long between reading and writing has to look again."""
    seen = make_job("running", lease="over", worker="slow:1")
    assert holding.beat([seen.pk], "slow:1", now=timezone.now() - leases.LEASE - timedelta(seconds=1))
    assert ledger.rescue(seen) is None
    assert ledger.rescue(Job.objects.get(pk=seen.pk))


def test_a_job_whose_worker_is_lost_too_often_fails_with_the_reason() -> None:
    job = make_job("running", lease="over", failures=2, max_attempts=3, worker="oom:1")
    ledger.rescue(job)
    job.refresh_from_db()
    assert job.state == "failed" and "worker was lost (oom:1)" in job.reason
    assert (job.attempts.get().outcome, job.attempts.get().worker) == ("lost", "oom:1")


def test_a_cancel_of_a_waiting_job_is_final() -> None:
    job = make_job("queued")
    assert ledger.cancel([job.pk], "closed tomorrow") == {job.pk: "cancelled"}
    assert ledger.claim(job.pk, "me") is None
    assert Job.objects.get(pk=job.pk).reason == "closed tomorrow"


def test_a_cancel_of_a_running_job_says_in_flight_and_wins_over_a_retry() -> None:
    job = make_job("queued")
    held = ledger.claim(job.pk, "me")
    assert held
    assert ledger.cancel([job.pk], "no") == {job.pk: "in flight"}
    assert ledger.back_off(held, MINUTE, Attempt(outcome=Attempt.Outcome.ERRORED))
    assert state(job) == "cancelled"
    assert job.attempts.get().outcome == "stopped"


def test_a_cancel_is_whole_or_not_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the flag alone it would wait for ever: neither dispatched nor over."""
    job = make_job()

    def away(*_: Any, **__: Any) -> None:
        raise OperationalError("server closed the connection unexpectedly")

    monkeypatch.setattr(ledger, "move", away)
    with pytest.raises(OperationalError):
        ledger.cancel([job.pk], "olga said so")
    job.refresh_from_db()
    assert (job.state, job.cancel_requested) == ("scheduled", False)


def test_a_cancel_wins_over_a_snooze() -> None:
    job = make_job("running")
    ledger.cancel([job.pk], "no")
    assert ledger.snooze(job, timezone.now() + HOUR, Attempt(outcome=Attempt.Outcome.SNOOZED))
    assert (state(job), job.attempts.get().outcome) == ("cancelled", "stopped")


def test_a_job_stops_only_if_it_was_asked_to() -> None:
    job = make_job("running")
    assert not ledger.stop(job, Attempt(outcome=Attempt.Outcome.STOPPED))
    assert state(job) == "running"


def test_a_cancel_of_a_running_job_whose_worker_dies_is_not_forgotten() -> None:
    job = make_job("running", lease="over")
    ledger.cancel([job.pk], "no")
    ledger.rescue(Job.objects.get(pk=job.pk))
    assert state(job) == "cancelled"


def test_a_cancel_of_a_finished_job_says_finished_and_of_an_unknown_one_nothing() -> None:
    job = make_job("succeeded")
    assert ledger.cancel([job.pk, uuid.uuid4()], "no") == {job.pk: "finished"}


def test_a_cancel_leaves_no_mark_on_what_was_over() -> None:
    job = make_job("failed")
    ledger.cancel([job.pk], "no")
    assert not Job.objects.get(pk=job.pk).cancel_requested


def test_a_job_with_a_cancel_asked_for_is_not_moved() -> None:
    job = make_job("queued", cancel_requested=True)
    assert ledger.reschedule({job.pk: (timezone.now() + HOUR, None)}) == set()


def test_nothing_runs_before_its_time() -> None:
    make_job(due=MINUTE)
    assert ledger.dispatch("default", ["probe.ok"], 10) == []


@pytest.mark.parametrize(
    "fields",
    [
        {"queue": "messages"},
        {"task": "gone.task"},
        {"useful_until": timezone.now() - MINUTE},
        {"cancel_requested": True},
        {"run_at": timezone.now() + HOUR},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_a_dispatch_takes_nothing_that_it_was_not_asked_for(fields: dict[str, Any]) -> None:
    make_job(**fields)
    assert ledger.dispatch("default", ["probe.ok"], 10) == []


def test_of_the_due_jobs_only_those_that_were_chosen_go() -> None:
    make_job(priority=20)
    chosen = make_job()
    assert [job.pk for job in ledger.dispatch("default", ["probe.ok"], 10, Q(pk=chosen.pk))] == [chosen.pk]


def test_the_window_bounds_how_many_are_queued_and_the_urgent_go_first() -> None:
    low = [make_job(priority=1) for _ in range(3)]
    high = make_job(priority=10)
    assert [job.pk for job in ledger.dispatch("default", ["probe.ok"], 1)] == [high.pk]
    assert len(ledger.dispatch("default", ["probe.ok"], 2)) == 2
    assert sum(state(job) == "queued" for job in low) == 2


def test_what_is_dispatched_together_is_published_in_its_order() -> None:
    for priority in (1, 20, 5, 10):
        make_job(priority=priority)
    assert [job.priority for job in ledger.dispatch("default", ["probe.ok"], 10)] == [20, 10, 5, 1]


def test_a_job_without_code_is_not_dispatched_and_fails_after_an_hour() -> None:
    job = make_job(task="gone.task", due=-2 * HOUR)
    assert ledger.dispatch("default", ["probe.ok"], 10) == []
    assert [rejected.pk for rejected in ledger.reject(["probe.ok"], ["default"], HOUR)] == [job.pk]
    assert "deploy its code" in Job.objects.get(pk=job.pk).reason


@pytest.mark.parametrize(
    ("fields", "overdue"),
    [
        ({}, 2 * HOUR),  # known
        ({"task": "gone.task"}, HOUR - MINUTE),  # maybe its worker is being deployed
        ({"queue": "gone"}, HOUR - MINUTE),
    ],
)
def test_only_what_nobody_could_run_for_an_hour_is_rejected(fields: dict[str, Any], overdue: timedelta) -> None:
    job = make_job(due=-overdue, **fields)
    assert ledger.reject(["probe.ok"], ["default"], HOUR) == []
    assert state(job) == "scheduled"


def test_a_rejected_job_whose_errback_cannot_be_stored_is_not_rejected_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    job = make_job(task="gone", due=-2 * HOUR)

    def away(*_: Any) -> None:
        raise OperationalError("server closed the connection unexpectedly")

    monkeypatch.setattr(canvas, "call_errbacks", away)
    with pytest.raises(OperationalError):
        ledger.reject(["probe.ok"], ["default"], HOUR)
    assert state(job) == "scheduled"


def test_what_no_queue_serves_is_rejected_too() -> None:
    job = make_job(queue="nobodys", due=-2 * HOUR)
    assert [rejected.pk for rejected in ledger.reject(["probe.ok"], ["default"], HOUR)] == [job.pk]


def test_what_is_no_longer_useful_expires_and_is_not_claimed() -> None:
    job = make_job("queued", useful_until=timezone.now() - MINUTE)
    assert ledger.claim(job.pk, "me") is None
    assert [expired.pk for expired in ledger.expire()] == [job.pk]


def test_what_is_still_useful_does_not_expire() -> None:
    make_job(), make_job("queued", useful_until=timezone.now() + MINUTE)
    assert ledger.expire() == []


def test_an_unclaimed_message_is_believed_twice_as_long_each_time() -> None:
    now = timezone.now()
    job = make_job()
    waits = []
    for _ in range(3):
        (queued,) = ledger.dispatch("default", ["probe.ok"], 1, now=now)
        assert queued.lease_until
        waits.append((queued.lease_until - now) / leases.LEASE)
        ledger.release(Job.objects.filter(pk=job.pk))
    assert waits == [1, 2, 4]


def test_a_unique_key_makes_the_second_call_return_the_first_job() -> None:
    now = timezone.now()
    first = ledger.enqueue(Job(task="probe.ok", queue="default", run_at=now, unique_key="welcome-7"))
    second = ledger.enqueue(Job(task="probe.ok", queue="default", run_at=now, unique_key="welcome-7"))
    assert first.pk == second.pk
    assert Job.objects.count() == 1


def test_a_unique_key_is_its_tenants_and_stops_no_other() -> None:
    now = timezone.now()
    calls = [
        ledger.enqueue(Job(task="probe.ok", queue="default", run_at=now, unique_key="welcome-7", tenant=tenant)).pk
        for tenant in ("a", "b", "", "a")
    ]
    assert len(set(calls)) == 3 and calls[0] == calls[3]
    assert Job.objects.count() == 3


def test_enqueueing_in_a_transaction_that_is_rolled_back_leaves_nothing() -> None:
    with pytest.raises(RuntimeError), transaction.atomic():
        ledger.enqueue(Job(task="probe.ok", queue="default", run_at=timezone.now()))
        raise RuntimeError
    assert Job.objects.count() == 0


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


def test_a_job_that_still_runs_is_no_longer_asked_to_stop_when_a_person_wants_it_after_all() -> None:
    job = make_job("running")
    ledger.cancel([job.pk], "no")
    assert ledger.retry([job.pk]) == set()
    assert ledger.back_off(job, MINUTE, Attempt(outcome=Attempt.Outcome.ERRORED))
    assert state(job) == "scheduled"


def test_a_job_cannot_be_held_without_a_lease() -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        make_job("running", lease_until=None)


def test_a_verb_on_no_rows_returns_nothing() -> None:
    assert ledger.release(Job.objects.none()) == 0


def test_many_jobs_are_inserted_and_moved_with_a_few_statements(django_assert_max_num_queries) -> None:
    now = timezone.now()
    jobs = [Job(task="probe.ok", queue="default", run_at=now, args=[n]) for n in range(1_000)]
    with django_assert_max_num_queries(40):  # SQLite takes 37 rows of this width per statement, PostgreSQL 500
        ledger.enqueue_many(jobs)
    later = {job.pk: (now + timedelta(seconds=n), None) for n, job in enumerate(jobs[:100])}
    with django_assert_max_num_queries(4):
        assert len(ledger.reschedule(later)) == 100
    with django_assert_max_num_queries(6):
        assert set(ledger.cancel([job.pk for job in jobs[:400]], "x").values()) == {"cancelled"}


def test_the_diagram_in_the_architecture_page_is_the_table() -> None:
    text = (Path(__file__).parents[2] / "ARCHITECTURE.md").read_text()
    drawn = set(re.findall(r"^\s+(\w+) --> (\w+): (.+)$", text, re.M))
    arrows = {(s.value, target.value) for sources, target in transitions.TRANSITIONS.values() for s in sources}
    assert {(source, target) for source, target, _ in drawn} == arrows
    named = {verb.strip() for _, _, verbs in drawn for verb in verbs.split(",")}
    assert named == set(transitions.TRANSITIONS)


def test_arguments_survive_the_row() -> None:
    kept = {"umlaut": "Größe", "emoji": "🕙", "nested": [{"a": None}]}
    job = make_job(kwargs=kept)
    assert json.dumps(Job.objects.get(pk=job.pk).kwargs, sort_keys=True) == json.dumps(kept, sort_keys=True)


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
