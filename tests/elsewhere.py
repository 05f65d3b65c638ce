"""The names of other systems, a payload for each, and what shows that its work was done."""

import io
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core import mail
from django.utils import timezone

from jobs.files import Export
from jobs.library import storage, warm
from jobs.models import Job
from notifications.models import DirectMessage, InboxItem, OutboxMessage, Report
from tests.factories import HOUR
from tests.library import hostile

PHONE = "+4915123456789"


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
