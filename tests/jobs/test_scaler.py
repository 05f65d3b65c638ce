"""How many processes work for a queue: who gets which share, who is counted, who may say so, and that nothing dies."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from celery.concurrency.asynpool import AsynPool
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from jobs import crews, pruner, testing
from jobs.models import Queue, QueueWorker
from jobs.scaler import Scaler, resize
from tests.faults.conftest import ROOT
from tests.jobs.shell import Shell

pytestmark = pytest.mark.django_db


def member(name: str, processes: int = 2, *, scalable: bool = True, ago: float = 0) -> int:
    crews.tell(name, ["default"], processes, scalable=scalable)
    return QueueWorker.objects.filter(worker=name).update(seen_at=timezone.now() - timedelta(seconds=ago))


# --- Shares ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("desired", "workers", "shares"),
    [
        (5, 2, [3, 2]),
        (4, 2, [2, 2]),
        (1, 1, [1]),
        (1, 3, [1, 1, 1]),  # more workers than processes: each keeps one
        (7, 3, [3, 2, 2]),
    ],
)
def test_workers_share_what_is_desired(desired: int, workers: int, shares: list[int]) -> None:
    names = [f"w{n}@host" for n in range(workers)]
    for name in names:
        member(name)
    crews.desire("default", desired, by="olga")
    assert [crews.wanted(name, ["default"]) for name in names] == shares


def test_a_worker_that_cannot_be_scaled_counts_with_what_it_has() -> None:
    member("solo@host", 1, scalable=False), member("a@host"), member("b@host")
    crews.desire("default", 6, by="olga")
    assert [crews.wanted(name, ["default"]) for name in ("a@host", "b@host")] == [3, 2]


@pytest.mark.parametrize("ago", [16, -16], ids=["silent for long", "from the future"])
def test_a_worker_that_is_not_heard_of_is_absent_and_has_no_share(ago: float) -> None:
    with testing.frozen(timezone.now()):
        member("a@host"), member("gone@host", 3, ago=ago), member("slow@host", ago=14)
        crews.desire("default", 8, by="olga")
        (crew,) = crews.of(["default"])
        assert crews.wanted("a@host", ["default"]) == 4
    assert ([m.worker for m in crew.members], [m.worker for m in crew.absent], crew.actual) == (
        ["a@host", "slow@host"],
        ["gone@host"],
        4,
    )


def test_workers_are_told_by_name_and_not_as_they_lie_in_the_table() -> None:
    for name in ("b@host", "c@host", "a@host"):
        member(name)
    (crew,) = crews.of(["default"])
    assert [m.worker for m in crew.members] == ["a@host", "b@host", "c@host"]


def test_a_worker_of_two_queues_has_enough_for_the_one_that_wants_more() -> None:
    crews.tell("a@host", ["default", "messages"], 2, scalable=True)
    assert crews.wanted("a@host", ["default", "messages"]) is None
    crews.desire("default", 3, by="olga")
    crews.desire("messages", 5, by="olga")
    assert crews.wanted("a@host", ["default", "messages"]) == 5


def test_no_pool_grows_beyond_what_its_machine_allows(settings) -> None:
    member("a@host")
    crews.desire("default", 20, by="olga")
    settings.JOBS_MAX_PROCESSES = 8
    assert crews.wanted("a@host", ["default"]) == 8


@pytest.mark.parametrize("processes", [0, -1, 33])
def test_a_number_out_of_bounds_is_refused(processes: int) -> None:
    with pytest.raises(ValueError, match="not between 1 and 32"):
        crews.desire("default", processes, by="olga")
    assert not Queue.objects.exists()


def test_desiring_changes_nothing_else_of_a_queue() -> None:
    Queue.objects.create(name="default", window=7, tokens=3, dispatched=11)
    crews.desire("default", 4, by="olga", reason="newsletter")
    row = Queue.objects.get()
    assert (row.desired_processes, row.desired_by, row.desired_reason) == (4, "olga", "newsletter")
    assert (row.window, row.tokens, row.dispatched) == (7, 3, 11)


def test_a_worker_that_says_goodbye_is_not_waited_for() -> None:
    member("a@host"), member("b@host")
    crews.desire("default", 4, by="olga")
    crews.leave("b@host")
    assert crews.wanted("a@host", ["default"]) == 4


def test_workers_that_are_absent_for_a_day_are_forgotten() -> None:
    member("a@host", ago=23 * 3600), member("b@host", ago=25 * 3600)
    assert pruner.prune()["workers"] == 1
    assert QueueWorker.objects.get().worker == "a@host"


# --- A worker's own look --------------------------------------------------------------------------------


class Loop(list[Any]):
    """The main thread's event loop: what it was given to do, and did."""

    def call_soon(self, act: Callable[..., None], *args: Any) -> None:
        self.append(args[1])
        args[0].pool.num_processes = args[1]


