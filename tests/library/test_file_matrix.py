"""The pages of files and exports: role x action x tenant."""

from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.urls import reverse

from config.theme.verbs import WithVerbs
from jobs.admin import exports as export_pages, files as file_pages
from jobs.files import Export
from jobs.models import Job, JobEvent, StoredFile
from tests.library.paging import ASK, EXPORTS, FILES, asked, everything, export as export, file as file, page
from tests.notifications.roles import MANAGER, OPERATOR, ROLES, SEES, VIEWER, client_of, expected

pytestmark = pytest.mark.django_db


FILE_PAGES = [("change", VIEWER), ("history", VIEWER)]


def test_every_verb_of_these_pages_is_tried_below() -> None:
    pages: list[type[WithVerbs]] = [file_pages.StoredFileAdmin, export_pages.ExportAdmin]
    assert [[verb.name for verb in one.verbs] for one in pages] == [["download"], ["download", "cancel"]]


@pytest.mark.parametrize("sees", SEES)
@pytest.mark.parametrize("role", ROLES)
def test_a_file_by_role_and_tenant(file: StoredFile, role: str, sees: str) -> None:
    client = client_of(role, sees)
    assert client.get(FILES).status_code == (200 if role in VIEWER else 403)
    assert client.get(reverse("admin:jobs_storedfile_add")).status_code == 403
    before = everything()
    for what, allowed in FILE_PAGES:
        assert client.get(page("storedfile", file.pk, what)).status_code == expected(role, sees, allowed, 200)
    assert client.get(page("storedfile", file.pk, "do", "download")).status_code == expected(role, sees, VIEWER, 200)
    assert everything() == before, "a GET changes nothing"
    answer = client.post(page("storedfile", file.pk, "do", "download"))
    assert answer.status_code == expected(role, sees, VIEWER, 302)
    assert LogEntry.objects.filter(change_message="download", object_id=file.pk).count() == (answer.status_code == 302)


EXPORT_ACTIONS: list[tuple[str, tuple[str, ...], tuple[str, ...], dict[str, Any], int]] = [
    ("change", (), VIEWER, {}, 200),
    ("history", (), VIEWER, {}, 200),
    ("live", (), VIEWER, {}, 200),
    ("do", ("cancel",), OPERATOR, {"reason": "a slip", "_confirmed": "yes"}, 302),
]


@pytest.mark.parametrize("sees", [*SEES, "all, and it is another's"])
@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(
    ("what", "more", "allowed", "said", "fine"), EXPORT_ACTIONS, ids=[one[0] for one in EXPORT_ACTIONS]
)
def test_an_export_by_role_and_tenant(
    role: str, sees: str, what: str, more: Any, allowed: Any, said: dict[str, Any], fine: int
) -> None:
    """Who has a scope has the exports that he asked for; who has none sees those of all."""
    export = asked(User.objects.create_superuser("root"))
    client = client_of(role, sees.partition(",")[0])
    if sees in ("all", "its own"):
        Export.objects.update(user=User.objects.get(username=role.lower()))
    url, code = page("export", export.pk, what, *more), expected(role, sees, allowed, fine)
    before = everything()
    assert client.get(url).status_code == (code if code in (403, 404) else 200)
    assert everything() == before, "a GET changes nothing"
    if said:
        assert client.post(url, said).status_code == code
        assert Job.objects.get(pk=export.pk).state == ("cancelled" if code == 302 else "scheduled")
        assert LogEntry.objects.count() == JobEvent.objects.count() == (code == 302)


@pytest.mark.parametrize("role", ROLES)
def test_who_may_ask_for_an_export(role: str) -> None:
    client = client_of(role)
    assert client.get(EXPORTS).status_code == (200 if role in VIEWER else 403)
    for source in ("", "?source=bookings"):
        assert client.get(ASK + source).status_code == (200 if role in MANAGER else 403)
    said = {"format": "csv", "columns": ["id"]}
    assert client.post(f"{ASK}?source=bookings", said).status_code == (302 if role in MANAGER else 403)
    assert Export.objects.count() == Job.objects.count() == LogEntry.objects.count() == (role in MANAGER)
