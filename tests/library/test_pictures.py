"""Pictures: what each step does, one at a time and in batches."""

import io
from typing import Any

import pytest
from PIL import Image
from pydantic import ValidationError

from jobs.durable import PayloadError
from jobs.library import pictures, storage
from jobs.models import Job
from tests.library import hostile
from tests.library.stored import content, done, stored

pytestmark = [pytest.mark.django_db, pytest.mark.wide]
LOGO = {"do": "watermark", "text": "Salon Ähre", "opacity": 1.0}


def changed(worker: Any, source: bytes, *steps: dict[str, Any]) -> Image.Image:
    job = done(worker, pictures.change_picture.delay(stored(source).pk, list(steps)))
    picture = Image.open(io.BytesIO(content(job)))
    picture.load()
    return picture


# --- Pictures -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("step", "size"),
    [
        ({"do": "resize", "width": 320}, (320, 240)),
        ({"do": "resize", "height": 240}, (320, 240)),
        ({"do": "resize", "width": 400, "height": 400}, (400, 300)),
        ({"do": "resize", "width": 400, "height": 400, "fit": "cover"}, (400, 400)),
        ({"do": "resize", "width": 100, "height": 400, "fit": "exact"}, (100, 400)),
        ({"do": "resize", "width": 9000, "height": 9000}, (640, 480)),
        ({"do": "thumbnail", "size": 64}, (64, 64)),
        ({"do": "compress", "quality": 10}, (640, 480)),
    ],
)
def test_a_picture_gets_its_size(step: dict[str, Any], size: tuple[int, int], worker: Any) -> None:
    assert changed(worker, hostile.picture(640, 480, "JPEG"), step).size == size


@pytest.mark.parametrize("source", ["PNG", "JPEG", "WEBP", "GIF", "BMP"])
@pytest.mark.parametrize("form", ["jpeg", "png", "webp"])
def test_a_picture_is_converted(source: str, form: str, worker: Any) -> None:
    job: Any = done(
        worker,
        pictures.change_picture.delay(
            stored(hostile.picture(form=source), "Meine Katze.x").pk, [{"do": "convert", "format": form}]
        ),
    )
    assert Image.open(io.BytesIO(content(job))).format == form.upper()
    kept = storage.get(job.result["file"])
    assert (kept.name, kept.content_type) == (f"Meine Katze.{form}", f"image/{form}")
    assert kept.job_id == job.pk and job.result["size"] == kept.size


def test_compressing_makes_it_smaller(worker: Any) -> None:
    noise = io.BytesIO()
    Image.effect_noise((400, 300), 60).save(noise, "JPEG", quality=95)
    job: Any = done(worker, pictures.change_picture.delay(stored(noise.getvalue()).pk, [{"do": "compress"}]))
    assert job.result["size"] < len(noise.getvalue()) * 0.7


def test_a_watermark_is_where_it_is_said_and_nowhere_else(worker: Any) -> None:
    black = io.BytesIO()
    Image.new("RGB", (400, 300)).save(black, "PNG")
    for position, box in {"top left": (0, 0, 300, 80), "bottom right": (100, 220, 400, 300)}.items():
        marked = changed(worker, black.getvalue(), LOGO | {"position": position})
        inside: Any = marked.crop(box).getextrema()
        marked.paste((0, 0, 0), box)
        assert max(high for _low, high in inside) > 200 and marked.getextrema() == ((0, 0),) * 3


def test_steps_are_done_in_their_order(worker: Any) -> None:
    steps: list[dict[str, Any]] = [
        {"do": "thumbnail", "size": 64},
        {"do": "resize", "width": 32},
        {"do": "convert", "format": "webp"},
    ]
    picture = changed(worker, hostile.picture(640, 480), *steps)
    assert (picture.size, picture.format) == ((32, 32), "WEBP")


def test_what_the_camera_wrote_is_left_out_and_how_it_was_held_is_done(worker: Any) -> None:
    taken, exif = Image.new("RGB", (64, 48)), Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "taken at Alice's door"  # turned by 90 degrees
    made = io.BytesIO()
    taken.save(made, "JPEG", exif=exif.tobytes())
    picture = changed(worker, made.getvalue(), {"do": "compress"})
    assert picture.size == (48, 64) and not picture.getexif()


def test_transparency_is_kept_where_the_format_has_it(worker: Any) -> None:
    clear = io.BytesIO()
    Image.new("RGBA", (9, 9), (0, 0, 0, 0)).save(clear, "PNG")
    assert changed(worker, clear.getvalue(), {"do": "compress"}).mode == "RGBA"
    assert changed(worker, clear.getvalue(), {"do": "convert", "format": "jpeg"}).getpixel((4, 4)) == (255, 255, 255)


@pytest.mark.parametrize(
    "steps",
    [
        [],
        [{"do": "rotate"}],
        [{"do": "resize"}],
        [{"do": "resize", "width": 0}],
        [{"do": "resize", "width": 10**9}],
        [{"do": "compress", "quality": 101}],
        [{"do": "convert", "format": "eps"}],
        [{"do": "watermark", "text": ""}],
        [{"do": "watermark", "text": "x", "font": "/etc/passwd"}],
        [{"do": "thumbnail"}] * 11,
    ],
)
def test_steps_that_there_are_not_are_refused_at_the_call(steps: list[Any]) -> None:
    with pytest.raises((PayloadError, ValidationError)):
        pictures.change_picture.delay(stored(b"x").pk, steps)
    assert not Job.objects.exists()


def test_what_is_made_of_a_file_is_as_personal_as_the_file(worker: Any) -> None:
    source = stored(hostile.picture(), tenant="a", personal=True, permission="x.y")
    job: Any = done(worker, pictures.change_picture.delay(source.pk, [{"do": "thumbnail"}]))
    made = storage.get(job.result["file"])
    assert (made.tenant, made.personal, made.permission) == ("a", True, "x.y")


def test_a_file_that_is_not_there_fails_for_good(worker: Any) -> None:
    gone = stored(b"x")
    storage.remove([gone])
    job = done(worker, pictures.change_picture.delay(gone.pk, [{"do": "thumbnail"}]))
    assert job.state == "failed" and "There is no file" in job.reason


# --- Many photos ----------------------------------------------------------------------------------------


def test_a_batch_of_photos_tells_how_far_it_is_and_what_became_of_each(worker: Any) -> None:
    files = [stored(hostile.picture()), stored(hostile.png(50_000, 50_000)), stored(hostile.picture(form="GIF"))]
    handle = pictures.start_batch.apply_async(([one.pk for one in files], [{"do": "thumbnail"}]), tenant="a")
    worker.run_due()
    started: Any = Job.objects.get(pk=handle.id)
    batch = started.result["batch"]
    assert started.result["photos"] == 3 and pictures.progress(batch).finished == 0
    worker.run_due()
    assert pictures.progress(batch).states == {"succeeded": 2, "failed": 1}
    photos = list(pictures.outcome(batch))
    assert [photo.file for photo in photos] == [str(one.pk) for one in files]
    assert [photo.state for photo in photos] == ["succeeded", "failed", "succeeded"]
    assert "pixels" in photos[1].reason and storage.get(photos[0].result).size
    assert set(Job.objects.filter(group_id=batch).values_list("tenant", flat=True)) == {"a"}
