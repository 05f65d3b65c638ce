"""Two verbs on one row at the same time: whoever comes second waits, looks again, and tells the truth.

READ COMMITTED evaluates an UPDATE's WHERE again after it waited for a lock. That makes each verb a compare-and-swap, in
both orders, and is what these tests rest on.
"""

import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError, connection, transaction
from django.utils import timezone

from jobs import dispatcher, holding, ledger, transitions
from jobs.ids import new_id
from jobs.models import Attempt, Job
from tests.factories import HOUR, MINUTE, make_job
from tests.races import PATIENCE, elsewhere, needs_postgresql, race, through_the_middle, until_it_waits

pytestmark = [needs_postgresql, pytest.mark.django_db(transaction=True, serialized_rollback=True)]
Act = Callable[[Job], Any]


def claim(job: Job) -> str:
    return "claimed" if ledger.claim(job.pk, "second:2") else "gone"


def cancel(job: Job) -> str:
    return ledger.cancel([job.pk], "olga said so")[job.pk]


def succeed(job: Job) -> bool:
    return ledger.succeed(job)


def back_off(job: Job) -> bool:
    return ledger.back_off(job, MINUTE, Attempt(outcome=Attempt.Outcome.ERRORED))


def snooze(job: Job) -> bool:
    return ledger.snooze(job, timezone.now() + HOUR, Attempt(outcome=Attempt.Outcome.SNOOZED))


def bury(job: Job) -> bool:
    """By somebody who knows that its process is gone."""
    return ledger.rescue(job, killed="its process is gone") is not None


def give_back(job: Job) -> bool:
    return ledger.give_back(job)


def rescue(job: Job) -> bool:
    return ledger.rescue(job) is not None


def beat(job: Job) -> int:
    return holding.beat([job.pk], job.worker)


def reschedule(job: Job) -> bool:
    return bool(ledger.reschedule({job.pk: (timezone.now() + HOUR, None)}))


def release(job: Job) -> int:
    return ledger.release(Job.objects.filter(pk=job.pk))


def dispatch(job: Job) -> int:
    return len(ledger.dispatch("default", ["probe.ok"], 10))


def expire(job: Job) -> int:
    return len(ledger.expire(now=timezone.now() + HOUR))


def retry(job: Job) -> bool:
    return bool(ledger.retry([job.pk]))


TWO_VERBS: list[tuple[str, Act, Act, tuple[Any, Any], str]] = [
    ("queued", claim, claim, ("claimed", "gone"), "running"),
    ("scheduled", dispatch, dispatch, (1, 0), "queued"),
    ("queued", cancel, claim, ("cancelled", "gone"), "cancelled"),
    ("queued", claim, cancel, ("claimed", "in flight"), "running"),
    ("scheduled", cancel, dispatch, ("cancelled", 0), "cancelled"),
    ("scheduled", dispatch, cancel, (1, "cancelled"), "cancelled"),
    ("scheduled", cancel, cancel, ("cancelled", "finished"), "cancelled"),
    ("running", cancel, succeed, ("in flight", True), "succeeded"),
    ("running", succeed, cancel, (True, "finished"), "succeeded"),
    ("running", cancel, back_off, ("in flight", True), "cancelled"),
    ("running", back_off, cancel, (True, "cancelled"), "cancelled"),
    ("running", rescue, succeed, (True, False), "scheduled"),
    ("running", succeed, rescue, (True, False), "succeeded"),
    ("running", rescue, rescue, (True, False), "scheduled"),
    ("running", rescue, beat, (True, 0), "scheduled"),
    ("running", beat, rescue, (1, False), "running"),
    ("running", cancel, rescue, ("in flight", False), "running"),  # a locked row is left for the next pass
    ("running", rescue, cancel, (True, "cancelled"), "cancelled"),
    ("queued", reschedule, claim, (True, "gone"), "scheduled"),
    ("queued", claim, reschedule, ("claimed", False), "running"),
    ("queued", release, claim, (1, "gone"), "scheduled"),
    ("queued", claim, release, ("claimed", 0), "running"),
    ("queued", expire, claim, (1, "gone"), "expired"),
    ("queued", claim, expire, ("claimed", 0), "running"),
    ("asked to stop", retry, back_off, (False, True), "scheduled"),
    ("asked to stop", back_off, retry, (True, True), "scheduled"),
    ("asked to stop", retry, give_back, (False, True), "scheduled"),
    ("asked to stop", retry, snooze, (False, True), "scheduled"),
    ("asked to stop", retry, bury, (False, True), "scheduled"),
    ("running", cancel, snooze, ("in flight", True), "cancelled"),
    ("running", cancel, bury, ("in flight", True), "cancelled"),  # nobody else would find it before its lease is over
    ("running", cancel, give_back, ("in flight", True), "cancelled"),
    ("running", give_back, cancel, (True, "cancelled"), "cancelled"),
    ("cancelled", retry, retry, (True, False), "scheduled"),
    ("cancelled", retry, cancel, (True, "finished"), "scheduled"),  # the cancel came before the retry
]


