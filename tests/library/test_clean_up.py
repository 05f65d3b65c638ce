"""Clean-up: which files and rows go, what stays whatever is asked for, and that no name leads out of the root."""

import io
import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.utils import timezone
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from jobs import ledger
from jobs.durable import PayloadError
from jobs.library import clean_up, cleaners, storage
from jobs.library.clean_up import Wanted
from jobs.library.storage import Whose
from jobs.models import Job, StoredFile, UniqueKey
from tests.factories import DAY, make_job

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def roots(settings: Any, work: Path, tmp_path: Path) -> Path:
    settings.JOBS_CLEAN_ROOTS = {"work": work, "logs": tmp_path / "logs"}
    (tmp_path / "logs").mkdir()
    return tmp_path / "logs"


def cleaned(worker: Any, *what: str, older_than: Any = 2 * DAY, **said: Any) -> dict[str, Any]:
    handle = clean_up.clean_up.delay(Wanted(what=list(what), older_than=older_than, **said))
    worker.run_due()
    job = Job.objects.get(pk=handle.id)
    assert job.state == "succeeded", job.reason
    assert isinstance(job.result, dict)
    return job.result


def make_file(path: Path, days: float = 10) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("x")
    old = (timezone.now() - timedelta(days=days)).timestamp()
    os.utime(path, (old, old))
    return path


# --- Files beneath a root -------------------------------------------------------------------------------


def test_old_files_go_and_young_ones_and_others_stay(worker: Any, roots: Path) -> None:
    old, young = make_file(roots / "a.log"), make_file(roots / "b.log", days=0)
    deep, other = make_file(roots / "2026" / "may" / "c.log"), make_file(roots / "d.txt")
    told = cleaned(worker, "old_logs", pattern="*.log")
    assert told["counts"] == {"old_logs": 2} and told["shown"] == {"old_logs": ["2026/may/c.log", "a.log"]}
    assert [path.exists() for path in (old, young, deep, other)] == [False, True, False, True]


def test_a_dry_run_lists_the_same_and_deletes_nothing(worker: Any, roots: Path) -> None:
    make_file(roots / "a.log")
    dry = cleaned(worker, "old_logs", dry_run=True)
    assert (roots / "a.log").exists() and dry["dry_run"]
    assert cleaned(worker, "old_logs") == dry | {"dry_run": False}
    assert not (roots / "a.log").exists()


def test_no_link_leads_out_of_the_root(worker: Any, roots: Path, tmp_path: Path) -> None:
    outside = make_file(tmp_path / "outside" / "precious.log")
    (roots / "folder").symlink_to(outside.parent, target_is_directory=True)
    (roots / "file.log").symlink_to(outside)
    os.link(outside, roots / "hard.log")  # a name of its own: it may go, the other stays
    assert cleaned(worker, "old_logs")["shown"]["old_logs"] == ["hard.log"]
    assert outside.exists() and (roots / "file.log").is_symlink()


@pytest.mark.parametrize("folder", ["..", "../outside", "/etc", "a/../../outside", "a\x00", "..\\outside"])
def test_a_folder_outside_of_the_root_is_refused_at_the_call(folder: str) -> None:
    with pytest.raises(ValueError, match="within the root"):
        Wanted(what=["old_logs"], older_than=DAY, folder=folder)


def test_a_folder_that_is_a_link_is_refused(worker: Any, roots: Path, tmp_path: Path) -> None:
    outside = make_file(tmp_path / "outside" / "precious.log")
    (roots / "link").symlink_to(outside.parent, target_is_directory=True)
    handle = clean_up.clean_up.delay(Wanted(what=["old_logs"], older_than=DAY, folder="link"))
    worker.run_due()
    job = Job.objects.get(pk=handle.id)
    assert outside.exists()
    assert job.state == "failed" and "it is a link" in job.reason


