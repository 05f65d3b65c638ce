"""Files: where they are kept, what they are called, and who gets one by its link."""

import io
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from jobs.library import storage
from jobs.library.storage import Whose
from jobs.models import StoredFile
from tests.jobs.test_scopes import client_of, person

pytestmark = pytest.mark.django_db


def stored(content: bytes = b"a;b", name: str = "list.csv", mime: str = "text/csv", **whose: Any) -> StoredFile:
    return storage.keep(io.BytesIO(content), name, mime, Whose(**whose))


def got(client: Client, link: str) -> Any:
    answer: Any = client.get(urlsplit(link).path)
    answer.body = answer.getvalue() if answer.streaming else answer.content
    return answer


def test_a_file_is_kept_under_its_id_and_known_by_its_sum(kept: Path) -> None:
    file = stored(b"hello", "Ärger am Montag.txt")
    assert (file.name, file.size) == ("Ärger am Montag.txt", 5)
    assert file.sha256 == "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
    (path,) = kept.glob(f"*/{file.pk.hex}")
    assert path.read_bytes() == b"hello" and path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    "name",
    [
        "../../etc/passwd",
        "/etc/passwd",
        "..",
        ".",
        "",
        "C:\\Windows\\system.ini",
        "\\\\server\\share\\x",
        "a\x00b.csv",
        "a\r\nSet-Cookie: x=1.csv",
        "evil\u202egpj.exe",
        "x" * 5000,
        "x" * 5000 + ".csv",
        "." * 300,
        "a" + "." + "b" * 400,
    ],
)
def test_a_name_is_never_a_path_nor_a_header(name: str, kept: Path) -> None:
    file = stored(name=name)
    assert list(kept.rglob(file.pk.hex)) == [kept / file.key]
    assert not set("/\\\x00\r\n\u202e") & set(file.name) and 0 < len(file.name) <= 150
    answer = got(Client(), storage.link(file))
    assert answer.status_code == 200 and answer["Content-Disposition"].startswith("attachment")


def test_a_link_gives_the_file_without_a_login_to_save_and_not_to_show() -> None:
    answer = got(Client(), storage.link(stored(b"<script>alert(1)</script>", "x.html", "text/html")))
    assert answer.status_code == 200 and answer.body == b"<script>alert(1)</script>"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Content-Disposition"] == 'attachment; filename="x.html"'
    assert "no-store" in answer["Cache-Control"]


def test_a_link_that_was_changed_opens_nothing() -> None:
    link, other = storage.link(stored()), stored()
    path = urlsplit(link).path
    assert Client().get(path[:-3] + "/").status_code == 404
    assert Client().get(path.replace("/files/", "/files/x")).status_code == 404
    assert Client().get(f"/files/{other.pk}/").status_code == 404


def test_a_link_ends_with_its_time_and_with_its_file(kept: Path) -> None:
    file = stored()
    assert got(Client(), storage.link(file, timedelta(seconds=-1))).status_code == 410
    link = storage.link(file, timedelta(days=300))
    assert got(Client(), link).status_code == 200
    StoredFile.objects.update(expires_at=timezone.now())
    assert got(Client(), link).status_code == 410
    storage.remove([file])
    assert got(Client(), link).status_code == 410 and not list(kept.rglob(file.pk.hex))


def test_a_link_goes_on_working_when_the_secret_key_is_changed(settings: Any) -> None:
    link = storage.link(stored())
    settings.SECRET_KEY_FALLBACKS, settings.SECRET_KEY = [settings.SECRET_KEY], "another" * 9
    assert got(Client(), link).status_code == 200


def test_a_personal_file_is_for_its_owner_while_he_may_see_customers() -> None:
    owner, other = person("Manager"), User.objects.create_superuser("boss")
    mine: dict[str, Any] = {"owner_id": owner.pk, "personal": True, "permission": "notifications.reveal_customer"}
    link = storage.link(stored(**mine))
    stranger = got(Client(), link)
    assert stranger.status_code == 302 and "login" in stranger["Location"]
    assert got(client_of(owner), link).status_code == 200
    assert got(client_of(other), link).status_code == 403
    owner.groups.clear()
    assert got(client_of(owner), link).status_code == 403


def test_a_file_that_nobody_owns_any_more_is_nobodys() -> None:
    owner = person("Manager")
    link = storage.link(stored(owner_id=owner.pk, personal=True))
    owner.delete()
    assert got(client_of(User.objects.create_superuser("boss")), link).status_code == 403


def test_a_file_that_the_storage_lost_is_told_as_gone(kept: Path) -> None:
    file = stored()
    (kept / file.key).unlink()
    assert got(Client(), storage.link(file)).status_code == 410
    with pytest.raises(storage.Missing):
        storage.read(file)


def test_only_looking_is_allowed_at_a_link() -> None:
    assert Client().post(urlsplit(storage.link(stored())).path).status_code == 405