@pytest.mark.parametrize(
    ("state", "first", "second", "answers", "ends"),
    TWO_VERBS,
    ids=[f"{state}-{first.__name__}-{second.__name__}" for state, first, second, *_ in TWO_VERBS],
)
def test_of_two_verbs_at_once_the_second_sees_what_the_first_did(
    state: str, first: Act, second: Act, answers: tuple[Any, Any], ends: str
) -> None:
    asked = state == "asked to stop"
    state = "running" if asked else state
    job = make_job(state, lease="over", useful_until=timezone.now() + MINUTE, cancel_requested=asked)
    assert race(lambda: first(job), lambda: second(job)) == answers
    assert Job.objects.get(pk=job.pk).state == ends


def test_two_dispatchers_share_the_work_without_waiting_for_each_other() -> None:
    jobs = {make_job().pk for _ in range(4)}
    with transaction.atomic():
        first = ledger.dispatch("default", ["probe.ok"], 1)
        with elsewhere(lambda: ledger.dispatch("default", ["probe.ok"], 10)) as (second, _):
            others = second.result(PATIENCE)  # while the first still holds its row
    assert (len(first), len(others)) == (1, 3) and {job.pk for job in [*first, *others]} == jobs


def test_nothing_slips_through_between_the_two_statements_of_a_cancel(monkeypatch: pytest.MonkeyPatch) -> None:
    job, move = make_job("running"), transitions.move
    began = elsewhere(lambda: back_off(job))

    def then(rows: Any, verb: str, **changes: Any) -> list[Job]:
        moved = move(rows, verb, **changes)
        if verb == "cancel":
            until_it_waits(*began.__enter__())
        return moved

    monkeypatch.setattr(ledger, "move", then)
    assert cancel(job) == "in flight"
    began.__exit__(None, None, None)
    assert Job.objects.get(pk=job.pk).state == "cancelled"


