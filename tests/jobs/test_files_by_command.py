"""Files in and out by the command line: kept for a job, and had of one."""

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from jobs.library import storage, warm
from jobs.library.storage import Whose
from jobs.models import StoredFile
from tests.factories import alice, make_job
from tests.jobs.shell import Shell
from tests.library import hostile

pytestmark = pytest.mark.django_db
jobs = Shell("jobs")


@pytest.fixture(autouse=True)
def work(settings: Any, tmp_path: Path) -> None:
    settings.JOBS_WORK_DIR = tmp_path / "work"


def test_a_picture_goes_in_and_comes_out_smaller(worker: Any, tmp_path: Path) -> None:
    photo, small = tmp_path / "photo.png", tmp_path / "small.png"
    photo.write_bytes(hostile.picture(640, 480))
    (kept,) = jobs.lines("keep", str(photo), "--for", "1d")
    data = {"filePath": kept["id"], "operation": "resize", "options": {"width": 32}}
    (made,) = jobs.lines("enqueue", "FILE_PROCESS", "--data", json.dumps(data))
    assert jobs.refuses("fetch", made["id"], str(small))[0] == 3 and not small.exists()
    worker.drain()
    (told,) = jobs.lines("fetch", made["id"], str(small))
    assert small.stat().st_size == told["size"] and small.stat().st_mode & 0o777 == 0o600
    with Image.open(small) as picture:
        assert picture.size == (32, 24)


def test_an_export_that_was_asked_for_here_can_be_had_here(worker: Any, tmp_path: Path) -> None:
    """It tells names and nobody's login owns it, so no page hands it out."""
    alice(name="Alice")
    data = {"source": "customers", "exportType": "csv", "columns": ["name"]}
    (made,) = jobs.lines("enqueue", "DATA_EXPORT", "--data", json.dumps(data))
    worker.drain()
    jobs.lines("fetch", made["id"], str(tmp_path / "out.csv"))
    assert (tmp_path / "out.csv").read_text().split() == ['"name"', '"Alice"']


@pytest.fixture
def kept(tmp_path: Path) -> str:
    (tmp_path / "a.txt").write_text("hello")
    return str(jobs.lines("keep", str(tmp_path / "a.txt"), "--tenant", "north")[0]["id"])


def test_what_was_kept_is_of_its_tenant_and_comes_back_as_it_was(kept: str, tmp_path: Path) -> None:
    file = StoredFile.objects.get(pk=kept)
    assert (file.name, file.content_type, file.tenant, file.size) == ("a.txt", "text/plain", "north", 5)
    assert "a.txt" in jobs.screen("fetch", kept, str(tmp_path / "b.txt"))
    assert (tmp_path / "b.txt").read_text() == "hello"


def test_a_file_that_is_there_is_not_written_over_unless_one_says_so(kept: str, tmp_path: Path) -> None:
    (tmp_path / "b.txt").write_text("mine")
    assert "is there already" in jobs.refuses("fetch", kept, str(tmp_path / "b.txt"))[1]
    assert (tmp_path / "b.txt").read_text() == "mine"
    jobs.lines("fetch", kept, str(tmp_path / "b.txt"), "--force")
    assert (tmp_path / "b.txt").read_text() == "hello"


def test_of_two_files_of_a_job_one_has_to_be_named(kept: str, tmp_path: Path) -> None:
    job = make_job("succeeded")
    for name in ("a.html", "a.pdf"):
        storage.keep(tmp_path / "a.txt", name, "x", Whose(job_id=job.pk))
    code, says = jobs.refuses("fetch", str(job.pk), str(tmp_path / "b"))
    assert code == 2 and "It made 2 files" in says and "(a.pdf)" in says


def test_what_the_storage_has_lost_is_said(kept: str, tmp_path: Path) -> None:
    storage.storage().delete(StoredFile.objects.get(pk=kept).key)
    assert jobs.refuses("fetch", kept, str(tmp_path / "b"))[0] == 3
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_a_source_that_there_is_not_is_refused_without_the_checkers_jargon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warm, "_registered", {})
    says = jobs.refuses("enqueue", "CACHE_WARM", "--data", '{"dataSource": "x"}')[1]
    assert "Argument source: there is no source 'x'" in says
