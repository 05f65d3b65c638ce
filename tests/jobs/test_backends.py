"""Django's Tasks API on the ledger: what its documentation promises, sync and async."""

import uuid
from datetime import UTC, datetime
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.core import checks
from django.db import transaction
from django.test import override_settings
from django.utils import timezone

from jobs import durable, ledger
from jobs.backends import DurableBackend
from jobs.models import Job
from jobs.tasks_api import InvalidTask, TaskResultDoesNotExist, TaskResultStatus
from tests import probes, task_probes
from tests.conftest import InProcessWorker
from tests.factories import HOUR, MINUTE, make_job

pytestmark = pytest.mark.django_db

BACKEND = "jobs.backends.DurableBackend"
context_taker: Any = task_probes.task(takes_context=True)
READY, SUCCESSFUL = TaskResultStatus.READY, TaskResultStatus.SUCCESSFUL


@pytest.fixture(autouse=True)
def _nothing_ran() -> None:
    task_probes.RAN.clear()


def enqueue(way: str, task: Any, *args: Any, **kwargs: Any) -> Any:
    return task.enqueue(*args, **kwargs) if way == "sync" else async_to_sync(task.aenqueue)(*args, **kwargs)


def refresh(way: str, result: Any) -> None:
    result.refresh() if way == "sync" else async_to_sync(result.arefresh)()


def look_up(way: str, source: Any, pk: str) -> Any:
    return source.get_result(pk) if way == "sync" else async_to_sync(source.aget_result)(pk)


ways = pytest.mark.parametrize("way", ["sync", "async"])
kinds = pytest.mark.parametrize("task", [task_probes.echo, task_probes.echo_async], ids=["def", "async def"])


def test_the_settings_name_it_and_it_supports_all_there_is() -> None:
    backend = task_probes.task_backends["default"]
    assert isinstance(backend, DurableBackend)
    assert task_probes.default_task_backend == backend
    assert backend.supports_defer and backend.supports_async_task
    assert backend.supports_get_result and backend.supports_priority


# --- Enqueueing ----------------------------------------------------------------------------------------


@ways
@kinds
def test_enqueue_inserts_a_row_and_sends_nothing(way: str, task: Any, worker: InProcessWorker) -> None:
    before = timezone.now()
    result = enqueue(way, task, 1, two=3)
    job = Job.objects.get()
    assert (result.id, result.status, result.backend) == (str(job.pk), READY, "default")
    assert (result.task, result.args, result.kwargs) == (task, [1], {"two": 3})
    assert (result.started_at, result.last_attempted_at, result.finished_at) == (None, None, None)
    assert (result.errors, result.worker_ids, result.attempts, result.is_finished) == ([], [], 0, False)
    assert before <= result.enqueued_at <= timezone.now()
    with pytest.raises(ValueError, match="Task has not finished yet"):
        _ = result.return_value
    assert (job.state, job.queue, job.priority) == ("scheduled", "default", durable.Priority.NORMAL)
    assert worker.messages() == []


def test_a_rollback_takes_the_task_along(worker: InProcessWorker) -> None:
    with pytest.raises(RuntimeError), transaction.atomic():
        result = task_probes.echo.enqueue()
        assert look_up("sync", task_probes.echo, result.id).status == READY  # visible inside, at once
        raise RuntimeError
    assert not Job.objects.exists()
    with pytest.raises(TaskResultDoesNotExist):
        result.refresh()


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: task_probes.echo.enqueue(object()), TypeError, "Unsupported type"),
        (lambda: task_probes.echo.enqueue(when=datetime.now(UTC)), TypeError, "Unsupported type"),
        (lambda: task_probes.echo.enqueue(b"\xff"), ValueError, "Unsupported value"),
        (lambda: task_probes.echo.enqueue(float("inf")), durable.PayloadError, "JSON"),
        (lambda: task_probes.echo.enqueue("a\x00b"), durable.PayloadError, "NUL"),
        (lambda: task_probes.echo.enqueue("x" * 70_000), durable.PayloadError, "Store the data"),
        (lambda: task_probes.add.enqueue(), TypeError, "one"),  # type: ignore[call-arg]
        (lambda: task_probes.add.enqueue(1, three=3), TypeError, "three"),  # type: ignore[call-arg]
        (lambda: task_probes.look_around.enqueue(), TypeError, "note"),  # type: ignore[call-arg]
        (lambda: task_probes.echo.using(run_after=datetime(2027, 1, 1)), InvalidTask, "aware"),  # noqa: DTZ001
        (lambda: task_probes.echo.using(priority=101), InvalidTask, "between -100 and 100"),
        (lambda: task_probes.echo.using(priority=-101), InvalidTask, "between -100 and 100"),
        (lambda: task_probes.echo.using(priority=1.5), InvalidTask, "whole number"),  # type: ignore[arg-type]
        (lambda: task_probes.echo.using(queue_name="nobody"), InvalidTask, "not valid for backend"),
        (lambda: task_probes.echo.using(queue_name="clock"), InvalidTask, "not valid for backend"),
        (lambda: task_probes.renamed.enqueue(), InvalidTask, "cannot import 'tests.task_probes.plain'"),
        (lambda: task_probes.task(lambda: None).enqueue(), InvalidTask, "module level"),
        (lambda: context_taker(task_probes.plain), InvalidTask, "first argument of 'context'"),
    ],
)
def test_bad_input_is_refused_before_it_is_stored(call: Any, error: Any, says: str) -> None:
    with pytest.raises(error, match=says):
        call()
    assert not Job.objects.exists()


