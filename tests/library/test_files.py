"""Documents, and files that attack: bad ones cost seconds, a reason, and nothing else."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from jobs import ledger
from jobs.library import confinement, pictures, storage, texts
from jobs.models import Job, StoredFile
from tests.library import hostile
from tests.library.stored import content, done, stored

pytestmark = pytest.mark.django_db


# --- Documents ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "kind", "text"),
    [
        (hostile.text_pdf("Hello", "World"), "pdf", "Hello\n\fWorld\n\f"),
        (hostile.document("Grüße", "aus Köln"), "docx", "Grüße\naus Köln\n"),
        ("Grüße".encode(), "text", "Grüße"),
        ("Grüße".encode("cp1252"), "text", "Grüße"),
        ("Grüße".encode("utf-16"), "text", "Grüße"),
        (b"", "text", ""),
    ],
)
def test_the_text_of_a_document(source: bytes, kind: str, text: str, worker: Any) -> None:
    job: Any = done(worker, texts.extract_text.delay(stored(source, "Vertrag.dat").pk))
    assert content(job).decode() == text
    assert (job.result["kind"], job.result["characters"]) == (kind, len(text))
    assert storage.get(job.result["file"]).name == "Vertrag.txt"


def test_a_table_is_part_of_the_text(worker: Any) -> None:
    import docx

    written, made = docx.Document(), io.BytesIO()
    table = written.add_table(1, 2)
    table.cell(0, 0).text, table.cell(0, 1).text = "Haircut", "45.50"
    written.save(made)
    assert content(done(worker, texts.extract_text.delay(stored(made.getvalue()).pk))) == b"Haircut\t45.50\n"


def test_a_thick_document_goes_on_after_the_last_pages_that_were_read(
    worker: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(texts, "PAGES", 2)
    file, read, asked = stored(hostile.text_pdf(*[f"page {n}" for n in range(5)])), confinement.read, []

    def breaking(reader: str, folder: Path, options: Any) -> dict[str, Any]:
        asked.append(options["first"])
        if asked == [0, 2]:
            raise OSError("the machine is busy")
        return read(reader, folder, options)

    monkeypatch.setattr(confinement, "read", breaking)
    handle = texts.extract_text.delay(file.pk)
    worker.run_due()
    Job.objects.filter(pk=handle.id, state="scheduled").update(run_at=Job.objects.get(pk=handle.id).created_at)
    job = done(worker, handle)
    assert content(job).decode() == "".join(f"page {n}\n\f" for n in range(5))
    assert asked == [0, 2, 2, 4]


def test_a_cancel_ends_it_between_two_handfuls_of_pages(
    worker: Any, monkeypatch: pytest.MonkeyPatch, work: Path
) -> None:
    handle = texts.extract_text.delay(stored(hostile.text_pdf("Hello")).pk)
    room = confinement.room

    def cancelled(file: StoredFile) -> Any:
        ledger.cancel([UUID(handle.id)], "not needed any more")
        return room(file)

    monkeypatch.setattr(confinement, "room", cancelled)
    assert done(worker, handle).state == "cancelled" and not list(work.iterdir())


# --- Files that attack ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", hostile.PICTURES)
def test_a_picture_that_attacks_is_refused_with_the_reason(name: str, worker: Any, work: Path) -> None:
    make, says = hostile.PICTURES[name]
    job = done(worker, pictures.change_picture.delay(stored(make()).pk, [{"do": "thumbnail"}]))
    assert job.state == "failed" and says in job.reason, job.reason
    assert StoredFile.objects.count() == 1 and not list(work.iterdir())


@pytest.mark.parametrize("name", hostile.DOCUMENTS)
def test_a_document_that_attacks_is_refused_with_the_reason(name: str, worker: Any, work: Path) -> None:
    make, says = hostile.DOCUMENTS[name]
    job = done(worker, texts.extract_text.delay(stored(make()).pk))
    assert job.state == "failed" and says in job.reason, job.reason
    assert StoredFile.objects.count() == 1 and not list(work.iterdir())


def test_a_table_of_contents_that_leads_to_itself_is_read_all_the_same(worker: Any) -> None:
    assert content(done(worker, texts.extract_text.delay(stored(hostile.looping_table()).pk))) == b"hello\n\f"


METER = """
import json, os, resource, subprocess, sys
code = subprocess.call(sys.argv[1:])
used = resource.getrusage(resource.RUSAGE_CHILDREN)
open("usage", "w").write(json.dumps([used.ru_utime + used.ru_stime, used.ru_maxrss * 1024]))
if code < 0:
    os.kill(os.getpid(), -code)
sys.exit(code)
"""


@pytest.mark.parametrize(
    ("reader", "name"),
    [
        ("document", "a page with very much to do"),
        ("picture", "a pixel bomb"),
        ("picture", "a text that unpacks to gigabytes"),
    ],
)
def test_what_a_reader_takes_is_limited_whatever_it_reads(
    reader: str, name: str, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seconds and bytes of the reader alone: a child of a small process that has no other."""
    monkeypatch.setattr(confinement, "COMMAND", (sys.executable, "-c", METER, *confinement.COMMAND))
    make, says = (hostile.DOCUMENTS | hostile.PICTURES)[name]
    (work / "source").write_bytes(make())
    with pytest.raises(confinement.Refused, match=says):
        confinement.read(reader, work, {"first": 0, "count": 20, "steps": [{"do": "thumbnail"}]})
    seconds, memory = json.loads((work / "usage").read_text())
    assert seconds <= confinement.LIMITS.cpu + 1.5
    assert memory <= confinement.LIMITS.memory


def test_the_reader_has_none_of_the_workers_secrets(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWILIO_AUTH_TOKEN", "secret-of-the-worker")
    monkeypatch.setattr(confinement, "COMMAND", ("sh", "-c", "env > environment; echo '{\"ok\": {}}'"))
    (work / "source").write_bytes(b"x")
    confinement.read("document", work, {})
    told = (work / "environment").read_text()
    assert "secret-of-the-worker" not in told and "SECRET_KEY" not in told and "DATABASE" not in told


@pytest.mark.parametrize(
    ("program", "says"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "crash"),
        ("print('not json')", "crash"),
        ("print('[1]')", "crash"),
        ("print('{\"ok\": {}}'); raise SystemExit(3)", "crash"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "computing, or too much memory"),
        ("while True: print('x' * 10000)", "crash"),
    ],
)
def test_a_reader_that_dies_or_says_nonsense_is_a_reason(
    program: str, says: str, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limited = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (100000, 100000)); {program}"
    if "while" in program:
        limited = limited.replace("; while", "\nwhile")
    monkeypatch.setattr(confinement, "COMMAND", (confinement.COMMAND[0], "-c", limited))
    (work / "source").write_bytes(b"x")
    with pytest.raises(confinement.Refused, match=says):
        confinement.read("document", work, {})


def test_a_reader_that_sleeps_is_ended_and_tried_again_later(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[int] = []

    class Seen(subprocess.Popen[bytes]):
        """Its id is known to who starts it: it may be ended before it could have written it down."""

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            started.append(self.pid)

    monkeypatch.setattr(subprocess, "Popen", Seen)
    monkeypatch.setattr(confinement, "COMMAND", ("sleep", "600"))
    with pytest.raises(confinement.Slow):
        confinement.read("document", work, {}, confinement.Limits(wall=-1))
    (pid,) = started
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
