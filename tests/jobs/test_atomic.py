"""`atomic=True`: the rows of the body and the job's success are both there or none, whatever the commit does."""

from typing import Any

import pytest
from celery import shared_task
from django.contrib.auth.models import Group, Permission, User
from django.db import OperationalError, connection, transaction

from jobs import ledger
from jobs.durable import Durable
from jobs.models import Attempt, Job
from tests.conftest import InProcessWorker
from tests.probes import told

pytestmark = pytest.mark.django_db(transaction=True, serialized_rollback=True)


class Noted(Durable):
    abstract = True

    def on_failure(self, exc: Any, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        Group.objects.create(name="on_failure")


@shared_task(base=Noted, bind=True, name="atomic.write", atomic=True, max_retries=1)
def write(self: Durable, how: str = "") -> str:
    Group.objects.create(name="written")
    if how == "raise":
        raise ValueError("no")
    if how == "broken":  # a key that leads nowhere, noticed at the commit
        Permission.objects.create(name="x", codename="x", content_type_id=987_654)
    if how == "nested":
        write("")
    if how == "lost":
        Job.objects.filter(pk=str(self.request.id)).update(token=99)
    return how


@shared_task(base=Durable, name="atomic.shared", atomic=True, batch_size=10)
def shared(name: str) -> None:
    Group.objects.create(name=name)
    if name == "bad":
        raise ValueError


def names() -> list[str]:
    return sorted(Group.objects.values_list("name", flat=True))


def test_what_it_wrote_its_next_step_and_its_success_are_there_together(worker: InProcessWorker) -> None:
    write.apply_async(link=told.s())
    worker.run_due()
    assert names() == ["written"]
    assert Job.objects.get(task="atomic.write").state == "succeeded"
    assert Job.objects.filter(task="probe.told").count() == 1


def test_what_it_wrote_before_it_failed_is_gone_and_what_its_handler_wrote_stays(worker: InProcessWorker) -> None:
    write.delay("raise")
    worker.run_due()
    assert names() == ["on_failure"]
    assert (Job.objects.get().state, Job.objects.get().reason) == ("failed", "ValueError: no")


def test_a_commit_that_the_database_refuses_fails_the_job_with_the_reason(worker: InProcessWorker) -> None:
    write.apply_async(("broken",), link=told.s())
    worker.run_due()
    job = Job.objects.get()
    assert names() == [] and job.state == "failed" and "was not committed: IntegrityError" in job.reason
    assert Attempt.objects.get().exception.endswith("IntegrityError")


def test_a_job_that_was_given_to_another_worker_meanwhile_leaves_nothing(worker: InProcessWorker) -> None:
    write.delay("lost")
    worker.run_due()
    assert Job.objects.get().state == "running" and names() == []


@pytest.mark.parametrize("arrived", [False, True])
def test_a_commit_without_an_answer_is_settled_by_reading_the_row(worker, monkeypatch, arrived: bool) -> None:
    real = transaction.Atomic.__exit__
    lost: list[str] = []

    def cut_off(self: Any, *exc: Any) -> Any:
        outermost = connection.in_atomic_block and not connection.savepoint_ids and not exc[0]
        if outermost and not lost and Group.objects.exists():
            lost.append("the answer")
            if not arrived:
                transaction.set_rollback(True)
            real(self, *exc)
            raise OperationalError("server closed the connection unexpectedly")
        return real(self, *exc)

    monkeypatch.setattr(transaction.Atomic, "__exit__", cut_off)
    write.delay()
    worker.run_due()
    assert lost
    job = Job.objects.get()
    assert (job.state, names()) == (("succeeded", ["written"]) if arrived else ("scheduled", []))
    worker.run_due()
    assert (Job.objects.get().state, names()) == ("succeeded", ["written"])


def test_jobs_that_share_a_message_have_a_transaction_each(worker: InProcessWorker) -> None:
    shared.enqueue_many([("a",), ("bad",), ("c",)])
    worker.run_due()
    assert names() == ["a", "c"]
    assert sorted(Job.objects.values_list("state", flat=True)) == ["failed", "succeeded", "succeeded"]


def test_a_function_call_is_atomic_too(worker: InProcessWorker) -> None:
    with pytest.raises(ValueError, match="no"):
        write("raise")
    assert names() == []
    write()
    assert names() == ["written"]


def test_the_success_is_not_seen_before_what_was_written(worker: InProcessWorker, monkeypatch) -> None:
    real, seen = ledger.succeed, []

    def look(*args: Any, **kwargs: Any) -> bool:
        seen.append((connection.in_atomic_block, names()))
        return real(*args, **kwargs)

    monkeypatch.setattr(ledger, "succeed", look)
    write.delay()
    worker.run_due()
    assert seen == [(True, ["written"])]


def test_a_call_of_the_body_by_the_body_is_a_function_call(worker: InProcessWorker) -> None:
    Group.objects.create(name="kept")
    User.objects.create(username="kept")
    write.delay("nested")
    worker.run_due()
    assert Job.objects.get().state == "failed" and names() == ["kept", "on_failure"]  # the name is unique