def test_what_the_result_shows_is_what_the_function_gets(worker: InProcessWorker) -> None:
    result = task_probes.echo.enqueue((1, b"abc"), {5: None}, naïve="ü")
    expected = [[1, "abc"], {"5": None}], {"naïve": "ü"}
    assert (result.args, result.kwargs) == expected
    worker.run_due()
    (_, (args, kwargs)) = task_probes.RAN[0]
    assert (list(args), kwargs) == expected


def test_enqueueing_is_logged_with_id_and_path(caplog: pytest.LogCaptureFixture) -> None:
    for logger in ("django_tasks", "django.tasks"):
        caplog.set_level("DEBUG", logger)
    result = task_probes.echo.enqueue()
    assert f"id={result.id} path=tests.task_probes.echo enqueued" in caplog.text


@ways
@kinds
def test_a_task_may_be_called_past_the_backend(way: str, task: Any) -> None:
    assert (task.call(1) if way == "sync" else async_to_sync(task.acall)(1)) == [1, {}]
    assert not Job.objects.exists()


# --- When and where it runs ----------------------------------------------------------------------------


@ways
def test_nothing_runs_before_run_after(way: str, worker: InProcessWorker) -> None:
    at = timezone.now() + HOUR
    result = enqueue(way, task_probes.echo.using(run_after=at))
    assert worker.run_due(at - MINUTE) == []
    assert look_up(way, task_probes.echo, result.id).task.run_after == at
    assert len(worker.run_due(at + MINUTE)) == 1


def test_higher_priorities_run_first_and_each_has_its_place_on_the_ledgers_scale(worker: InProcessWorker) -> None:
    probes.ok.delay("a job of normal priority")
    for priority in (0, -100, 100, -1, 1, 99):
        task_probes.echo.using(priority=priority).enqueue(priority)
    worker.run_due()
    ran = [value if name == "ok" else value[0][0] for name, value in task_probes.RAN]
    assert [value for value in ran if isinstance(value, int)] == [100, 99, 1, 0, -1, -100]
    assert 1 < ran.index("a job of normal priority") < 5  # beside priority 0
    at = dict(Job.objects.exclude(task="probe.ok").values_list("kwargs__args__0", "priority"))
    assert at == {0: durable.Priority.NORMAL, 1: 6, -1: 4, 99: 104, 100: 105, -100: -95}


def test_the_decorators_priority_and_queue_are_the_jobs_and_using_changes_them() -> None:
    changed = task_probes.add.using(priority=-3, queue_name="default")
    for task in (task_probes.add, changed):
        assert task_probes.add.get_result(task.enqueue(1).id).task == task
    assert list(Job.objects.order_by("pk").values_list("queue", "priority")) == [("messages", 25), ("default", 2)]


def test_a_priority_that_a_person_moved_off_the_scale_is_shown_at_its_end() -> None:
    result = task_probes.echo.enqueue()
    Job.objects.update(priority=1000)
    assert task_probes.echo.get_result(result.id).task.priority == 100


def test_a_queue_of_the_backend_that_no_worker_serves_is_refused_and_reported_by_check() -> None:
    with override_settings(TASKS={"default": {"BACKEND": BACKEND, "QUEUES": ["default", "nobody"]}}):
        with pytest.raises(InvalidTask, match=r"no worker\. JOBS_QUEUES: default, messages"):
            task_probes.echo.using(queue_name="nobody")
        with pytest.raises(InvalidTask, match="not valid for backend"):
            task_probes.echo.using(queue_name="messages")
        (error,) = task_probes.task_backends["default"].check()
        assert (error.id, error.level) == ("jobs.E001", checks.ERROR)
        assert "nobody" in error.msg and "JOBS_QUEUES" in str(error.hint)
        assert "jobs.E001" in [found.id for found in checks.run_checks()]
    assert not [found for found in checks.run_checks() if found.id == "jobs.E001"]


