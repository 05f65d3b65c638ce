"""What other systems call the kinds of this library, and how their payloads are read: `jobs.aliases`.

Registered by the app when it starts. A reader is a door to a task that only the application calls otherwise, so it
asks what the caller may: the permission, and whose files they are.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Literal
from uuid import UUID

from django.core.exceptions import PermissionDenied
from pydantic import AliasChoices, Field

from jobs import aliases
from jobs.aliases import Ask, Meant, Theirs, checked
from jobs.files import Export, StoredFile
from jobs.ids import parsed
from jobs.library import exports, pictures, storage, texts
from jobs.library.people import Person
from jobs.payload import PayloadError
from jobs.verdict import Permanent

CLEAN = "jobs.delete_job"


class Warm(Theirs):
    source: str = Field(validation_alias=AliasChoices("dataSource", "source"))
    ttl: int = 300  # seconds
    cacheKey: str = ""


def _warm(data: dict[str, Any], ask: Ask) -> Meant:
    said = checked(Warm, data, "jobs.warm_cache")
    if said.cacheKey not in ("", said.source):
        raise PayloadError("Argument cacheKey: a value is kept under its source's name; leave it out.", "cacheKey")
    return Meant({"source": said.source, "ttl": said.ttl})


class Clean(Theirs):
    what: Literal["temp_files", "old_logs", "expired_sessions"] = Field(
        validation_alias=AliasChoices("targetType", "what")
    )
    olderThan: int = Field(ge=0, le=100 * 365 * 86_400_000, description="milliseconds")
    folder: str = Field("", validation_alias=AliasChoices("path", "folder"))  # within the cleaner's own root
    pattern: str = "*"
    dry_run: bool = False


def _clean(data: dict[str, Any], ask: Ask) -> Meant:
    if not ask.person.may(CLEAN) or ask.person.scope.limits is not None:
        raise PermissionDenied(f"Cleaning up needs the permission {CLEAN}, for all queues and tenants.")
    said = checked(Clean, data, "jobs.clean_up")
    wanted = said.model_dump(include={"folder", "pattern", "dry_run"})
    return Meant(
        {"wanted": wanted | {"what": [said.what], "older_than": timedelta(milliseconds=said.olderThan).total_seconds()}}
    )


class Rows(Theirs):
    source: str
    format: Export.Format = Field(Export.Format.CSV, validation_alias=AliasChoices("exportType", "format"))
    columns: list[str] = []
    filters: dict[str, Any] = {}


def _export(data: dict[str, Any], ask: Ask) -> Meant:
    said = checked(Rows, data, exports.TASK)
    export = exports.prepared(exports.Wanted(**said.model_dump()), ask.person, ask.pk)
    return Meant({"export_id": ask.pk}, lambda job: [export])


class Picture(Theirs):
    file: str = Field(validation_alias=AliasChoices("filePath", "file"))
    operation: Literal["resize", "thumbnail", "compress", "convert", "watermark", "extract_text"]
    options: dict[str, Any] = {}


def _picture(data: dict[str, Any], ask: Ask) -> Meant:
    said = checked(Picture, data, "jobs.image")
    if said.operation == "extract_text":
        why = "Argument operation: that is a task of its own, jobs.extract_text; send it as the type extract_text."
        raise PayloadError(why, "operation")
    file = _file(said.file, ask, pictures.LARGEST)
    return Meant({"file": file.pk, "steps": [said.options | {"do": said.operation}]})


class Document(Theirs):
    file: str = Field(validation_alias=AliasChoices("filePath", "file"))
    operation: Literal["extract_text"] = "extract_text"


def _document(data: dict[str, Any], ask: Ask) -> Meant:
    said = checked(Document, data, "jobs.extract_text")
    return Meant({"file": _file(said.file, ask, texts.LARGEST).pk})


def _file(text: str, ask: Ask, largest: int) -> StoredFile:
    """One that the caller may have, by its id. Others are not told from those that there are not."""
    try:
        pk = UUID(text)
        file = storage.there(ask.known.get(pk), pk, largest=largest)
    except ValueError:
        why = "a job reads no paths: keep the file (jobs.library.storage.keep), and pass the id of its row"
        raise PayloadError(f"Argument file: {why}.", "file") from None
    except Permanent as exc:
        raise PayloadError(f"Argument file: {exc}", "file") from None
    if (file.personal and file.owner_id != ask.person.user_id) or file.tenant != ask.tenant:
        raise PayloadError(f"Argument file: There is no file {file.pk}, or not any more.", "file")
    return file


def _files(calls: Sequence[tuple[dict[str, Any], str]], person: Person) -> dict[UUID, StoredFile]:
    """The rows of all files that are named. Whose they are, `_file` asks."""
    named = (parsed(data.get(name)) for data, _tenant in calls for name in ("filePath", "file"))
    return storage.many(pk for pk in named if pk)


def register() -> None:
    """Called once, by the app registry."""
    aliases.register("jobs.warm_cache", "CACHE_WARM", "cache.warm", "warm_cache", reads=_warm)
    aliases.register("jobs.clean_up", "CLEANUP", "data_cleanup", reads=_clean)
    aliases.register(exports.TASK, "DATA_EXPORT", "data.export", reads=_export)
    aliases.register("jobs.image", "FILE_PROCESS", "file.process", "image_processing", reads=_picture, gathers=_files)
    aliases.register("jobs.extract_text", "extract_text", reads=_document, gathers=_files)
