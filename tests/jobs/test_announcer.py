"""What Flower is told of jobs that no worker speaks of; read by the code that Flower reads events with."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from celery.events.state import State
from celery.worker import control
from django.conf import settings
from django.utils import timezone

from jobs import announcer as announcing, ledger, rescuer, ticks
from jobs.announcer import Announcer
from jobs.events import events
from jobs.models import Job
from tests import probes
from tests.conftest import InProcessWorker, current_app
from tests.factories import DAY, HOUR, MINUTE, make_job

pytestmark = pytest.mark.django_db
LOOKS = len(settings.JOBS_QUEUES) + 2  # statements: the next of each queue, the newest, what ended


class Flower:
    """A real receiver at the in-process broker, and the memory that Flower has."""

    def __init__(self, connection: Any) -> None:
        self.state: Any = State()
        self.heard: list[dict[str, Any]] = []
        self.receiver = current_app.events.Receiver(connection, handlers={"*": self.hear})
        self.receiver.queue(self.receiver.channel).declare()

    def hear(self, event: dict[str, Any]) -> None:
        self.heard.append(event)
        self.state.event(event)

    def listen(self) -> list[tuple[str, str]]:
        """The (kind, id) pairs of what was said since the last time."""
        channel, before = self.receiver.channel, len(self.heard)
        while message := channel.basic_get(self.receiver.queue.name, no_ack=True):
            self.receiver._receive(message.decode(), message)
        return [(event["type"], event["uuid"]) for event in self.heard[before:]]

    def __getitem__(self, job: Any) -> Any:
        return self.state.tasks[str(getattr(job, "pk", job))]


@pytest.fixture
def flower(monkeypatch: pytest.MonkeyPatch) -> Iterator[Flower]:
    monkeypatch.setattr(type(events), "hostname", "clock@here")
    events._told.clear()
    with current_app.connection_for_read() as connection:
        yield Flower(connection)


@pytest.fixture
def announcer(monkeypatch: pytest.MonkeyPatch, flower: Flower) -> Announcer:
    monkeypatch.setattr(announcing, "LOOK_EVERY", 0.0)
    return Announcer()


def test_a_job_that_waits_is_shown_with_its_time_and_without_its_arguments(announcer, flower) -> None:
    job = make_job(due=DAY, args=["secret"], options={"shadow": "export"})
    announcer.announce()
    assert flower.listen() == [("task-sent", str(job.pk)), ("task-received", str(job.pk))]
    shown = flower[job]
    assert (shown.state, shown.name, shown.eta) == ("RECEIVED", "export", job.run_at.isoformat())
    assert (shown.args, shown.kwargs, shown.sent) == ("...", "...", job.created_at.timestamp())
    assert "secret" not in str(flower.heard)


def test_what_was_told_is_not_told_again_until_it_changes(announcer, flower) -> None:
    job = make_job(due=DAY)
    announcer.announce()
    flower.listen()
    announcer.announce()
    assert flower.listen() == []
    later = timezone.now() + 2 * DAY
    ledger.reschedule({job.pk: (later, None)})
    announcer.announce()
    assert flower.listen()
    assert flower[job].eta == later.isoformat()


def test_of_many_only_the_next_of_each_queue_and_the_newest_are_told(announcer, flower, monkeypatch) -> None:
    monkeypatch.setattr(announcing, "MOST", 2)
    jobs = [make_job(due=n * HOUR, queue=queue) for n in (1, 2, 3, 9, 8, 7) for queue in ("default", "messages")]
    announcer.announce()
    told = {pk for _, pk in flower.listen()}
    assert told == {str(job.pk) for job in [*jobs[:4], *jobs[-2:]]}


def test_the_number_of_statements_does_not_depend_on_the_number_of_jobs(announcer, django_assert_num_queries) -> None:
    for n in range(30):
        make_job(due=n * HOUR)
    with django_assert_num_queries(LOOKS + 1):
        announcer.announce()
    with django_assert_num_queries(LOOKS):
        announcer.announce()


def test_how_a_job_ended_without_a_worker_is_told(announcer, flower) -> None:
    cancelled, queued, late = make_job(due=DAY), make_job("queued"), make_job(useful_until=timezone.now() - MINUTE)
    lost = make_job("running", lease="over", max_attempts=1)
    unknown = make_job(task="no.such", due=-2 * HOUR)
    announcer.announce()
    flower.listen()
    ledger.cancel([cancelled.pk, queued.pk], "not needed")
    rescuer.rescue_lost()
    announcer.announce()
    kinds = {pk: kind for kind, pk in flower.listen()}
    assert {kinds[str(job.pk)] for job in (cancelled, queued, late)} == {"task-revoked"}
    assert {kinds[str(job.pk)] for job in (lost, unknown)} == {"task-failed"}
    assert [flower[job].expired for job in (cancelled, queued, late)] == [False, False, True]
    assert "worker was lost" in flower[lost].exception
    announcer.announce()
    assert flower.listen() == []


def test_what_was_told_to_wait_is_told_to_have_ended_however_many_others_did(announcer, flower, monkeypatch) -> None:
    job = make_job(due=DAY)
    announcer.announce()
    flower.listen()
    monkeypatch.setattr(announcing, "MOST", 3)
    ledger.cancel([job.pk], "not needed")
    others = [make_job(due=DAY).pk for _ in range(5)]
    ledger.cancel(others, "not needed")
    announcer.announce()
    assert ("task-revoked", str(job.pk)) in flower.listen()


def test_a_failure_that_its_worker_told_is_not_told_twice(announcer, flower, worker: InProcessWorker) -> None:
    probes.fail.delay()
    worker.run_due()
    flower.listen()
    announcer.announce()
    assert flower.listen() == []


def test_a_job_that_somebody_lets_run_again_is_no_longer_shown_as_ended(announcer, flower) -> None:
    job = make_job(due=DAY)
    announcer.announce()
    ledger.cancel([job.pk], "not needed")
    announcer.announce()
    flower.listen()
    assert flower[job].state == "REVOKED"
    ledger.retry([job.pk], run_at=timezone.now() + DAY)
    announcer.announce()
    flower.listen()
    assert (flower[job].state, flower[job].exception) == ("RETRY", "retried by a person")


def test_a_job_that_runs_again_at_once_is_no_longer_shown_as_ended(flower, worker: InProcessWorker) -> None:
    handle: Any = probes.ok.delay()
    worker.run_due()
    events.tell("failed", Job.objects.get(), exception="as an earlier attempt might have")
    events.flush()
    flower.listen()
    assert flower[handle.id].state == "FAILURE"
    ledger.retry([Job.objects.get().pk])
    worker.run_due()
    flower.listen()
    assert flower[handle.id].state == "PENDING"


def test_each_job_of_a_shared_message_has_events_of_its_own(flower, worker: InProcessWorker) -> None:
    ids = probes.small.enqueue_many([(n,) for n in range(5)])
    worker.run_due()
    events.flush()
    flower.listen()
    assert [flower[pk].state for pk in ids] == ["SUCCESS", "SUCCESS", "SUCCESS", "RETRY", "FAILURE"]
    assert {flower[pk].name for pk in ids} == {"probe.small"}
    assert flower[ids[0]].runtime is not None
    assert len(flower.state.tasks) == len(ids)  # the message itself is none


def test_when_flower_begins_to_listen_everything_is_told_again(announcer, flower, monkeypatch) -> None:
    monkeypatch.setattr(announcing, "announcer", announcer)
    asked: list[Any] = []
    monkeypatch.setattr(announcing, "_celerys_heartbeat", asked.append)
    job = make_job(due=DAY)
    announcer.announce()
    flower.listen()
    control.Panel.data["heartbeat"]("panel")
    announcer.announce()
    assert str(job.pk) in {pk for _, pk in flower.listen()}
    assert asked == ["panel"]  # Celery's own answer is given as well


def test_processes_that_are_no_workers_tell_nothing_and_do_not_look(
    announcer, flower, monkeypatch, django_assert_num_queries
) -> None:
    monkeypatch.setattr(type(events), "hostname", "")
    make_job(due=DAY)
    with django_assert_num_queries(0):
        announcer.announce()
    assert flower.listen() == []


def test_where_events_are_switched_off_nobody_looks(announcer, monkeypatch, django_assert_num_queries) -> None:
    conf = SimpleNamespace(worker_send_task_events=False)
    monkeypatch.setattr("jobs.events.current_app", SimpleNamespace(conf=conf))
    make_job(due=DAY)
    with django_assert_num_queries(0):
        announcer.announce()


def test_it_looks_every_two_seconds_at_most(flower, monkeypatch, django_assert_num_queries) -> None:
    seconds = [1_000.0]
    monkeypatch.setattr(ticks, "steady", lambda: seconds[0])
    often = Announcer()
    often.announce()
    seconds[0] += announcing.LOOK_EVERY - 0.1
    with django_assert_num_queries(0):
        often.announce()
    seconds[0] += 0.1
    with django_assert_num_queries(LOOKS):
        often.announce()