def test_no_queues_at_all_means_any_that_has_a_worker() -> None:
    with override_settings(TASKS={"default": {"BACKEND": BACKEND, "QUEUES": []}}):
        task_probes.echo.using(queue_name="messages").enqueue()
        with pytest.raises(InvalidTask, match="no worker"):
            task_probes.echo.using(queue_name="nobody")


# --- Results -------------------------------------------------------------------------------------------


@ways
@kinds
def test_a_successful_task(way: str, task: Any, worker: InProcessWorker) -> None:
    result = enqueue(way, task, 1, two=3)
    worker.run_due()
    assert result.status == READY  # as it was when it was looked at
    refresh(way, result)
    assert (result.status, result.return_value, result.is_finished) == (SUCCESSFUL, [1, {"two": 3}], True)
    assert result.enqueued_at <= result.started_at <= result.finished_at
    assert result.last_attempted_at == result.started_at
    assert (result.attempts, result.worker_ids, result.errors) == (1, [Job.objects.get().worker], [])
    for source in (task, task_probes.default_task_backend):
        assert look_up(way, source, result.id) == result


@ways
def test_a_result_of_a_running_task(way: str) -> None:
    result = enqueue(way, task_probes.echo)
    ledger.dispatch("default", ["jobs.django_task"], 10)
    assert look_up(way, task_probes.echo, result.id).status == READY
    ledger.claim(result.id, "somewhere:1")
    refresh(way, result)
    assert (result.status, result.is_finished, result.worker_ids) == (TaskResultStatus.RUNNING, False, ["somewhere:1"])
    assert result.started_at and result.started_at == result.last_attempted_at and result.finished_at is None


@ways
def test_a_result_that_does_not_exist(way: str) -> None:
    other = str(make_job().pk)  # a job, but no task of Django's
    for unknown in ("123", "", str(uuid.uuid4()), other):
        for source in (task_probes.echo, task_probes.default_task_backend):
            with pytest.raises(TaskResultDoesNotExist):
                look_up(way, source, unknown)


@ways
def test_a_result_of_another_task_or_backend(way: str) -> None:
    result = task_probes.echo.enqueue()
    with pytest.raises(task_probes.TaskResultMismatch):
        look_up(way, task_probes.add, result.id)
    with override_settings(TASKS={"default": {"BACKEND": BACKEND}, "other": {"BACKEND": BACKEND}}):
        elsewhere = task_probes.echo.using(backend="other")
        with pytest.raises(TaskResultDoesNotExist):
            look_up(way, elsewhere, result.id)
        result = elsewhere.enqueue()
        assert look_up(way, elsewhere, result.id).backend == result.backend == "other"


def test_an_async_task_may_use_the_database(worker: InProcessWorker) -> None:
    result: Any = task_probes.count_jobs.enqueue()
    worker.run_due()
    result.refresh()
    assert result.return_value == 1


def test_a_task_may_take_its_context(worker: InProcessWorker) -> None:
    result = task_probes.look_around.enqueue("hi")
    worker.run_due()
    result.refresh()
    assert result.return_value == ["hi", result.id, "RUNNING", 1, "tests.task_probes.look_around"]


@pytest.mark.parametrize(
    ("what", "kept"), [("a tuple", [1, 2]), ("bytes", "abc"), ("a backslash", r"\u0000")], ids=lambda value: str(value)
)
def test_a_return_value_is_kept_as_json(what: str, kept: Any, worker: InProcessWorker) -> None:
    result = task_probes.give.enqueue(what)
    worker.run_due()
    result.refresh()
    assert result.return_value == kept


@pytest.mark.parametrize("what", ["an object", "not a number", "NUL", "half a pair"])
def test_a_return_value_that_json_or_the_database_cannot_hold_fails_the_task(what: str, worker: Any) -> None:
    result = task_probes.give.enqueue(what)
    worker.run_due()
    result.refresh()
    assert result.status == TaskResultStatus.FAILED
    assert result.errors[0].exception_class in (TypeError, ValueError, UnicodeEncodeError)


# --- Its name ------------------------------------------------------------------------------------------


def test_people_see_the_functions_own_name(worker: InProcessWorker, admin_client: Any) -> None:
    from jobs import dispatcher

    result = task_probes.echo.enqueue("alice@example.com")
    name = "tests.task_probes.echo"
    assert str(Job.objects.get()) == f"{name} {result.id}"
    page = admin_client.get("/admin/jobs/job/").content.decode()
    assert name in page
    dispatcher.dispatch_due()
    (message,) = worker.messages()
    assert (message.headers["task"], message.headers["shadow"]) == ("jobs.django_task", name)  # Flower shows the latter
    assert "alice" not in str(message.headers) + str(message.body)
