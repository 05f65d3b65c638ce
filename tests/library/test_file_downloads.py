"""Who gets a file by the pages, and for how long."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.utils import timezone

from jobs.files import Export
from jobs.models import JobScope, StoredFile
from tests.factories import HOUR
from tests.jobs.test_scopes import client_of as client_of_user, person
from tests.library.paging import FILES, asked, downloaded, export as export, file as file, maria as maria, page, refused
from tests.library.test_storage import got, stored

pytestmark = pytest.mark.django_db


def test_a_personal_file_is_not_even_for_who_may_everything(export: Export) -> None:
    root = client_of_user(User.objects.create_superuser("root"))
    refused(root, export)
    refused(root, export.file)


@pytest.mark.parametrize("lost", ["reveal_customer", "view_customer"])
def test_who_has_lost_a_permission_gets_it_no_more(export: Export, maria: User, lost: str) -> None:
    group = maria.groups.get()
    group.permissions.remove(Permission.objects.get(codename=lost))
    refused(client_of_user(maria), export)
    refused(client_of_user(maria), export.file)


def test_a_masked_export_is_for_who_asked_alone(worker: Any, maria: User) -> None:
    olga = person("Operator")
    olga.user_permissions.add(Permission.objects.get(codename="add_export"))
    made = asked(olga)
    worker.run_due()
    made.refresh_from_db()
    assert made.file is not None and not made.file.personal
    refused(client_of_user(maria), made)
    refused(client_of_user(maria), made.file)
    assert downloaded(client_of_user(olga), made.file).status_code == 200
    User.objects.filter(pk=olga.pk).delete()
    LogEntry.objects.all().delete()
    refused(client_of_user(maria), made.file)


def test_a_file_of_no_tenant_may_be_about_all(maria: User) -> None:
    file = stored()
    assert downloaded(client_of_user(maria), file).status_code == 200
    LogEntry.objects.all().delete()
    JobScope.objects.create(user=maria, tenants=["", "one"])
    refused(client_of_user(maria), file)


def test_a_link_ends_after_its_minute_and_with_its_file(export: Export, maria: User) -> None:
    client = client_of_user(maria)
    link = client.post(page("export", export.pk, "do", "download"))["Location"]
    assert got(client, link).status_code == 200
    with time_machine.travel(timezone.now() + timedelta(seconds=61)):
        assert got(client, link).status_code == 410
    StoredFile.objects.update(expires_at=timezone.now() - HOUR)
    assert got(client, link).status_code == 410
    over = client.post(page("export", export.pk, "do", "download"), follow=True)
    assert "has been cleaned up" in over.content.decode()
    assert LogEntry.objects.filter(change_message="download").count() == 1


def test_a_link_of_a_personal_file_is_of_no_use_to_another(export: Export, maria: User) -> None:
    link = client_of_user(maria).post(page("export", export.pk, "do", "download"))["Location"]
    assert "/login/" in got(Client(), link)["Location"]
    assert got(client_of_user(User.objects.create_superuser("root")), link).status_code == 403


def test_each_use_of_a_link_is_in_the_log(file: StoredFile, maria: User, caplog: Any) -> None:
    caplog.set_level("INFO")
    link = client_of_user(maria).post(page("storedfile", file.pk, "do", "download"))["Location"]
    got(Client(), link)
    assert f"file={file.pk} handed out user=None" in caplog.messages and file.name not in caplog.text


def texts(client: Client, file: StoredFile) -> Iterator[str]:
    yield client.get(FILES).content.decode()
    for what in ("change", "history"):
        yield client.get(page("storedfile", file.pk, what)).content.decode()


def test_what_a_strangers_personal_file_is_called_is_not_told(maria: User) -> None:
    file = stored(name="Alice Ähre, teeth.jpg", owner_id=maria.pk, personal=True)
    olga = client_of_user(person("Operator"))
    for text in texts(olga, file):
        assert "Alice" not in text and "teeth" not in text
    assert "•••.jpg" in olga.get(FILES).content.decode()
    for guess in ("?q=Alice", "?q=teeth"):
        assert page("storedfile", file.pk) not in olga.get(FILES + guess).content.decode()
    for lookup in ("name__startswith=Alice", "name=x", "owner__password__startswith=md5"):
        assert olga.get(f"{FILES}?{lookup}").status_code == 400
    assert "Alice Ähre, teeth.jpg" in client_of_user(maria).get(FILES).content.decode()
