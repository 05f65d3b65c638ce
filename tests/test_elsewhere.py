"""The names and payloads of other systems: each does its work, through every door, and nothing is ignored."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core import mail
from django.utils import timezone

from jobs import aliases, registry
from jobs.files import Export
from jobs.library import elsewhere, storage, warm
from jobs.models import Job
from notifications import direct_ends, elsewhere as ours, reconciler
from notifications.models import DirectMessage, InboxItem, MessageTemplate, OutboxMessage, Report
from tests.api.callers import Caller, Make
from tests.api.conftest import caller as caller
from tests.factories import DAY, HOUR, alice, bob
from tests.jobs.shell import Shell
from tests.library import hostile

pytestmark = pytest.mark.django_db
PHONE = "+4915123456789"


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


@pytest.fixture
def olga() -> User:
    return User.objects.create_superuser("olga", email="olga@example.com", password="x")


def mailed(subject: str) -> Any:
    def check(job: Job) -> None:
        (sent,) = mail.outbox
        assert (sent.to, sent.subject) == (["alice@example.com"], subject)
        assert DirectMessage.objects.get(pk=job.pk).state == "sent"

    return check


def texted(job: Job) -> None:
    assert OutboxMessage.objects.values_list("to", "text").get(key=str(job.pk)) == (PHONE, "It rains")


def noted(title: str, level: str) -> Any:
    def check(job: Job) -> None:
        item = InboxItem.objects.get(key=str(job.pk))
        assert (item.customer.external_id, item.title, item.level) == ("user123", title, level)

    return check


def exported(job: Job) -> None:
    export = Export.objects.get(pk=job.pk)
    assert (export.format, export.rows, export.columns) == ("json", 1, ["id", "email"])


def reported(job: Job) -> None:
    assert Report.objects.get().kind == "week" and "week" in mail.outbox[0].subject.lower()


def resized(job: Job) -> None:
    assert (job.result["width"], job.result["height"]) == (32, 24)  # type: ignore[index]


def read(job: Job) -> None:
    assert job.result["kind"] == "text" and job.result["characters"] == 5  # type: ignore[index]


def warmed(job: Job) -> None:
    assert warm.current("prices").value == 42 and job.result["seconds"] == 60  # type: ignore[index]


def cleaned(job: Job) -> None:
    assert job.result["counts"] == {"temp_files": 0} and not job.result["dry_run"]  # type: ignore[index]
    assert job.kwargs["wanted"]["older_than"] == "P2D"


A_FILE = "the id of a stored file"
EMAIL = ({"to": "alice@example.com", "subject": "Test Email", "template": "test"}, mailed("Test Email"))
SMS = ({"to": PHONE, "message": "It rains"}, texted)
NOTICE = {"userId": "user123", "title": "Reminder", "body": "Your subscription ends", "type": "warning"}
EXPORT = ({"source": "customers", "exportType": "json", "filters": {}, "columns": ["id", "email"]}, exported)
PICTURE = ({"filePath": A_FILE, "operation": "resize", "options": {"width": 32}}, resized)
WARM = ({"cacheKey": "prices", "dataSource": "prices", "ttl": 60}, warmed)
CLEAN = ({"targetType": "temp_files", "olderThan": 172_800_000, "pattern": "*.tmp"}, cleaned)
REPORT = ({"reportType": "week", "users": "olga"}, reported)
NAMES: dict[str, tuple[dict[str, Any], Any]] = {
    **dict.fromkeys(("EMAIL_SEND", "email.send", "email_notification"), EMAIL),
    "send-email": ({"to": "alice@example.com", "subject": "Hi", "body": "Thanks", "priority": "high"}, mailed("Hi")),
    "send-welcome": ({"email": "alice@example.com", "userId": "user123"}, mailed("Welcome")),
    **dict.fromkeys(("SMS_SEND", "sms.send", "send_sms", "sms_notification"), SMS),
    **dict.fromkeys(("USER_NOTIFICATION", "user.notification"), (NOTICE, noted("Reminder", "warning"))),
    "send-notification": ({"userId": "user123", "message": "New", "type": "push"}, noted("New", "info")),
    **dict.fromkeys(("DATA_EXPORT", "data.export"), EXPORT),
    **dict.fromkeys(("REPORT_GENERATE", "report_generation"), REPORT),
    **dict.fromkeys(("FILE_PROCESS", "file.process", "image_processing"), PICTURE),
    "extract_text": ({"filePath": A_FILE}, read),
    **dict.fromkeys(("CACHE_WARM", "cache.warm", "warm_cache"), WARM),
    **dict.fromkeys(("CLEANUP", "data_cleanup"), CLEAN),
}


def payload(name: str, olga: User) -> dict[str, Any]:
    """With the ids of what there is in this test."""
    data = dict(NAMES[name][0])
    if data.get("filePath") == A_FILE:
        content = b"Hello" if name == "extract_text" else hostile.picture()
        data["filePath"] = str(storage.keep(io.BytesIO(content), "a", "x").pk)
    if data.get("users") == "olga":
        data["users"] = [olga.pk]
    return data


def done(worker: Any, name: str, pk: Any) -> None:
    for hours in range(3):  # a report is looked for again
        worker.drain(timezone.now() + hours * HOUR)
    job = Job.objects.get(pk=pk)
    assert job.state == "succeeded", job.reason
    NAMES[name][1](job)


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


# --- What cannot be mapped -------------------------------------------------------------------------------

WRONG: dict[str, tuple[str, dict[str, Any], str]] = {
    "a path of a file": ("FILE_PROCESS", {"filePath": "/etc/passwd", "operation": "resize"}, "pass the id of its row"),
    "another task's work": ("FILE_PROCESS", {"filePath": "x", "operation": "extract_text"}, "jobs.extract_text"),
    "no source": ("DATA_EXPORT", {"exportType": "csv", "filters": {}}, "source"),
    "an unknown source": ("DATA_EXPORT", {"source": "secrets", "exportType": "csv"}, "secrets"),
    "a key of its own": ("CACHE_WARM", {"cacheKey": "x", "dataSource": "prices"}, "cacheKey"),
    "a source nobody registered": ("CACHE_WARM", {"dataSource": "os"}, "os"),
    "a path to clean": ("CLEANUP", {"targetType": "temp_files", "olderThan": 10**9, "path": "/etc"}, "within the root"),
    "what is not to be cleaned": ("CLEANUP", {"targetType": "personal_data", "olderThan": 10**10}, "targetType"),
    "no words": ("EMAIL_SEND", {"to": "alice@example.com", "subject": "x", "template": "none"}, "no words for 'none'"),
    "nobody": ("EMAIL_SEND", {"subject": "x", "body": "x"}, "to whom"),
    "a customer of nobody": ("USER_NOTIFICATION", {"userId": "x", "title": "x", "body": "x"}, "no customer 'x'"),
    "an attachment by its path": (
        "EMAIL_SEND",
        {"to": "a@example.com", "subject": "x", "body": "x", "attachments": [{"filename": "x", "path": "/etc/passwd"}]},
        "attachments.0",
    ),
    "what there is not": ("send-welcome", {"email": "a@example.com", "errorType": "transient"}, "errorType"),
    "the same twice": ("CACHE_WARM", {"dataSource": "prices", "source": "prices"}, "source"),
    "nobody to mail to": ("REPORT_GENERATE", {"reportType": "week"}, "users"),
}


@pytest.mark.parametrize("why", WRONG)
def test_what_has_no_meaning_is_refused_by_every_door(why: str, caller: Make, tmp_path: Path) -> None:
    name, data, says = WRONG[why]
    answer = caller().post("/jobs", {"type": name, "data": data})
    assert answer.status_code == 422, answer.data
    assert says in json.dumps(answer.data)
    assert says in Shell("jobs").refuses("enqueue", name, "--data", json.dumps(data))[1]
    file, shell = tmp_path / "jobs.jsonl", Shell("jobs")
    file.write_text(json.dumps({"id": "1", "type": name, "data": data}) + "\n")
    shell.refuses("import", str(file))
    assert says in shell.written + shell.complaints
    assert not Job.objects.exists() and not DirectMessage.objects.exists() and not Export.objects.exists()


# --- Whose ----------------------------------------------------------------------------------------------


def refused(asks: Caller, name: str, data: dict[str, Any]) -> int:
    answer = asks.post("/jobs", {"type": name, "data": data})
    assert not Job.objects.exists() and not DirectMessage.objects.exists()
    return int(answer.status_code)


def test_a_door_asks_for_the_permission_of_what_is_behind_it(caller: Make, olga: User) -> None:
    asks = caller(scopes=["jobs:enqueue"])
    for name in ("EMAIL_SEND", "SMS_SEND", "USER_NOTIFICATION", "DATA_EXPORT", "CLEANUP", "REPORT_GENERATE"):
        assert refused(asks, name, payload(name, olga)) == 403, name
    assert refused(caller(scopes=["jobs:enqueue", "messages:send"]), "SMS_SEND", {"to": "+4915199", "body": "x"}) == 403
    assert refused(caller(), "notifications.send_email", {"message": "x"}) == 403, "its own name is no door"
    assert refused(caller(tasks=["probe.ok"]), "EMAIL_SEND", NAMES["EMAIL_SEND"][0]) == 403
    assert refused(caller(tenants=["north"]), "CLEANUP", CLEAN[0]) == 403


def test_another_tenants_customers_and_files_are_not_there(caller: Make) -> None:
    bob(tenant="south", external_id="bob-1")
    theirs = storage.keep(io.BytesIO(hostile.picture()), "a", "x", storage.Whose(tenant="south"))
    asks = caller(tenants=["north"])
    assert refused(asks, "USER_NOTIFICATION", {"userId": "bob-1", "title": "x", "body": "x"}) == 422
    assert (
        refused(asks, "FILE_PROCESS", {"filePath": str(theirs.pk), "operation": "resize", "options": {"width": 3}})
        == 422
    )
    south = caller(tenants=["south"])
    made = south.post("/jobs", {"type": "USER_NOTIFICATION", "data": {"userId": "bob-1", "title": "x", "body": "x"}})
    assert made.status_code == 201 and DirectMessage.objects.get().tenant == Job.objects.get().tenant == "south"


def test_many_at_once_keep_a_row_for_each_that_is_new_alone(caller: Make, worker: Any) -> None:
    call = {"type": "SMS_SEND", "data": SMS[0], "unique_key": "once"}
    others = [{"type": "SMS_SEND", "data": SMS[0]}, {"type": "DATA_EXPORT", "data": EXPORT[0]}, {"type": "SMS_SEND"}]
    told = caller().post("/jobs/bulk", {"jobs": [call, call, *others]}).data
    assert [row["result"] for row in told["results"]] == ["created", "existing", "created", "created", "refused"]
    assert DirectMessage.objects.count() == 2 and Export.objects.count() == 1
    worker.run_due()
    assert OutboxMessage.objects.count() == 2


def test_it_goes_at_the_time_of_its_job_and_not_after_it_is_of_use(caller: Make, worker: Any) -> None:
    asks = caller()
    later = asks.post("/jobs", {"type": "SMS_SEND", "data": SMS[0], "options": {"delay": 3_600_000}}).data["id"]
    stale = asks.post("/jobs", {"type": "SMS_SEND", "data": SMS[0], "expires": 1, "delay": 60}).data["id"]
    worker.run_due()
    assert not OutboxMessage.objects.exists()
    message, job = DirectMessage.objects.get(pk=later), Job.objects.get(pk=later)
    assert message.send_at == job.run_at
    Job.objects.filter(pk=stale).update(state="expired", finished_at=timezone.now())
    direct_ends.settle()
    told = DirectMessage.objects.get(pk=stale)
    assert (told.state, told.reason) == ("skipped", "too_late")
    assert told.useful_until and told.useful_until < timezone.now() + DAY
    reconciler.settle_all()
    assert DirectMessage.objects.get(pk=later).state == "planned"


def test_who_may_not_write_is_not_told_who_is_a_customer(caller: Make) -> None:
    asks = caller(scopes=["jobs:enqueue"])
    people = ({"to": "alice@example.com"}, {"to": "x@example.com"}, {"userId": "user123"}, {"userId": "nobody"})
    told = [asks.post("/jobs", {"type": "EMAIL_SEND", "data": {**one, "subject": "x", "body": "x"}}) for one in people]
    assert {(answer.status_code, answer.data["detail"]) for answer in told} == {(403, told[0].data["detail"])}


def test_who_may_not_see_addresses_is_not_told_whose_they_are(caller: Make) -> None:
    asks = caller(scopes=["jobs:enqueue", "messages:send"])
    for to in ("alice@example.com", "x@example.com"):
        assert refused(asks, "EMAIL_SEND", {"to": to, "subject": "x", "template": "none"}) == 403, to


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
