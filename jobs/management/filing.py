"""`manage.py jobs keep` and `fetch`: a file for a job that works on files, and the file that a job made.

Who has the command line may everything, so a personal file is his too; each that was handed out is in the log.
"""

import io
import logging
import mimetypes
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

from django.core.management.base import CommandError
from django.db.models import Q

from jobs.files import Export
from jobs.ids import parsed
from jobs.library import storage
from jobs.library.storage import Whose
from jobs.management import choosing, words
from jobs.management.terminal import ERROR, NotDone, Terminal, Usage
from jobs.management.verbs import verb
from jobs.models import StoredFile
from jobs.verdict import Permanent

logger = logging.getLogger(__name__)


def add(verbs: Any) -> None:
    one = verb(verbs, "keep", keep, "store a file for jobs that work on files, which take its id")
    one.add_argument("file", type=Path)
    one.add_argument("--tenant", default="", help="whose it is")
    one.add_argument("--for", dest="keep", type=words.duration, metavar="DURATION", help="then it is cleaned up: 7d")
    out = verb(verbs, "fetch", fetch, "write the file that a job made, or that was kept")
    out.add_argument("id", help="of a job, or of a file; or a unique key")
    out.add_argument("file", help="a new file; - is stdout")
    out.add_argument("--force", action="store_true", help="write over the file")
    words.add_why(out)


def keep(options: Mapping[str, Any], terminal: Terminal) -> None:
    path: Path = options["file"]
    kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    try:
        if not path.is_file():
            raise Usage(f"{path} is no file.")
        kept = storage.keep(path, path.name, kind, Whose(tenant=options["tenant"], keep=options["keep"]))
    except OSError as exc:
        raise CommandError(f"{path} cannot be stored: {exc.strerror or exc}.", returncode=ERROR) from exc
    until = f"{kept.expires_at:%Y-%m-%d %H:%M} UTC"
    told = f"{kept.pk}: {kept.name}, {kept.size:,} bytes, until {until}."
    terminal.say(told, id=kept.pk, name=kept.name, size=kept.size, sha256=kept.sha256, until=kept.expires_at)


def fetch(options: Mapping[str, Any], terminal: Terminal) -> None:
    file, name = _made(options["id"]), options["file"]
    path = Path(name)
    if name != "-" and path.exists() and not options["force"]:
        raise Usage(f"{name} is there already: name another file, or --force.")
    try:
        with storage.read(file) as source:
            if name == "-":
                shutil.copyfileobj(source, sys.stdout.buffer)
                sys.stdout.buffer.flush()
            else:
                _write(source, path)
    except Permanent as exc:
        raise NotDone(str(exc)) from None
    except BrokenPipeError:
        raise
    except OSError as exc:
        raise CommandError(f"{name} cannot be written: {exc.strerror}.", returncode=ERROR) from exc
    logger.info("file=%s fetched by=%s reason=%s", file.pk, options["by"], options["reason"])
    if name != "-":
        told = f"{name}: {file.size:,} bytes of {file.name}."
        terminal.say(told, id=file.pk, file=name, name=file.name, size=file.size, sha256=file.sha256)


def _write(source: io.BufferedIOBase, path: Path) -> None:
    """Readable by its owner alone, for there may be names of customers in it; whole, or as it was before."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as target:
            shutil.copyfileobj(source, target)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _made(which: str) -> StoredFile:
    """The one file of that id, of the job of that id, or of the export of it. Raises NotDone or Usage."""
    jobs: list[UUID] = choosing.ids_of([which])[0]
    own = parsed(which)
    ids = [*jobs, *([own] if own else [])]
    exported = Export.objects.filter(pk__in=ids, file__isnull=False).values("file_id")
    found = list(StoredFile.objects.filter(Q(pk__in=ids) | Q(job_id__in=ids) | Q(pk__in=exported)).order_by("pk"))
    if not found:
        told = (
            "made no file, or it has been cleaned up. `jobs show` tells how it ended." if jobs else "is no job or file."
        )
        raise NotDone(f"{words.shortly(which)} {told}")
    if len(found) > 1:
        raise Usage(
            f"It made {len(found)} files: {', '.join(f'{one.pk} ({one.name})' for one in found[:20])}. Name one."
        )
    return found[0]
