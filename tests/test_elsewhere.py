"""The names and payloads of other systems: each does its work, through every door, and nothing is ignored."""

import json
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User

from jobs import aliases, registry
from jobs.library import elsewhere, warm
from jobs.models import Job
from notifications import elsewhere as ours, reconciler
from notifications.models import DirectMessage, MessageTemplate
from tests.api.callers import Make
from tests.api.conftest import caller as caller
from tests.elsewhere import EMAIL, NAMES, PHONE, done, olga as olga, payload
from tests.factories import alice
from tests.jobs.shell import Shell

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def place(settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Roots to clean, a value to warm, words to say, and somebody to write to."""
    settings.JOBS_WORK_DIR = tmp_path / "work"
    settings.JOBS_CLEAN_ROOTS = {"work": tmp_path / "work", "logs": tmp_path / "logs"}
    for folder in settings.JOBS_CLEAN_ROOTS.values():
        folder.mkdir()
    monkeypatch.setattr(warm, "_registered", {"prices": warm.Figure("prices", lambda: 42, 60)})
    MessageTemplate.objects.create(
        message="test", channel="email", locale="en", subject="Words", text="Hello {{ customer.name }}"
    )
    alice(phone=PHONE, external_id="user123")
    return tmp_path


def test_each_registered_name_is_here_and_means_a_task_that_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aliases, "_names", {})  # without those of other tests
    elsewhere.register()
    ours.register()
    assert set(aliases._names) == {aliases._plain(name) for name in NAMES}
    assert {known.task for known in aliases._names.values()} <= set(registry.names())


@pytest.mark.parametrize("name", NAMES)
def test_over_the_api(name: str, caller: Make, worker: Any, olga: User) -> None:
    answer = caller(by=olga).post("/jobs", {"type": name, "data": payload(name, olga)})
    assert answer.status_code == 201, answer.data
    assert "alice" not in json.dumps(answer.data) and PHONE not in json.dumps(answer.data)
    done(worker, name, answer.data["id"])


@pytest.mark.parametrize("name", NAMES)
def test_on_the_command_line(name: str, worker: Any, olga: User) -> None:
    (told,) = Shell("jobs").lines("enqueue", name, "--data", json.dumps(payload(name, olga)))
    job = Job.objects.get(pk=told["id"])
    assert "alice" not in str((job.args, job.kwargs)) and PHONE not in str((job.args, job.kwargs))
    done(worker, name, told["id"])


@pytest.mark.parametrize("name", NAMES)
def test_in_a_file_that_is_imported_twice(name: str, worker: Any, olga: User, tmp_path: Path) -> None:
    file = tmp_path / "jobs.jsonl"
    row = {"id": "theirs-1", "type": name, "data": payload(name, olga), "status": "waiting"}
    file.write_text(json.dumps(row) + "\n")
    for _ in range(2):
        Shell("jobs").lines("import", str(file))
    job = Job.objects.get()
    assert job.unique_key == "theirs-1" and DirectMessage.objects.count() <= 1
    done(worker, name, job.pk)


def test_they_are_among_the_kinds(caller: Make) -> None:
    found = {row["task"]: row["names"] for row in Shell("jobs").lines("types")}
    assert {"email_send", "email.send", "send_email", "send_welcome"} <= set(found["notifications.send_email"])
    assert "data_cleanup" in found["jobs.clean_up"] and "notifications.deliver" not in found
    told = {row["task"]: row["aliases"] for row in caller().get("/jobs/types").data["items"]}
    assert told["notifications.send_email"] == found["notifications.send_email"]


def test_a_name_of_their_own_may_mean_one_that_is_read(tmp_path: Path, worker: Any) -> None:
    file = tmp_path / "jobs.jsonl"
    file.write_text(json.dumps({"id": "1", "type": "mailer", "data": NAMES["send-email"][0], "status": "waiting"}))
    Shell("jobs").lines("import", str(file), "--names", "mailer=send-email")
    done(worker, "send-email", Job.objects.get().pk)


def test_one_that_failed_elsewhere_goes_out_when_a_person_retries_it(tmp_path: Path, worker: Any) -> None:
    file = tmp_path / "jobs.jsonl"
    file.write_text(json.dumps({"id": "1", "type": "EMAIL_SEND", "data": EMAIL[0], "status": "failed"}))
    Shell("jobs").lines("import", str(file))
    job = Job.objects.get()
    assert job.state == "failed"
    reconciler.settle_all()
    Shell("jobs").lines("retry", str(job.pk), "--reason", "here it works", "--yes")
    done(worker, "EMAIL_SEND", job.pk)
