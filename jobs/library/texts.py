"""`jobs.extract_text`: the text of a PDF, a DOCX or a text file, as a file of its own.

A PDF is read some pages at a time, each time by another process with limits of its own: so a thick one is no problem, a
bad page costs seconds, and the job tells how far it is, can be stopped, and goes on where a lost worker was.
"""

import shutil
from pathlib import Path, PurePath
from typing import Any
from uuid import UUID

from celery import shared_task

from jobs.durable import AWAY, Durable, Permanent, Stop
from jobs.library import confinement, parts, storage
from jobs.library.storage import Whose
from jobs.models import StoredFile

LARGEST = 50 * 1024**2  # bytes of a document
LONGEST = 50 * 1024**2  # bytes of its text
PAGES = 20  # that one process reads
FRESH = {"done": 0, "pages": 1, "characters": 0, "without_text": 0, "kind": "", "size": 0}


@shared_task(
    base=Durable,
    bind=True,
    name="jobs.extract_text",
    internal=True,
    autoretry_for=(OSError, *AWAY),
    max_retries=3,
    retry_backoff=10,
    throws=(confinement.Refused,),
    time_limit=1800,
    soft_time_limit=1740,
)
def extract_text(self: Durable, file: UUID) -> dict[str, Any]:
    """Returns the new file's id, what the old one was, its pages and characters, and how many pages had no text."""
    source, job = storage.get(file, largest=LARGEST), self.running.job
    try:
        with confinement.room(source) as folder:
            said = _read(self, folder)
            kept = _kept(self, source, folder / "text")
    except (Stop, Permanent):
        parts.forget(job.pk)
        raise
    parts.forget(job.pk)
    return {"file": str(kept.pk), "size": kept.size, **said}


def _read(task: Durable, folder: Path) -> dict[str, Any]:
    """All pages, one handful after the other, into `text`."""
    running = task.running
    place: dict[str, Any] = running.saved or dict(FRESH)
    part = parts.resumed(running.job.pk, running.job.token, place.get("attempt"), place["size"])
    if not part.size:
        place |= {"done": 0, "characters": 0, "without_text": 0}
    try:
        while not place["kind"] or place["done"] < place["pages"]:
            running.check_cancelled()
            said = confinement.read("document", folder, {"first": place["done"], "count": PAGES})
            part.add(folder / "target")
            place |= said | {name: place.get(name, 0) + said[name] for name in ("characters", "without_text")}
            place |= {"size": part.settle(), "attempt": running.job.token}
            if part.size > LONGEST:
                raise Permanent(f"The document has more than {LONGEST // 1024**2} MB of text.")
            running.checkpoint(place)
            running.progress(place["done"], place["pages"] + 1)
    finally:
        part.close()
    shutil.move(part.path, folder / "text")
    return {name: place[name] for name in ("kind", "pages", "characters", "without_text")}


def _kept(task: Durable, source: StoredFile, text: Path) -> StoredFile:
    name = PurePath(source.name).with_suffix(".txt").name
    kept = storage.keep(text, name, "text/plain; charset=utf-8", Whose.like(source, task.running.job.pk))
    task.running.progress(1, 1)
    return kept
