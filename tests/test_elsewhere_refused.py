"""The payloads of other systems: what has no meaning is refused, and whose it is, is asked."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from jobs.files import Export
from jobs.library import storage, warm
from jobs.models import Job
from notifications import direct_ends, reconciler
from notifications.models import DirectMessage, MessageTemplate, OutboxMessage
from tests.api.callers import Caller, Make
from tests.api.conftest import caller as caller
from tests.elsewhere import CLEAN, EXPORT, NAMES, PHONE, SMS, olga as olga, payload
from tests.factories import DAY, alice, bob
from tests.jobs.shell import Shell
from tests.library import hostile

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def place(settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Roots to clean, a value to warm, words to say, and somebody to write to."""
    settings.JOBS_WORK_DIR = tmp_path / "work"
    settings.JOBS_CLEAN_ROOTS = {"work": tmp_path / "work", "logs": tmp_path / "logs"}
    for folder in settings.JOBS_CLEAN_ROOTS.values():
        folder.mkdir()
    monkeypatch.setattr(warm, "_registered", {"prices": warm.Figure("prices", lambda: 42, 60)})
    for name in ("welcome", "test"):
        MessageTemplate.objects.create(
            message=name, channel="email", locale="en", subject="Words", text="Hello {{ customer.name }}"
        )
    alice(phone=PHONE, external_id="user123")
    return tmp_path


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
