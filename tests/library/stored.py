"""Files in the storage, and jobs that are done with them."""

import io
from typing import Any

from jobs.library import storage
from jobs.library.storage import Whose
from jobs.models import Job, StoredFile


def stored(content: bytes, name: str = "photo.png", **whose: Any) -> StoredFile:
    return storage.keep(io.BytesIO(content), name, "application/octet-stream", Whose(**whose))


def done(worker: Any, handle: Any) -> Job:
    worker.run_due()
    return Job.objects.get(pk=handle.id)


def content(job: Any) -> bytes:
    assert job.state == "succeeded", job.reason
    with storage.read(storage.get(job.result["file"])) as opened:
        return bytes(opened.read())
