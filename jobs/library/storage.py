"""Files that jobs take and make: kept under opaque ids in one storage, handed out by links that expire.

Used by the kinds of the library, and by whoever brings files for them. The promise: no name that anybody gave is ever
part of a path, a row is only there when its file is whole, and a link that was changed or is too old opens nothing.
"""

import hashlib
import shutil
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, BinaryIO
from uuid import UUID

from django.conf import settings
from django.core import signing
from django.core.files import File
from django.core.files.storage import Storage, storages
from django.urls import reverse
from django.utils import timezone

from jobs.ids import new_id
from jobs.models import StoredFile
from jobs.verdict import Permanent

LONGEST_NAME = 150
BLOCK = 1024 * 1024  # bytes read at a time


class Missing(Permanent):
    """There is no such file, or not any more."""


class BrokenLink(ValueError):
    """Not a link of ours: cut, changed, or signed with a key that is not known any more."""


class Expired(ValueError):
    """The link is too old, or its file was deleted."""


@dataclass(frozen=True)
class Whose:
    """Who may have a file, and until when. A personal one only its owner may, while he has `permission`."""

    owner_id: int | None = None
    tenant: str = ""
    personal: bool = False
    permission: str = ""
    job_id: UUID | None = None
    keep: timedelta | None = None  # None: settings.JOBS_KEEP_FILES_DAYS

    @classmethod
    def like(cls, file: StoredFile, job_id: UUID) -> "Whose":
        """For what a job makes of another file."""
        return cls(file.owner_id, file.tenant, file.personal, file.permission, job_id)


def storage() -> Storage:
    return storages["jobs"]


def keep(content: BinaryIO | Path, name: str, content_type: str, whose: Whose = Whose()) -> StoredFile:
    """Store a file, then its row. A process that dies between the two leaves a file that the clean-up finds."""
    if isinstance(content, Path):
        with content.open("rb") as opened:
            return keep(opened, name, content_type, whose)
    size, digest = _measured(content)
    days = whose.keep if whose.keep is not None else timedelta(days=settings.JOBS_KEEP_FILES_DAYS)
    file = StoredFile(
        pk=new_id(),
        name=clean_name(name),
        content_type=content_type[:150],
        size=size,
        sha256=digest,
        tenant=whose.tenant,
        owner_id=whose.owner_id,
        personal=whose.personal,
        permission=whose.permission,
        job_id=whose.job_id,
        expires_at=timezone.now() + days,
    )
    if storage().save(file.key, File(content)) != file.key:
        raise OSError(f"the storage has a file of the id {file.pk} already")
    try:
        file.save(force_insert=True)
    except BaseException:
        storage().delete(file.key)
        raise
    return file


def _measured(content: BinaryIO) -> tuple[int, str]:
    content.seek(0)
    digest, size = hashlib.sha256(), 0
    while block := content.read(BLOCK):
        digest.update(block)
        size += len(block)
    content.seek(0)
    return size, digest.hexdigest()


def get(pk: UUID | str, *, largest: int | None = None) -> StoredFile:
    """Raises Missing for one that is not there, is over, or has more than `largest` bytes."""
    return there(StoredFile.objects.filter(pk=pk).first(), pk, largest=largest)


def many(pks: Iterable[UUID]) -> dict[UUID, StoredFile]:
    """Those of which there is a row, by one statement; for `there`."""
    wanted = set(pks)
    return StoredFile.objects.in_bulk(wanted) if wanted else {}


def there(file: StoredFile | None, pk: UUID | str, *, largest: int | None = None) -> StoredFile:
    """The file of that id, where the caller has looked for its row. Raises as `get`."""
    if file is None or _over(file):
        raise Missing(f"There is no file {pk}, or not any more. Store it, and pass the id of its row.")
    if largest is not None and file.size > largest:
        raise Permanent(f"The file has {file.size:,} bytes; {largest:,} are the most that this takes.")
    return file


def read(file: StoredFile) -> Any:
    """The file, opened. Raises Missing when the storage has lost it."""
    try:
        return storage().open(file.key)
    except FileNotFoundError:
        raise Missing(f"The storage has no file {file.pk}, though its row is there.") from None


def copy(file: StoredFile, to: Path) -> None:
    """To a path of this machine, for programs that need one."""
    with read(file) as source, to.open("wb") as target:
        shutil.copyfileobj(source, target, BLOCK)


def remove(files: Iterable[StoredFile]) -> int:
    """The rows first: a row without a file would be a link that leads nowhere."""
    gone = list(files)
    StoredFile.objects.filter(pk__in=[file.pk for file in gone]).delete()
    for file in gone:
        storage().delete(file.key)
    return len(gone)


def clean_name(name: str) -> str:
    """What people called it, fit for a header and a disk: no folders, nothing that is not seen."""
    last = PureWindowsPath(PurePosixPath(name.replace("\x00", "")).name).name
    shown = "".join(letter for letter in last if unicodedata.category(letter)[0] != "C").strip(" .")
    stem, dot, ending = shown.rpartition(".")
    if dot and len(ending) < 20:
        return f"{stem[: LONGEST_NAME - len(ending) - 1]}.{ending}" if stem else ending or "file"
    return shown[:LONGEST_NAME] or "file"


# --- Links ----------------------------------------------------------------------------------------------


def link(file: StoredFile, lasts: timedelta | None = None) -> str:
    """Where it can be had, for so long and no longer than the file is there."""
    until = timezone.now() + (lasts or timedelta(seconds=settings.JOBS_LINK_SECONDS))
    token = _signer().sign_object([file.pk.hex, int(until.timestamp())])
    return f"{settings.PUBLIC_URL}{reverse('stored_file', args=[token])}"


def linked(token: str) -> StoredFile:
    """The file that a link is for. Raises BrokenLink or Expired."""
    try:
        hexed, until = _signer().unsign_object(token)
    except signing.BadSignature:
        raise BrokenLink from None
    file = StoredFile.objects.filter(pk=UUID(hexed)).first()
    if file is None or _over(file) or timezone.now().timestamp() >= until:
        raise Expired
    return file


def _over(file: StoredFile) -> bool:
    return file.expires_at is not None and file.expires_at <= timezone.now()


def _signer() -> signing.Signer:
    return signing.Signer(salt="jobs.file")
