"""Work on pictures: `jobs.image` on one, `jobs.photos` on many, each a job with a result of its own.

Takes and makes StoredFiles, by id. The promise: a picture that is a bomb fails with the reason and alone: neither the
worker nor the others of its batch.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePath
from typing import Annotated, Any, Literal
from uuid import UUID

from celery import shared_task
from pydantic import BaseModel, ConfigDict, Field, model_validator

from jobs import batches
from jobs.durable import AWAY, Durable
from jobs.library import confinement, storage
from jobs.library.storage import Whose
from jobs.models import Group, Job

LARGEST = 50 * 1024**2  # bytes of a picture
SIDE = 20_000  # pixels
LIMITS = confinement.Limits(work=60, wall=100)  # packing 40 million pixels well takes half a minute
MOST = 1_000  # photos of a batch
Pixels = Annotated[int, Field(ge=1, le=SIDE)]


class _Step(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Resize(_Step):
    """within: no larger than this, in its proportions. cover: exactly this, cut to it. exact: exactly, distorted."""

    do: Literal["resize"]
    width: Pixels | None = None
    height: Pixels | None = None
    fit: Literal["within", "cover", "exact"] = "within"

    @model_validator(mode="after")
    def _sized(self) -> "Resize":
        if self.width is None and self.height is None:
            raise ValueError("A new size needs a width, a height or both")
        return self


class Thumbnail(_Step):
    """A square of so many pixels, cut from the middle."""

    do: Literal["thumbnail"]
    size: Annotated[int, Field(ge=16, le=1024)] = 256


class Compress(_Step):
    """Of JPEG and WEBP; a PNG loses nothing and is only packed better."""

    do: Literal["compress"]
    quality: Annotated[int, Field(ge=1, le=95)] = 70


class Convert(_Step):
    do: Literal["convert"]
    format: Literal["jpeg", "png", "webp"]


class Watermark(_Step):
    do: Literal["watermark"]
    text: Annotated[str, Field(min_length=1, max_length=100)]
    position: Literal["top left", "top right", "bottom left", "bottom right", "centre"] = "bottom right"
    opacity: Annotated[float, Field(gt=0, le=1)] = 0.5


Step = Annotated[Resize | Thumbnail | Compress | Convert | Watermark, Field(discriminator="do")]
Steps = Annotated[list[Step], Field(min_length=1, max_length=10)]


@shared_task(
    base=Durable,
    bind=True,
    name="jobs.image",
    internal=True,
    autoretry_for=(OSError, *AWAY),
    max_retries=3,
    retry_backoff=10,
    throws=(confinement.Refused,),
    time_limit=120,
    soft_time_limit=110,
)
def change_picture(self: Durable, file: UUID, steps: Steps) -> dict[str, Any]:
    """Do the steps in their order. Returns the new file's id, its format and its size in pixels."""
    job = self.running.job
    source = storage.get(file, largest=LARGEST)
    self.running.check_cancelled()
    with confinement.room(source) as folder:
        made = confinement.read("picture", folder, {"steps": [step.model_dump() for step in steps]}, LIMITS)
        name = PurePath(source.name).with_suffix(f".{made['format']}").name
        kept = storage.keep(folder / "target", name, f"image/{made['format']}", Whose.like(source, job.pk))
    return {"file": str(kept.pk), "size": kept.size, **made}


@shared_task(base=Durable, bind=True, name="jobs.photos", internal=True, atomic=True)
def start_batch(
    self: Durable, files: Annotated[list[UUID], Field(min_length=1, max_length=MOST)], steps: Steps
) -> dict[str, Any]:
    """A job for each photo. Returns the batch's id and size; `progress` and `outcome` tell the rest."""
    batch = start(files, steps, tenant=self.running.job.tenant)
    return {"batch": str(batch.pk), "photos": batch.size}


def start(files: list[UUID], steps: list[Any], *, tenant: str = "") -> Group:
    """The same at once, in the caller's transaction."""
    options: dict[str, Any] = {"tenant": tenant}  # ours, which Celery's types do not know
    return batches.start("photos", [change_picture.s(file, steps).set(**options) for file in files])


def progress(batch: UUID | str) -> batches.Progress:
    return batches.progress(UUID(str(batch)))


@dataclass(frozen=True)
class Photo:
    """What became of one photo: the new file's id, or why there is none."""

    file: str
    state: str
    result: str = ""
    reason: str = ""


def outcome(batch: UUID | str) -> Iterator[Photo]:
    """In the order in which they were given."""
    rows = Job.objects.filter(group_id=batch, task=change_picture.name).order_by("group_index")
    for job in rows.only("args", "state", "result", "reason").iterator():
        made = job.result["file"] if job.state == Job.State.SUCCEEDED and job.result else ""
        yield Photo(job.args[0], job.state, made, "" if made else job.reason)
