"""Pictures: resize, thumbnail, compress, convert, watermark. Pillow and nothing else of ours.

Runs in `sandbox` only. The first picture of an animation counts. What a camera wrote about place and person is left out
of the result; how the picture is to be turned is done.
"""

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont, ImageOps, UnidentifiedImageError

from jobs.library.refusal import Refused

MOST = 40_000_000  # pixels, before and after
READ = ("JPEG", "PNG", "WEBP", "GIF", "BMP")
WRITTEN = {"JPEG": "JPEG", "PNG": "PNG", "WEBP": "WEBP", "GIF": "PNG", "BMP": "PNG"}
USUAL = {"JPEG": 85, "WEBP": 80}  # quality
MARGIN = 0.03  # of a watermark, of the width

Image.MAX_IMAGE_PIXELS = MOST
Options = Mapping[str, Any]


def read(source: Path, target: Path, options: Options) -> dict[str, Any]:
    """Do the steps, write the target. Returns format, width and height."""
    warnings.simplefilter("error", Image.DecompressionBombWarning)
    try:
        with Image.open(source, formats=READ) as opened:
            form = WRITTEN[str(opened.format)]
            picture: Image.Image = ImageOps.exif_transpose(opened)
            picture.load()
            colours = opened.info.get("icc_profile")
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise Refused(f"it has more than {MOST:,} pixels") from None
    except UnidentifiedImageError:
        raise Refused(f"it is no picture in one of the formats {', '.join(READ)}") from None
    picture = picture.convert("RGBA" if _has_transparency(picture) else "RGB")
    quality: int | None = None
    for step in options["steps"]:
        if step["do"] == "convert":
            form = step["format"].upper()
        elif step["do"] == "compress":
            quality = step["quality"]
        else:
            picture = STEPS[step["do"]](picture, step)
    return _written(picture, target, form, quality, colours)


def _has_transparency(picture: Image.Image) -> bool:
    return "A" in picture.getbands() or "transparency" in picture.info


def _resize(picture: Image.Image, step: Options) -> Image.Image:
    wide, high = step["width"] or 0, step["height"] or 0  # one of them may be None: as the proportions have it
    size = (
        wide or max(1, round(picture.width * high / picture.height)),
        high or max(1, round(picture.height * wide / picture.width)),
    )
    if step["fit"] == "within":  # never larger than it was
        picture.thumbnail(size, Image.Resampling.LANCZOS)
        return picture
    if size[0] * size[1] > MOST:
        raise Refused(f"the result would have more than {MOST:,} pixels")
    if step["fit"] == "exact":
        return picture.resize(size, Image.Resampling.LANCZOS)
    return ImageOps.fit(picture, size, Image.Resampling.LANCZOS)


def _thumbnail(picture: Image.Image, step: Options) -> Image.Image:
    return ImageOps.fit(picture, (step["size"], step["size"]), Image.Resampling.LANCZOS)


def _watermark(picture: Image.Image, step: Options) -> Image.Image:
    layer = Image.new("RGBA", picture.size, (0, 0, 0, 0))
    draw = ImageDraw.Draw(layer)
    font = ImageFont.load_default(max(10, picture.width // 20))
    left, top, right, bottom = draw.textbbox((0, 0), step["text"], font=font)
    wide, high, margin = right - left, bottom - top, round(picture.width * MARGIN)
    places = {
        "top left": (margin, margin),
        "top right": (picture.width - wide - margin, margin),
        "bottom left": (margin, picture.height - high - margin),
        "bottom right": (picture.width - wide - margin, picture.height - high - margin),
        "centre": ((picture.width - wide) // 2, (picture.height - high) // 2),
    }
    x, y = places[step["position"]]
    strength = round(255 * step["opacity"])
    draw.text((x - left + 1, y - top + 1), step["text"], font=font, fill=(0, 0, 0, strength))  # seen on any ground
    draw.text((x - left, y - top), step["text"], font=font, fill=(255, 255, 255, strength))
    return Image.alpha_composite(picture.convert("RGBA"), layer).convert(picture.mode)


STEPS: dict[str, Callable[[Image.Image, Options], Image.Image]] = {
    "resize": _resize,
    "thumbnail": _thumbnail,
    "watermark": _watermark,
}


def _written(picture: Image.Image, target: Path, form: str, quality: int | None, colours: Any) -> dict[str, Any]:
    if form == "JPEG" and picture.mode == "RGBA":
        ground = Image.new("RGB", picture.size, "white")
        ground.paste(picture, mask=picture.getchannel("A"))
        picture = ground
    said: dict[str, Any] = {"icc_profile": colours} if colours else {}
    if form in USUAL:
        said["quality"] = quality or USUAL[form]
    if quality:
        said["optimize"] = True
    picture.info.clear()  # PNG would keep what the camera wrote
    picture.save(target, form, **said)
    return {"format": form.lower(), "width": picture.width, "height": picture.height}