def a_worker(loop: Loop, *, autoscaler: object = None, processes: int = 2) -> Any:
    """What a scaler sees of Celery's worker; the pool itself is in tests/faults/test_scaling.py."""
    pool: Any = AsynPool.__new__(AsynPool)
    pool._pool = [None] * processes
    app = SimpleNamespace(amqp=SimpleNamespace(queues=SimpleNamespace(consume_from={"default": None})))
    outer = SimpleNamespace(_pool=pool, num_processes=processes)
    return SimpleNamespace(
        hostname="me@host", app=app, pool=outer, consumer=loop, concurrency=processes, autoscaler=autoscaler
    )


def test_a_worker_changes_when_two_looks_in_a_row_want_the_same() -> None:
    loop = Loop()
    scaler = Scaler(a_worker(loop))
    crews.desire("default", 6, by="olga")
    scaler.look()
    member("other@host")  # started at the same moment, told a little later
    scaler.look()
    assert loop == []
    scaler.look()
    scaler.look()
    assert loop == [3]


def test_what_nobody_wants_any_more_is_as_it_was_started_once() -> None:
    loop = Loop()
    worker = a_worker(loop)
    scaler = Scaler(worker)
    crews.desire("default", 6, by="olga")
    scaler.look()
    scaler.look()
    crews.desire("default", None, by="olga")
    scaler.look()
    scaler.look()
    scaler.look()
    assert loop == [6, 2]
    worker.pool.num_processes = 4  # Flower's button
    scaler.look()
    scaler.look()
    assert loop == [6, 2]


def test_what_celerys_own_autoscaler_has_is_left_to_it_and_counted() -> None:
    loop = Loop()
    worker = a_worker(loop, autoscaler=object(), processes=3)
    crews.desire("default", 6, by="olga")
    scaler = Scaler(worker)
    scaler.look()
    scaler.look()
    assert loop == []
    row = QueueWorker.objects.get()
    assert (row.processes, row.scalable) == (3, False)


def test_a_worker_that_is_stopping_is_not_resized() -> None:
    worker = a_worker(Loop())
    worker.pool._pool._state = "CLOSE"
    resize(worker, 6)
    worker.pool._pool = None
    resize(worker, 6)


def test_a_process_that_has_just_been_handed_a_job_ends_it_before_it_goes(tmp_path: Path) -> None:
    """Celery's own shrink kills it: it counts a process as idle until it is heard of."""
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": "tests.settings"}
    words = [sys.executable, "-m", "tests.jobs.handing", str(tmp_path / "job")]
    answer = subprocess.run(words, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=200)
    assert answer.returncode == 0, answer.stderr
    told = json.loads(answer.stdout.splitlines()[-1])
    assert told == {"outcome": ["done"], "retired": 1, "left": 1, "job": ["began", "ended"]}


# --- People ---------------------------------------------------------------------------------------------


jobs = Shell("jobs")