def test_a_retry_between_the_two_statements_of_a_cancel_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever retried it knew that it was over; the cancel did not mean the new run."""
    job, move = make_job("failed"), transitions.move

    def retried_before(rows: Any, verb: str, **changes: Any) -> list[Job]:
        if verb == "cancel":
            with elsewhere(lambda: retry(job)) as (retried, _):
                assert retried.result(PATIENCE)
        return move(rows, verb, **changes)

    with monkeypatch.context() as patched:
        patched.setattr(ledger, "move", retried_before)
        assert cancel(job) == "finished"
    assert Job.objects.get(pk=job.pk).state == "scheduled"


def test_a_message_goes_out_when_its_row_is_committed(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    def as_a_worker_sees_it(jobs: list[Job], producer: Any) -> None:
        (job,) = jobs
        with elsewhere(lambda: Job.objects.get(pk=job.pk).state) as (state, _):
            seen.append(state.result(PATIENCE))

    monkeypatch.setattr("jobs.messages._send", as_a_worker_sees_it)
    make_job()
    dispatcher.dispatch_due()
    assert seen == ["queued"]


def test_the_same_unique_key_twice_at_once_is_one_job() -> None:
    def enqueue() -> Job:
        return ledger.enqueue(Job(task="probe.ok", queue="default", run_at=timezone.now(), unique_key="welcome-7"))

    first, second = race(enqueue, enqueue)
    assert first.pk == second.pk == Job.objects.get().pk


def many_in_reverse(state: str, **fields: Any) -> list[Any]:
    """Ids in their order, of rows that lie in the table the other way round."""
    ids = sorted(new_id() for _ in range(9))
    for pk in ids[::-1]:
        make_job(state, id=pk, **fields)
    return ids


@pytest.mark.parametrize(
    ("state", "first", "second"),
    [
        ("scheduled", lambda ids: ledger.cancel(ids, "one"), lambda ids: ledger.cancel(ids[::-1], "two")),
        ("running", lambda ids: ledger.cancel(ids, "one"), lambda ids: holding.beat(ids[::-1], "one:1")),
        ("scheduled", lambda ids: ledger.cancel(ids, "one"), lambda ids: len(ledger.reschedule(moved(ids)))),
        ("cancelled", lambda ids: len(ledger.retry(ids)), lambda ids: len(ledger.retry(ids[::-1]))),
        ("running", lambda ids: ledger.cancel(ids, "one"), lambda ids: ledger.succeed_many(rows(ids))),
        ("queued", lambda ids: ledger.cancel(ids, "one"), lambda ids: len(ledger.claim_many(ids[::-1], "one:1"))),
    ],
    ids=["cancel-cancel", "cancel-beat", "cancel-reschedule", "retry-retry", "cancel-succeed", "cancel-claim"],
)
def test_verbs_on_many_rows_at_once_do_not_deadlock(
    state: str, first: Callable[[list[Any]], Any], second: Callable[[list[Any]], Any]
) -> None:
    ids = many_in_reverse(state, worker="one:1")
    answers = through_the_middle(Job.objects.filter(pk=ids[4]), lambda: first(ids), lambda: second(ids))
    assert not [answer for answer in answers if isinstance(answer, Exception)]


def moved(ids: list[Any]) -> dict[Any, Any]:
    return dict.fromkeys(ids[::-1], (timezone.now() + HOUR, None))


def rows(ids: list[Any]) -> list[Job]:
    return list(Job.objects.filter(pk__in=ids).order_by("-pk"))


def test_a_cancel_and_a_move_of_many_at_once_leave_nothing_between() -> None:
    ids = [make_job().pk for _ in range(50)]
    later = timezone.now() + timedelta(days=1)
    moved, told = race(
        lambda: ledger.reschedule(dict.fromkeys(ids[:30], (later, None))), lambda: ledger.cancel(ids[20:][::-1], "no")
    )
    assert len(moved) == 30 and set(told.values()) == {"cancelled"}
    assert set(Job.objects.filter(run_at=later, state="scheduled").values_list("pk", flat=True)) == set(ids[:20])


def test_under_repeatable_read_the_second_is_refused_instead_of_looking_again() -> None:
    """Whoever runs with another isolation gets an error, never a lost update."""
    job = make_job("queued")

    def claim_from_an_old_snapshot() -> str:
        with suppress(OperationalError), transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            assert Job.objects.get(pk=job.pk).state == "queued"
            old.set()
            assert changed.wait(PATIENCE)
            return claim(job)
        return "refused"

    old, changed = threading.Event(), threading.Event()
    with elsewhere(claim_from_an_old_snapshot) as (future, _):
        assert old.wait(PATIENCE)
        assert claim(job) == "claimed"
        changed.set()
        assert future.result(PATIENCE) == "refused"
    assert Job.objects.get(pk=job.pk).token == 1
