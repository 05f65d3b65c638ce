"""Disks that are full or forbid: it is no file's fault, other work goes on, and who looks is told what to do."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from jobs.library import clean_up, exports, old_files, parts, people, pictures, storage, texts
from jobs.library.clean_up import Wanted
from jobs.library.exports import Wanted as Rows
from jobs.models import Job, StoredFile
from tests.factories import DAY, HOUR
from tests.library import hostile
from tests.library.exporting import FORMATS, content, customers, rows_of
from tests.library.stored import stored
from tests.library.test_clean_up import make_file

pytestmark = pytest.mark.django_db
FULL = Path("/dev/full")  # every write says that there is no room
NOBODY = 65534

full = pytest.mark.skipif(not FULL.exists(), reason="no /dev/full on this system")


@full
@pytest.mark.parametrize("of", ["target", "answer"])
@pytest.mark.parametrize("kind", ["picture", "text"])
def test_a_file_is_not_blamed_for_a_full_disk_and_is_worked_on_later(
    kind: str, of: str, worker: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    if kind == "picture":
        handle = pictures.change_picture.delay(stored(hostile.picture(900, 900)).pk, [{"do": "compress"}])
    else:
        handle = texts.extract_text.delay(stored(b"Hello " * 5000).pk)
    copied = storage.copy

    def to_a_full_disk(file: StoredFile, to: Path) -> None:
        copied(file, to)
        (to.parent / of).symlink_to(FULL)

    monkeypatch.setattr(storage, "copy", to_a_full_disk)
    worker.run_due()
    job = Job.objects.get(pk=handle.id)
    assert job.failures == 1 and "make room" in job.reason, job.reason  # its next attempt may be queued at once
    monkeypatch.undo()
    Job.objects.filter(pk=handle.id, state="scheduled").update(run_at=datetime.now(UTC) - HOUR)
    worker.run_due()
    assert Job.objects.get(pk=handle.id).state == "succeeded"


@full
@pytest.mark.parametrize("form", FORMATS)
def test_an_export_goes_on_once_there_is_room(form: str, worker: Any) -> None:
    customers([f"Customer {n}" for n in range(30)])
    export = exports.ask(Rows(source="customers", format=form), people.trusted("olga"))  # type: ignore[arg-type]
    parts._path(export.pk, 1).symlink_to(FULL)
    worker.run_due()
    job = Job.objects.get(pk=export.pk)
    assert job.failures == 1 and "No space left" in job.reason, job.reason
    Job.objects.filter(pk=export.pk, state="scheduled").update(run_at=datetime.now(UTC) - HOUR)
    worker.run_due()
    assert len(rows_of(form, content(export))) == 30


# --- Clean-up -------------------------------------------------------------------------------------------


@pytest.fixture
def logs(settings: Any, work: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A root whose files a stranger cleans up, if these tests are root's, who may everything."""
    root = Path(tempfile.mkdtemp())
    root.chmod(0o777)
    settings.JOBS_CLEAN_ROOTS = {"work": work, "logs": root}
    removed = old_files.removed

    def by_nobody(*args: Any, **kwargs: Any) -> Iterator[list[str]]:
        found = removed(*args, **kwargs)
        if args[0] != root:
            yield from found
        while True:
            me = os.geteuid()
            if me == 0:
                os.seteuid(NOBODY)
            try:
                batch = next(found, None)
            finally:
                os.seteuid(me)
            if batch is None:
                return
            yield batch

    monkeypatch.setattr(old_files, "removed", by_nobody)
    yield root
    for folder in root.iterdir():
        folder.chmod(0o700)
    shutil.rmtree(root)


def test_what_cannot_be_deleted_keeps_nothing_else_from_being_cleaned_up(worker: Any, logs: Path, work: Path) -> None:
    stays, hidden = make_file(logs / "a" / "stays.log"), make_file(logs / "b" / "hidden.log")
    goes, temporary = make_file(logs / "z.log"), make_file(work / "left.part")
    (logs / "a").chmod(0o555)
    (logs / "b").chmod(0o000)
    handle = clean_up.clean_up.delay(Wanted(what=["old_logs", "temp_files"], older_than=2 * DAY))
    worker.run_due()
    job = Job.objects.get(pk=handle.id)
    assert stays.exists() and not goes.exists() and not temporary.exists()
    assert job.state == "failed" and job.failures == 1
    assert "2 were cleaned up, 2 could not be read or deleted: a/stays.log: Permission denied; b: " in job.reason
    (logs / "b").chmod(0o700)
    assert hidden.exists()


def test_a_root_that_may_not_be_read_is_named(worker: Any, logs: Path, work: Path) -> None:
    temporary = make_file(work / "left.part")
    logs.chmod(0o000)
    handle = clean_up.clean_up.delay(Wanted(what=["old_logs", "temp_files"], older_than=2 * DAY))
    worker.run_due()
    logs.chmod(0o777)
    assert not temporary.exists() and f"{logs}: Permission denied" in Job.objects.get(pk=handle.id).reason