def test_the_command_scales_and_tells() -> None:
    member("a@host", 3), member("solo@host", 1, scalable=False), member("gone@host", 4, ago=60)
    assert "default: desired 6 (by olga. newsletter), actual 4." in jobs.screen(
        "scale", "default", "6", "--by", "olga", "--reason", "newsletter"
    )
    lines = jobs.screen("workers").splitlines()
    assert lines[0] == "clock: desired as started, actual 0"
    assert lines[1:3] == ["default: desired 6 (by olga. newsletter), actual 4", "  a@host: 3"]
    assert lines[3] == "  solo@host: 1, cannot be scaled"
    assert lines[4].startswith("  gone@host: absent since ") and lines[4].endswith("(had 4)")
    assert "desired as started" in jobs.screen("scale", "default", "as-started", "--by", "olga")
    assert Queue.objects.get().desired_processes is None


def test_the_command_tells_programs_the_same() -> None:
    member("a@host", 3), member("gone@host", 4, ago=60)
    (told,) = jobs.lines("workers", "default")
    assert (told["queue"], told["desired"], told["actual"]) == ("default", None, 3)
    assert [(one["worker"], one["here"]) for one in told["workers"]] == [("a@host", True), ("gone@host", False)]


def test_the_command_says_when_nobody_can_follow() -> None:
    jobs.screen("scale", "default", "6")
    assert "No worker of default can be scaled at this moment." in jobs.complaints


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["scale", "mesages", "4"], "There are clock, default, messages"),
        (["scale", "default", "33"], "not between 1 and 32"),
        (["scale", "default", "many"], "no number of processes"),
        (["workers", "mesages"], "There are clock, default, messages"),
    ],
)
def test_a_slip_of_the_pen_is_refused(words: list[str], says: str) -> None:
    assert says in jobs.refuses(*words)[1]
    assert not Queue.objects.exists()


PAGE = "admin:jobs_queue_change"
FORM = {"window": 500, "concurrency": "", "rate_count": "", "rate_period": "00:00:01", "rate_burst": ""}


def sign_in(client: Client, *permissions: str) -> None:
    person = User.objects.create_user("olga", password="x", is_staff=True)
    person.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client.force_login(person)


def test_the_queues_page_shows_actual_and_desired(client: Client) -> None:
    sign_in(client, "view_queue", "view_queueworker")
    member("a@host", 3), member("gone@host", 9, ago=60)
    crews.desire("default", 6, by="olga", reason="newsletter")
    assert "3 / 6 by olga. newsletter" in client.get(reverse("admin:jobs_queue_changelist")).content.decode()
    workers = client.get(reverse("admin:jobs_queueworker_changelist")).content.decode()
    assert "gone@host" in workers and "absent" in workers


def test_who_may_scale_gives_a_reason_and_it_is_kept(client: Client) -> None:
    sign_in(client, "view_queue", "change_queue", "scale_queue")
    Queue.objects.create(name="default", dispatched=11)
    url = reverse(PAGE, args=["default"])
    assert "Say why" in client.post(url, FORM | {"desired_processes": 6}).content.decode()
    Queue.objects.update(dispatched=12)  # the dispatcher is at work meanwhile
    client.post(url, FORM | {"window": 400, "desired_processes": 6, "reason": "newsletter"})
    row = Queue.objects.get()
    assert (row.desired_processes, row.desired_by, row.desired_reason) == (6, "olga", "newsletter")
    assert (row.window, row.dispatched) == (400, 12)
    assert LogEntry.objects.get().change_message == "Desired processes: 6. newsletter (also changed: window)"
    assert "less than or equal to 32" in client.post(url, FORM | {"desired_processes": 33}).content.decode()


def test_who_may_only_change_queues_cannot_scale_them(client: Client) -> None:
    sign_in(client, "view_queue", "change_queue")
    Queue.objects.create(name="default")
    client.post(reverse(PAGE, args=["default"]), FORM | {"window": 7, "desired_processes": 6, "reason": "newsletter"})
    row = Queue.objects.get()
    assert (row.window, row.desired_processes) == (7, None)