def test_a_directory_exchanged_for_a_link_meanwhile_leads_nowhere(
    roots: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from jobs.library import old_files

    outside = make_file(tmp_path / "outside" / "precious.log")
    make_file(roots / "folder" / "a.log")
    inner = old_files._Walk._inner

    def exchanged(self: Any, directory: int, name: str, *rest: Any) -> Any:
        (roots / "folder").rename(roots / "elsewhere")
        (roots / "folder").symlink_to(outside.parent, target_is_directory=True)
        return inner(self, directory, name, *rest)

    monkeypatch.setattr(old_files._Walk, "_inner", exchanged)
    now = timezone.now().timestamp()
    stuck: list[str] = []
    assert list(old_files.removed(roots, "", "*", now, batch=lambda: 10, dry_run=False, stuck=stuck)) == []
    assert not stuck
    assert outside.exists()


@pytest.mark.parametrize(
    ("said", "says"),
    [
        ({"what": ["everything"]}, "nothing called 'everything'"),
        ({"what": []}, "at least 1"),
        ({"what": ["temp_files"], "older_than": 3600}, "nothing younger than 21600 seconds"),
        ({"what": ["personal_data"], "older_than": DAY}, "younger"),
        ({"what": ["old_logs"], "root": "/"}, "no root '/'"),
        ({"what": ["old_logs"], "pattern": "../*"}, "file's name"),
        ({"what": ["old_logs"], "older_than": -1}, "greater than or equal"),
        ({"what": ["old_logs"], "path": "/etc"}, "not permitted"),
        ({"what": ["old_logs"], "at_most": 0}, "greater than or equal"),
    ],
)
def test_what_is_not_allowed_is_refused_at_the_call(said: dict[str, Any], says: str) -> None:
    with pytest.raises(PayloadError, match=says):
        clean_up.clean_up.delay({"older_than": 2 * DAY} | said)
    assert not Job.objects.exists()


@pytest.mark.parametrize("said", [172800, "P2D", "PT48H", 2 * DAY])
def test_seconds_and_iso_durations_are_understood(said: Any) -> None:
    assert Wanted(what=["old_logs"], older_than=said).older_than == 2 * DAY


def test_a_run_deletes_no_more_than_it_was_allowed(worker: Any, roots: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cleaners, "BATCH", 2)
    for n in range(9):
        make_file(roots / f"{n}.log")
    told = cleaned(worker, "old_logs", at_most=4)
    assert told["counts"] == {"old_logs": 4} and told["more_is_left"]
    assert len(list(roots.iterdir())) == 5


def test_a_run_that_may_delete_one_deletes_one(worker: Any, roots: Path) -> None:
    for n in range(3):
        make_file(roots / f"{n}.log")
        make_job(state="succeeded", finished_at=timezone.now() - 400 * DAY)
    assert cleaned(worker, "old_logs", at_most=1)["counts"] == {"old_logs": 1}
    assert len(list(roots.iterdir())) == 2
    before = Job.objects.filter(finished_at__lt=timezone.now() - 300 * DAY).count()
    assert cleaned(worker, "old_jobs", at_most=2)["counts"] == {"old_jobs": 2}
    assert Job.objects.filter(finished_at__lt=timezone.now() - 300 * DAY).count() == before - 2


def test_a_cancel_stops_it_between_two_batches(worker: Any, roots: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cleaners, "BATCH", 1)
    make_file(roots / "1.log"), make_file(roots / "2.log")
    handle = clean_up.clean_up.delay(Wanted(what=["old_logs"], older_than=DAY))
    unlink = os.unlink

    def asked(*args: Any, **kwargs: Any) -> None:
        ledger.cancel([Job.objects.get(pk=handle.id).pk], "stop")
        unlink(*args, **kwargs)

    monkeypatch.setattr(os, "unlink", asked)
    worker.run_due()
    assert Job.objects.get(pk=handle.id).state == "cancelled"
    assert len(list(roots.iterdir())) == 1


# --- Rows -----------------------------------------------------------------------------------------------


def test_sessions_that_are_over_go(worker: Any) -> None:
    for days in (-10, 1):
        session = SessionStore()
        session["user"] = days
        session.save()
        Session.objects.filter(pk=session.session_key).update(expire_date=timezone.now() + timedelta(days=days))
    told = cleaned(worker, "expired_sessions")
    assert told["counts"] == {"expired_sessions": 1} and told["shown"] == {"expired_sessions": ["session 1"]}
    assert Session.objects.count() == 1


def test_files_that_are_over_go_with_their_content_and_so_does_what_has_no_row(worker: Any) -> None:
    old, young, lost = (
        storage.keep(io.BytesIO(b"x"), "x", "text/plain", Whose(keep=keep)) for keep in (-3 * DAY, DAY, DAY)
    )
    place = Path(storage.storage().path(""))
    StoredFile.objects.filter(pk=lost.pk).delete()
    make_file(place / lost.key)
    fresh = storage.keep(io.BytesIO(b"x"), "x", "text/plain")
    StoredFile.objects.filter(pk=fresh.pk).delete()  # its writer may still be at it
    dry = cleaned(worker, "expired_files", dry_run=True)
    assert dry["shown"]["expired_files"] == [f"file {old.pk}", f"file without a row {lost.pk}"]
    assert cleaned(worker, "expired_files")["counts"] == dry["counts"]
    assert [(place / one.key).exists() for one in (old, young, lost, fresh)] == [False, True, False, True]
    storage.storage().delete(fresh.key)


def test_jobs_go_after_the_days_of_their_state_and_their_keys_stay(worker: Any, settings: Any) -> None:
    settings.JOBS_KEEP_DAYS = {"succeeded": 7, "failed": 90}
    now = timezone.now()
    gone = make_job("succeeded", finished_at=now - 20 * DAY, unique_key="once")
    kept = [
        make_job("succeeded", finished_at=now - 5 * DAY),
        make_job("failed", finished_at=now - 20 * DAY),
        make_job("scheduled", due=DAY),
    ]
    assert cleaned(worker, "old_jobs", older_than=2 * DAY)["shown"]["old_jobs"] == [f"job {gone.pk}"]
    assert Job.objects.filter(pk__in=[job.pk for job in kept]).count() == 3
    assert UniqueKey.objects.get(key="once").job == gone.pk


def test_a_recurring_schedule_is_never_touched(worker: Any) -> None:
    every = IntervalSchedule.objects.create(every=1, period="hours")
    old = timezone.now() - 900 * DAY
    PeriodicTask.objects.create(name="hourly", task="probe.ok", interval=every, last_run_at=old)
    names = list(cleaners._registered)
    cleaned(worker, *names, older_than=40 * DAY)
    assert PeriodicTask.objects.get(name="hourly").enabled and IntervalSchedule.objects.count()
