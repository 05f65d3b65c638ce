"""Celery's canvas on durable tasks: chains, groups, chords and callbacks are rows, and a rerun forks none of them."""

import uuid
from typing import Any

import pytest
from celery import chain, chord, group
from django.db.models import F
from django.utils import timezone

from jobs import canvas, dispatcher, groups, ledger, rescuer
from jobs.models import Group, Job
from tests import probes
from tests.factories import HOUR, MINUTE
from tests.probes import add, fail, small, told, total

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _nothing_ran() -> None:
    probes.RAN.clear()


def of(task: Any) -> Job:
    return Job.objects.get(task=task.name)


def ran(name: str) -> list[Any]:
    return [value for kind, value in probes.RAN if kind == name]


def test_a_chain_runs_step_by_step_and_the_next_step_is_no_row_before_its_parent_succeeded(worker) -> None:
    result: Any = (add.s(1, 2) | add.s(3) | add.s(4)).apply_async()
    for steps in (1, 2, 3):
        assert Job.objects.count() == steps
        worker.run_due()
    assert ran("add") == [(1, 2), (3, 3), (6, 4)]
    assert result.get(timeout=60) == 10
    assert result.parent.parent.get(timeout=60) == 3


def test_cancelling_a_job_cancels_what_waits_for_it_in_a_chain(worker) -> None:
    (add.s(1, 2) | add.s(3)).apply_async()
    ledger.cancel([Job.objects.get().pk], "no")
    worker.drain()
    assert Job.objects.count() == 1 and probes.RAN == []


def test_who_waits_for_a_later_step_of_a_chain_hears_that_an_earlier_one_failed(worker) -> None:
    result: Any = (fail.si("broken") | add.si(1, 1)).apply_async()
    worker.run_due()
    with pytest.raises(probes.Flaky, match="broken"):
        result.get(timeout=60)
    assert Job.objects.count() == 1


def test_a_chain_does_not_fork_when_its_worker_dies_between_the_next_step_and_its_own_success(worker, monkeypatch):
    """The next step is inserted, then the process is gone: the job runs again and finds it there."""
    chain(add.s(1, 2), add.s(3), add.s(4)).apply_async(link=told.si("linked"))
    monkeypatch.setattr("jobs.executor.record", lambda verdict: "the process is dead")
    worker.run_due()
    assert Job.objects.count() == 2
    monkeypatch.undo()
    Job.objects.filter(state="running").update(lease_until=timezone.now() - MINUTE)
    rescuer.rescue_lost()
    worker.drain()
    assert sorted(ran("add")) == [(1, 2), (1, 2), (3, 3), (6, 4)]  # the first step twice, the next ones once
    assert set(Job.objects.values_list("state", flat=True)) == {"succeeded"}


@pytest.mark.parametrize(
    "callback", [told.si("x"), group(told.si("x"), told.si("y")), chain(told.si("x"), told.si("y"))]
)
def test_a_callback_is_called_once_though_its_parent_ran_twice(worker, monkeypatch, callback: Any) -> None:
    add.apply_async((1, 2), link=[callback, add.s(10)])
    with monkeypatch.context() as dying:
        dying.setattr("jobs.executor.record", lambda verdict: "the process is dead")
        worker.run_due()
    rows = Job.objects.count()
    Job.objects.filter(state="running").update(state="scheduled", lease_until=None)
    worker.drain()
    assert ran("add").count((3, 10)) == 1
    assert len(ran("told")) == (1 if callback.subtask_type is None else 2)
    assert Job.objects.count() - rows <= 1  # only a chain's second step is new


def test_a_callback_gets_the_result_and_knows_its_parent(worker) -> None:
    handle: Any = add.apply_async((1, 2), link=add.s(10))
    worker.drain()
    child = Job.objects.get(args=[3, 10])
    assert child.options["parent_id"] == handle.id and child.options["root_id"] == handle.id
    assert child.result == 13


