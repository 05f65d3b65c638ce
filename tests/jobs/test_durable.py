"""A call of a durable task is a row, and what the row runs is a Celery task in every respect."""

from datetime import UTC, datetime

import pytest
from celery import signals
from celery.exceptions import Ignore
from django.db import transaction
from django.utils import timezone

from jobs import bulk, dispatcher, testing
from jobs.models import Job
from jobs.payload import PayloadError
from tests import probes
from tests.conftest import InProcessWorker
from tests.factories import HOUR, MINUTE, make_job

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _nothing_ran() -> None:
    probes.RAN.clear()


def only() -> Job:
    return Job.objects.get()


def test_delay_inserts_a_row_and_sends_nothing(worker: InProcessWorker) -> None:
    handle = probes.ok.delay(7, note="hi")
    job = only()
    assert str(job.pk) == handle.id
    assert (job.task, job.args, job.kwargs, job.state) == ("probe.ok", [7], {"note": "hi"}, "scheduled")
    assert worker.messages() == []


def test_a_job_runs_and_its_result_is_kept(worker: InProcessWorker) -> None:
    probes.ok.delay({"a": [1, "zwölf"]})
    worker.run_due()
    job = only()
    assert (job.state, job.result, job.token) == ("succeeded", {"a": [1, "zwölf"]}, 1)
    assert job.finished_at and job.lease_until is None
    assert job.attempts.count() == 0


def test_a_rollback_takes_the_job_along(worker: InProcessWorker) -> None:
    with pytest.raises(RuntimeError), transaction.atomic():
        probes.ok.delay()
        raise RuntimeError
    assert not Job.objects.exists()


def test_the_message_carries_the_id_and_no_arguments(worker: InProcessWorker) -> None:
    probes.ok.delay("alice@example.com")
    dispatcher.dispatch_due()
    (message,) = worker.messages()
    assert message.headers["id"] == str(only().pk)
    assert message.headers["task"] == "probe.ok"
    assert "alice" not in str(message.headers) + str(message.body)
    assert len(str(message.headers)) + len(message.body) < 1024


def test_a_shadow_is_the_name_that_people_see_and_the_task_runs(worker: InProcessWorker) -> None:
    probes.ok.apply_async((1,), shadow="the monthly report")
    assert (only().name, only().task) == ("the monthly report", "probe.ok")
    dispatcher.dispatch_due()
    (message,) = worker.messages()
    assert (message.headers["shadow"], message.headers["task"]) == ("the monthly report", "probe.ok")
    worker.run(message)
    assert probes.RAN == [("ok", 1)]


def test_nothing_starts_before_its_eta(worker: InProcessWorker) -> None:
    now = timezone.now()
    probes.ok.apply_async(eta=now + HOUR)
    probes.ok.apply_async(countdown=3600)
    assert worker.run_due(now + HOUR - MINUTE) == []
    assert len(worker.run_due(now + HOUR + MINUTE)) == 2


def test_a_second_message_for_a_job_is_dropped(worker: InProcessWorker) -> None:
    probes.ok.delay(1)
    dispatcher.dispatch_due()
    (message,) = worker.messages()
    worker.run(message)
    failed, value, _ = worker.run(message)
    assert failed and isinstance(value.exception.exc, Ignore)
    assert probes.RAN == [("ok", 1)]


def test_a_cancelled_job_does_not_run_though_its_message_is_out(worker: InProcessWorker) -> None:
    from jobs import ledger

    probes.ok.delay(1)
    dispatcher.dispatch_due()
    ledger.cancel([only().pk], "no")
    worker.run_all()
    assert probes.RAN == []


def test_an_error_without_autoretry_fails_at_once_and_is_kept(worker: InProcessWorker) -> None:
    probes.fail.delay("broken")
    worker.run_due()
    job = only()
    assert (job.state, job.failures, job.reason) == ("failed", 1, "Flaky: broken")
    attempt = job.attempts.get()
    assert attempt.outcome == "errored" and "raise Flaky" in attempt.traceback and attempt.duration


def test_autoretry_backs_off_exponentially_in_the_row_and_gives_up(worker: InProcessWorker) -> None:
    waits = []
    with testing.frozen(timezone.now()) as clock:
        probes.flaky.delay()
        for _ in range(2):
            worker.run_due()
            job = only()
            assert job.state == "scheduled"
            waits.append((job.run_at - clock.now).total_seconds())
            clock.move_to(job.run_at)
        worker.run_due()
    job = only()
    assert waits == [30, 60]
    assert (job.state, job.failures, job.token) == ("failed", 3, 3)
    assert [attempt.number for attempt in job.attempts.all()] == [1, 2, 3]


def test_every_attempt_names_its_worker_and_the_class_of_its_error(worker: InProcessWorker) -> None:
    probes.flaky.delay()
    for _ in range(3):
        Job.objects.update(run_at=timezone.now() - MINUTE)
        worker.run_due()
    assert [attempt.worker for attempt in only().attempts.all()] == [only().worker] * 3
    assert {attempt.exception for attempt in only().attempts.all()} == {"tests.probes.Flaky"}


def test_dont_autoretry_for_is_respected(worker: InProcessWorker) -> None:
    probes.permanent.delay()
    worker.run_due()
    assert only().state == "failed"


def test_retry_with_other_arguments_runs_with_them(worker: InProcessWorker) -> None:
    probes.again.delay(0)
    worker.run_due()
    assert only().args == [1]
    Job.objects.update(run_at=timezone.now() - MINUTE)
    worker.run_due()
    assert (only().state, only().result) == ("succeeded", 1)


