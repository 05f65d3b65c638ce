"""Photos as cameras, phones, scanners and printers make them: none is refused, or spoilt, for being real."""

import io
from typing import Any

import pytest
from PIL import Image, ImageChops, ImageCms

from jobs.library import pictures
from tests.jobs.races import TRANSACTIONAL
from tests.library import hostile
from tests.library.stored import content, done, stored

pytestmark = [pytest.mark.django_db, pytest.mark.wide]
SMALL = {"do": "resize", "width": 40}


def job_of(worker: Any, source: bytes, *steps: dict[str, Any]) -> Any:
    return done(worker, pictures.change_picture.delay(stored(source).pk, list(steps)))


def changed(worker: Any, source: bytes, *steps: dict[str, Any]) -> Image.Image:
    job = job_of(worker, source, *steps)
    assert job.state == "succeeded", job.reason
    picture = Image.open(io.BytesIO(content(job)))
    picture.load()
    return picture


def noisy(wide: int, high: int) -> Image.Image:
    """As hard to pack as what a camera sees."""
    grain = Image.effect_noise((wide, high), 12)
    slope = Image.linear_gradient("L").resize((wide, high))
    return Image.merge("RGB", [ImageChops.add(slope, grain, 2), grain, ImageChops.add(grain, slope, 2)])


def saved(picture: Image.Image, form: str, **said: Any) -> bytes:
    made = io.BytesIO()
    picture.save(made, form, **said)
    return made.getvalue()


@TRANSACTIONAL  # PostgreSQL ends a transaction that waits for so long
def test_a_photo_of_12_million_pixels_becomes_a_png_though_that_takes_its_time(worker: Any) -> None:
    picture = changed(worker, saved(noisy(4000, 3000), "JPEG"), {"do": "convert", "format": "png"})
    assert (picture.size, picture.format) == ((4000, 3000), "PNG")


@TRANSACTIONAL
def test_as_many_pixels_as_there_may_be_have_room_for_a_watermark(worker: Any) -> None:
    source = hostile.picture(7300, 5470, "JPEG")
    assert changed(worker, source, {"do": "watermark", "text": "Salon"}).size == (7300, 5470)


def test_two_pictures_of_a_phone_in_one_file_are_a_jpeg(worker: Any) -> None:
    both = saved(noisy(80, 60), "MPO", save_all=True, append_images=[noisy(80, 60)])
    assert Image.open(io.BytesIO(both)).format == "MPO"
    picture = changed(worker, both, SMALL)
    assert (picture.size, picture.format) == ((40, 30), "JPEG")


def test_greys_of_16_bits_stay_greys(worker: Any) -> None:
    line = b"".join((grey * 65535 // 99).to_bytes(2, "little") for grey in range(100))
    source = saved(Image.frombytes("I;16", (100, 50), line * 50), "PNG")
    picture = changed(worker, source, {"do": "compress"}).convert("L")
    assert [picture.getpixel((x, 25)) for x in (0, 50, 99)] == [0, 129, 255]


@pytest.mark.parametrize(("space", "mode"), [(b"CMYK", "CMYK"), (b"GRAY", "L")])
def test_a_profile_of_other_colours_is_not_written_into_a_picture_of_rgb(space: bytes, mode: str, worker: Any) -> None:
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    own = saved(noisy(80, 60), "JPEG", icc_profile=bytes(profile))
    assert changed(worker, own, SMALL).info["icc_profile"] == bytes(profile)
    profile[16:20] = space
    picture = changed(worker, saved(noisy(80, 60).convert(mode), "JPEG", icc_profile=bytes(profile)), SMALL)
    assert picture.mode == "RGB" and "icc_profile" not in picture.info


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_a_photo_whose_end_is_missing_is_refused_in_words(form: str, worker: Any) -> None:
    whole = saved(noisy(400, 300), form)
    job = job_of(worker, whole[: len(whole) // 2], SMALL)
    assert job.state == "failed" and "it is damaged, or its end is missing" in job.reason


def test_a_side_that_a_webp_cannot_have_is_refused_in_words(worker: Any) -> None:
    job = job_of(worker, hostile.picture(17_000, 10), {"do": "convert", "format": "webp"})
    assert job.state == "failed" and "more than 16,383 pixels" in job.reason


# --- Watermarks -----------------------------------------------------------------------------------------


def marked(worker: Any, words: str, wide: int, high: int) -> Image.Image:
    step = {"do": "watermark", "text": words, "position": "centre", "opacity": 1.0}
    return changed(worker, saved(Image.new("RGB", (wide, high)), "PNG"), step).convert("L")


def test_words_longer_than_the_picture_are_written_smaller_and_whole(worker: Any) -> None:
    left, _top, right, _bottom = marked(
        worker, "The name of a house that has a very long name", 400, 300
    ).getbbox() or (
        0,
        0,
        400,
        0,
    )
    assert left >= 400 * 0.03 - 1 and right <= 400 * 0.97 + 1 and right - left > 200


def test_each_letter_is_drawn_and_none_is_an_empty_box(worker: Any) -> None:
    shapes = [marked(worker, letter, 100, 100).tobytes() for letter in "üÄß€"]
    assert len(set(shapes)) == len(shapes)


@pytest.mark.parametrize(
    ("words", "size", "says"),
    [
        ("東京", (400, 300), "no font of this machine has the letters 京 東"),
        ("Salon", (20, 20), "too small for the watermark"),
        ("Salon", (1, 1), "too small for the watermark"),
    ],
)
def test_a_watermark_that_could_not_be_read_is_refused(
    words: str, size: tuple[int, int], says: str, worker: Any
) -> None:
    job = job_of(worker, saved(Image.new("RGB", size), "PNG"), {"do": "watermark", "text": words})
    assert job.state == "failed" and says in job.reason, job.reason