def test_an_errback_is_called_with_the_failed_jobs_id_in_the_transaction_that_says_it_failed(worker) -> None:
    handle: Any = fail.apply_async(("broken",), link_error=[told.s(), told.si("fixed")])
    worker.run_due()
    assert Job.objects.filter(task="probe.told").count() == 2
    worker.drain()
    assert sorted(ran("told")) == sorted([handle.id, "fixed"])


def test_an_errback_is_called_for_a_job_that_no_worker_survives(worker) -> None:
    fail.apply_async(link_error=told.s())
    dispatcher.dispatch_due()
    Job.objects.update(state="running", lease_until=timezone.now() - MINUTE, max_attempts=1)
    rescuer.rescue_lost()
    assert of(fail).state == "failed" and of(told).args == [str(of(fail).pk)]


def test_an_errback_that_cannot_be_called_does_not_undo_the_failure(worker, caplog) -> None:
    Job.objects.update_or_create(
        pk=uuid.UUID(fail.delay().id), defaults={"options": {"link_error": [{"task": "gone", "args": [], "kwargs": {},
        "options": {}, "subtask_type": None, "immutable": False}]}}
    )  # fmt: skip
    worker.run_due()
    assert of(fail).state == "failed"


def test_an_attempt_that_is_tried_again_calls_no_errback(worker) -> None:
    probes.flaky.apply_async(link_error=told.s())
    worker.run_due()
    assert not Job.objects.filter(task="probe.told").exists()


def test_a_group_is_a_row_for_each_call_and_its_results_come_in_order(worker) -> None:
    result: Any = group(add.s(n, n) for n in range(5)).apply_async()
    assert Job.objects.filter(group_id=result.id).count() == 5
    assert not result.ready()
    worker.drain()
    assert result.successful() and result.get(timeout=60) == [0, 2, 4, 6, 8]


def test_a_chords_body_runs_once_with_the_results_in_order(worker) -> None:
    result: Any = chord([add.s(n, 0) for n in range(4)])(total.s())
    assert Job.objects.count() == 4
    dispatcher.dispatch_due()
    for message in reversed(worker.messages()):
        worker.run(message)
    worker.drain()
    assert ran("total") == [[0, 1, 2, 3]]
    assert result.get(timeout=60) == 6


def test_the_two_last_of_a_header_insert_the_body_once(worker) -> None:
    from jobs import groups

    chord([add.s(1, 1), add.s(2, 2)])(total.s())
    worker.drain()
    (waiting,) = Group.objects.all()
    assert not groups.end(waiting.pk) and rescuer.rescue_lost().settled == 0
    Group.objects.update(finished_at=None)  # even the one who has not seen the other's commit
    groups.end(waiting.pk)
    assert Job.objects.filter(task="probe.total").count() == 1


def test_a_chord_of_small_jobs_that_share_a_message(worker) -> None:
    chord([small.s(n) for n in (0, 1, 2)])(total.s())
    dispatcher.dispatch_due()
    (message,) = worker.messages()
    worker.run(message)
    worker.drain()
    assert ran("total") == [[0, 2, 4]]


def test_a_header_job_that_fails_ends_the_body_and_calls_its_errback_once(worker) -> None:
    body = total.s().on_error(told.s())
    result: Any = chord([add.s(1, 1), fail.s("broken"), fail.s("twice")])(body)
    worker.drain()
    assert of(total).state == "cancelled" and "failed: Flaky: " in of(total).reason
    assert result.state == "REVOKED" and ran("total") == []
    assert ran("told") == [str(of(total).pk)]


@pytest.mark.parametrize("end", ["cancelled", "expired"])
def test_a_header_job_that_is_cancelled_or_expires_ends_the_body_too(worker, end: str) -> None:
    chord([add.s(1, 1), add.s(2, 2).set(expires=60)])(total.s())
    if end == "cancelled":
        ledger.cancel([Job.objects.latest("created_at").pk], "changed our mind")
        rescuer.rescue_lost()
    else:
        rescuer.rescue_lost(timezone.now() + HOUR)
    assert of(total).state == "cancelled" and f"of its group {end}" in of(total).reason
    worker.drain()
    assert ran("total") == []


