"""Reports that are mailed to staff."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.utils import timezone

from config import roles
from jobs.models import Job
from notifications.channels import CHANNELS
from notifications.models import ReportMail
from notifications.reports.mails import mail_report
from tests.notifications.providers import Provider


def staff(name: str, role: str = "Operator", **fields: Any) -> User:
    roles.install()
    usual: dict[str, Any] = {"email": f"{name}@staff.example", "is_staff": True}
    user = User.objects.create_user(name, **usual | fields)
    user.groups.set(Group.objects.filter(name=role))
    return user


@pytest.fixture
def olga() -> User:
    return staff("olga")


def order(*users: User, **others: Any) -> Job:
    said: dict[str, Any] = {
        "kind": "week",
        "zone": "Europe/Berlin",
        "language": "en",
        "users": [one.pk for one in users],
    }
    return Job.objects.get(pk=mail_report.apply_async(kwargs=said | others).id)


def run_all(worker: Any) -> None:
    """Until nothing is due within the next ten minutes: the report, then the mails."""
    for _ in range(4):
        Job.objects.filter(state="scheduled").update(run_at=timezone.now() - timedelta(minutes=1))
        worker.run_due()


def run_due(worker: Any) -> None:
    """The same, with the first run at the time that the job has."""
    worker.run_due()
    run_all(worker)


def states() -> dict[str, str]:
    return {one.user.username: one.state for one in ReportMail.objects.select_related("user")}


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Provider:
    made = Provider()
    monkeypatch.setitem(CHANNELS, "email", made)
    return made
