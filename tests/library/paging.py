"""Exports and files as people meet them on their pages."""

from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from jobs.files import Export
from jobs.ids import new_id
from jobs.library import exports, people
from jobs.library.exports import Wanted
from jobs.models import Job, JobEvent, StoredFile
from tests.factories import alice
from tests.jobs.test_scopes import person
from tests.library.test_storage import got, stored

FILES, EXPORTS = reverse("admin:jobs_storedfile_changelist"), reverse("admin:jobs_export_changelist")
ASK = reverse("admin:jobs_export_add")


def page(model: str, pk: Any, what: str = "change", *more: str) -> str:
    return reverse(f"admin:jobs_{model}_{what}", args=[pk, *more])


def asked(user: User, source: str = "customers", **wanted: Any) -> Export:
    return exports.ask(Wanted(source=source, **wanted), people.of(user))


def downloaded(client: Client, row: Any) -> Any:
    """As a browser does: the button, and where it leads."""
    answer = client.post(page(row._meta.model_name, row.pk, "do", "download"))
    assert answer.status_code == 302, answer.content.decode()
    assert "/files/" in answer["Location"], answer["Location"]
    return got(client, answer["Location"])


def everything() -> list[Any]:
    return [list(one._default_manager.order_by("pk").values()) for one in (StoredFile, Export, Job, JobEvent, LogEntry)]


@pytest.fixture
def file() -> StoredFile:
    return stored(tenant="one", job_id=new_id())


@pytest.fixture
def maria() -> User:
    return person("Manager")


def refused(client: Client, row: Any) -> None:
    shown = client.get(page(row._meta.model_name, row.pk))
    assert shown.context["withheld"] and not [one for one in shown.context["verbs"] if one["verb"].name == "download"]
    assert client.post(page(row._meta.model_name, row.pk, "do", "download")).status_code == 403
    assert not LogEntry.objects.exists()


@pytest.fixture
def export(worker: Any, maria: User) -> Export:
    alice()
    made = asked(maria)
    worker.run_due()
    made.refresh_from_db()
    assert made.file is not None and made.file.personal
    return made