def test_a_body_whose_settler_died_is_found_by_the_rescuer(worker, monkeypatch) -> None:
    chord([add.s(1, 1), add.s(2, 2)])(total.s())
    monkeypatch.setattr("jobs.groups.settle", lambda jobs: None)
    worker.drain()
    assert not Job.objects.filter(task="probe.total").exists()
    assert rescuer.rescue_lost().settled == 1
    worker.drain()
    assert ran("total") == [[2, 4]]


def test_a_chord_in_a_chain_and_a_chain_in_a_chord(worker) -> None:
    header = group(chain(add.s(1), add.s(1)), add.s(10))
    steps: Any = add.s(0, 1) | header | total.s() | add.s(100)
    result = steps.apply_async()
    worker.drain()
    assert ran("total") == [[3, 11]]
    assert result.get(timeout=60) == 114


def test_a_chain_that_breaks_before_its_chords_member_ends_the_body(worker) -> None:
    chord([chain(fail.si("early"), add.si(1, 1)), add.s(2, 2)])(total.s())
    worker.drain()
    assert of(total).state == "cancelled" and "Flaky: early" in of(total).reason


def test_a_chord_inside_a_chord(worker) -> None:
    inner = chord([add.s(1, 1), add.s(2, 2)], total.s())
    result: Any = chord([inner, add.s(3, 3)])(total.s())
    worker.drain()
    assert ran("total") == [[2, 4], [6, 6]]
    assert result.get(timeout=60) == 12


def test_the_failure_of_an_inner_chord_ends_the_outer_one(worker) -> None:
    inner = chord([add.s(1, 1), fail.s("deep")], total.s())
    outer: Any = chord([inner, add.s(3, 3)])(total.s())
    worker.drain()
    assert outer.state == "REVOKED" or rescuer.rescue_lost().settled
    assert [job.state for job in Job.objects.filter(task="probe.total")] == ["cancelled", "cancelled"]


def test_a_chord_is_durable_altogether_or_not_at_all(worker) -> None:
    with pytest.raises(TypeError, match="or none of them"):
        chord([add.s(1, 1)])(probes.plain.s())
    with pytest.raises(TypeError, match="or none of them"):
        chord([add.s(1, 1), probes.plain.s(1)])(total.s())
    assert not Job.objects.exists()


def test_a_plain_celery_task_may_follow_a_job_and_is_published_by_its_worker(worker) -> None:
    add.apply_async((1, 2), link=probes.plain.s())
    worker.run_due()
    (message,) = worker.messages()
    assert message.headers["task"] == "probe.plain" and Job.objects.count() == 1


def test_results_that_the_body_does_not_take_end_it_with_the_reason(worker) -> None:
    chord([probes.ok.s("no number"), add.s(1, 1)])(total.s())
    worker.drain()
    assert of(total).state == "cancelled" and "cannot be called" in of(total).reason


def test_canvas_survives_a_generator_and_values_that_json_has_no_word_for(worker) -> None:
    when = timezone.now()
    add.apply_async((1, 2), link=group(told.si(str(n)) for n in range(2)))
    add.apply_async((1, 2), link=probes.typed.si(7, when=when).set(eta=when))
    worker.drain()
    assert sorted(ran("told")) == ["0", "1"] and ran("typed") == [(7, when)]
    assert Job.objects.exclude(token=F("failures") + 1).count() == 0


def test_a_group_is_not_over_before_it_is_known_how_large_it_is(worker) -> None:
    """Celery inserts the header job by job and says their number last."""
    waiting = Group.objects.create(body=canvas.plain(total.s()))
    job = add.apply_async((1, 1), group_id=str(waiting.pk), group_index=0)
    worker.drain()
    assert not groups.end(waiting.pk) and groups.sweep(10) == 0
    Group.objects.update(size=1)
    assert groups.end(waiting.pk)
    worker.drain()
    assert job.state == "SUCCESS" and ran("total") == [[2]]