def test_a_snooze_is_not_a_failure(worker: InProcessWorker) -> None:
    until = timezone.now() + HOUR
    probes.snooze.delay(until.isoformat())
    worker.run_due()
    job = only()
    assert (job.state, job.failures, job.run_at) == ("scheduled", 0, until)


def test_every_task_signal_fires_for_a_job(worker: InProcessWorker) -> None:
    seen: list[str] = []

    def note(signal: str):
        def receiver(**_: object) -> None:
            seen.append(signal)

        return receiver

    receivers = {
        name: note(name) for name in ("task_prerun", "task_success", "task_postrun", "task_failure", "task_retry")
    }
    for name, receiver in receivers.items():
        getattr(signals, name).connect(receiver, weak=False)
    try:
        fresh = InProcessWorker()  # a tracer looks at the receivers when it is built
        probes.ok.delay()
        fresh.run_due()
        probes.fail.delay()
        fresh.run_due()
        probes.flaky.delay()
        fresh.run_due()
    finally:
        for name, receiver in receivers.items():
            getattr(signals, name).disconnect(receiver)
    expected = ["task_prerun", "task_success", "task_postrun"]
    expected += ["task_prerun", "task_failure", "task_postrun", "task_prerun", "task_retry", "task_postrun"]
    assert seen == expected


def test_a_message_that_was_sent_past_apply_async_becomes_a_row(worker: InProcessWorker) -> None:
    from celery import current_app

    current_app.send_task("probe.ok", args=(5,), queue="default")
    worker.run_all()
    assert only().state == "scheduled"
    worker.run_due()
    assert (only().state, only().result) == ("succeeded", 5)


def test_an_unused_job_expires(worker: InProcessWorker) -> None:
    from jobs import rescuer

    probes.ok.apply_async(expires=60)
    assert rescuer.rescue_lost(timezone.now() + HOUR).expired == 1
    assert only().state == "expired"


def test_a_job_gone_missing_at_the_broker_is_sent_again(worker: InProcessWorker) -> None:
    from jobs import rescuer

    probes.ok.delay(1)
    dispatcher.dispatch_due()
    assert len(worker.messages()) == 1  # and lost
    rescuer.rescue_lost(timezone.now() + MINUTE)
    worker.run_due()
    assert only().state == "succeeded"


def test_the_same_task_id_names_the_same_job() -> None:
    first = probes.ok.apply_async((1,), task_id="0190f0c0-0000-7000-8000-000000000001")
    second = probes.ok.apply_async((2,), task_id="0190f0c0-0000-7000-8000-000000000001")
    assert first.id == second.id
    assert only().args == [1]


def test_an_eta_in_another_zone_is_the_same_moment() -> None:
    probes.ok.apply_async(eta=datetime.fromisoformat("2027-03-28T03:30:00+02:00"))
    assert only().run_at == datetime(2027, 3, 28, 1, 30, tzinfo=UTC)


def test_an_outcome_that_the_database_would_not_take_is_recorded_when_it_does(worker, monkeypatch) -> None:
    from django.db import OperationalError

    from jobs import ledger

    real, calls = ledger.succeed, []

    def restarting(*args):
        calls.append(args)
        if len(calls) < 3:
            raise OperationalError("the database system is starting up")
        return real(*args)

    monkeypatch.setattr(ledger, "succeed", restarting)
    monkeypatch.setattr("jobs.recorder.time.sleep", lambda _: None)
    monkeypatch.setattr("jobs.recorder.connection.close", lambda: None)
    probes.ok.delay(1)
    worker.run_due()
    assert only().state == "succeeded"


def test_a_paused_queue_sends_nothing_until_it_is_open_again(worker: InProcessWorker) -> None:
    from jobs import pauses

    now = timezone.now()
    pauses.pause("queue", ["default"], by="olga", until=now + HOUR)
    probes.ok.delay(1)
    assert worker.run_due(now + MINUTE) == []
    assert len(worker.run_due(now + HOUR + MINUTE)) == 1


def test_a_queue_is_never_filled_beyond_its_window(worker: InProcessWorker) -> None:
    from jobs.models import Queue

    Queue.objects.create(name="default", window=3)
    for n in range(5):
        make_job(args=[n])
    assert dispatcher.dispatch_due() == 3
    assert dispatcher.dispatch_due() == 0
    while worker.run_due():
        assert Job.objects.filter(state="queued").count() <= 3
    assert sorted(value for _, value in probes.RAN) == [0, 1, 2, 3, 4]


def test_many_calls_become_rows_with_a_handful_of_statements(worker: InProcessWorker, django_assert_max_num_queries):
    before = bulk.database_now()
    with django_assert_max_num_queries(4):
        ids = probes.ok.enqueue_many([(n,) for n in range(300)] + [{"value": "named"}], countdown=60, priority=10)
    after = bulk.database_now()
    assert len(ids) == Job.objects.count() == 301
    job = Job.objects.get(pk=ids[7])
    assert (job.args, job.state, job.priority) == ([7], "scheduled", 10)
    assert before + MINUTE <= job.run_at <= after + MINUTE
    assert Job.objects.get(pk=ids[-1]).kwargs == {"value": "named"}
    Job.objects.update(run_at=timezone.now())
    worker.drain()
    assert set(Job.objects.values_list("state", flat=True)) == {"succeeded"}


def test_many_calls_are_all_or_nothing(worker: InProcessWorker) -> None:
    with pytest.raises(PayloadError):
        probes.ok.enqueue_many([(1,), (object(),)])
    with pytest.raises(TypeError, match="belongs to one job"):
        probes.ok.enqueue_many([(1,)], unique_key="x")
    assert not Job.objects.exists()
