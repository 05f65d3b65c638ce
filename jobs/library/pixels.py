"""Pictures: resize, thumbnail, compress, convert, watermark. Pillow and nothing else of ours.

Runs in `sandbox` only. The first picture of an animation counts. What a camera wrote about place and person is left out
of the result; how the picture is to be turned is done. Colours of print (CMYK) become those of screens.
"""

import resource
import warnings
from collections.abc import Callable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont, ImageOps, UnidentifiedImageError

from jobs.library.refusal import Refused

MOST = 40_000_000  # pixels, before and after
READ = ("JPEG", "PNG", "WEBP", "GIF", "BMP")
WRITTEN = {"JPEG": "JPEG", "MPO": "JPEG", "PNG": "PNG", "WEBP": "WEBP", "GIF": "PNG", "BMP": "PNG"}  # MPO: phones
THOROUGH = 12_000_000  # pixels of a PNG that is packed as well as can be: a larger one takes a minute
LONGEST = {"WEBP": 16_383}  # pixels of a side, as the format has it
USUAL = {"JPEG": 85, "WEBP": 80}  # quality
MARGIN = 0.03  # of a watermark, of the width
SMALLEST = 8  # pixels: letters of a watermark that can still be read

Image.MAX_IMAGE_PIXELS = MOST
Options = Mapping[str, Any]


def read(source: Path, target: Path, options: Options) -> dict[str, Any]:
    """Do the steps, write the target. Returns format, width and height."""
    warnings.simplefilter("error", Image.DecompressionBombWarning)
    picture, form, colours = _opened(source)
    _begin_to_work()
    quality: int | None = None
    for step in options["steps"]:
        if step["do"] == "convert":
            form = step["format"].upper()
        elif step["do"] == "compress":
            quality = step["quality"]
        else:
            picture = STEPS[step["do"]](picture, step)
    return _written(picture, target, form, quality, colours)


def _opened(source: Path) -> tuple[Image.Image, str, bytes]:
    """The picture in RGB or RGBA, its format, and the profile of its colours."""
    try:
        with Image.open(source, formats=READ) as opened:
            form = WRITTEN[str(opened.format)]
            opened.load()
            ImageOps.exif_transpose(opened, in_place=True)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise Refused(f"it has more than {MOST:,} pixels") from None
    except UnidentifiedImageError:
        raise Refused(f"it is no picture in one of the formats {', '.join(READ)}") from None
    except (OSError, SyntaxError, EOFError) as exc:
        if getattr(exc, "errno", None):  # the machine's trouble, not the file's
            raise
        raise Refused("it is damaged, or its end is missing") from None
    colours = opened.info.get("icc_profile") or b""
    if colours[16:20] != b"RGB ":  # of print or of greys: what is written has neither
        colours = b""
    picture: Image.Image = opened
    if picture.mode.startswith("I"):  # 16 bits of grey, which convert() would cut off at 255
        picture = picture.convert("I").point(lambda grey: grey * (1 / 256)).convert("L")
        picture.info.pop("transparency", None)
    wanted = "RGBA" if _has_transparency(picture) else "RGB"
    return picture if picture.mode == wanted else picture.convert(wanted), form, colours


def _begin_to_work() -> None:
    """What a stranger wrote is read, and so much and no more is in memory: the rest may take its time."""
    _reading, most = resource.getrlimit(resource.RLIMIT_CPU)
    if most != resource.RLIM_INFINITY:
        resource.setrlimit(resource.RLIMIT_CPU, (most - 1, most))


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
    text, margin = step["text"], round(picture.width * MARGIN)
    _insist_on_letters(text)
    font, box = _fitting(text, picture.width - 2 * margin, picture.height - 2)
    left, top, right, bottom = box
    wide, high = right - left, bottom - top
    margin_above = min(margin, (picture.height - high) // 2)
    places = {
        "top left": (margin, margin_above),
        "top right": (picture.width - wide - margin, margin_above),
        "bottom left": (margin, picture.height - high - margin_above),
        "bottom right": (picture.width - wide - margin, picture.height - high - margin_above),
        "centre": ((picture.width - wide) // 2, (picture.height - high) // 2),
    }
    x, y = places[step["position"]]
    strength = round(255 * step["opacity"])
    layer = Image.new("RGBA", (wide + 1, high + 1), (0, 0, 0, 0))  # of the words alone: all of it is much memory
    draw = ImageDraw.Draw(layer)
    draw.text((1 - left, 1 - top), text, font=font, fill=(0, 0, 0, strength))  # seen on any ground
    draw.text((-left, -top), text, font=font, fill=(255, 255, 255, strength))
    ground = picture.crop((x, y, x + layer.width, y + layer.height)).convert("RGBA")
    picture.paste(Image.alpha_composite(ground, layer).convert(picture.mode), (x, y))
    return picture


def _fitting(text: str, wide: int, high: int) -> tuple[ImageFont.FreeTypeFont, tuple[int, int, int, int]]:
    """The letters as large as there is room for them, and the box around the words."""
    draw = ImageDraw.Draw(Image.new("L", (1, 1)))
    size = max(10, wide // 20)
    while size >= SMALLEST:
        font = _font(size)
        left, top, right, bottom = draw.textbbox((0, 0), text, font=font)
        box = int(left), int(top), int(right) + 1, int(bottom) + 1
        over = max((box[2] - box[0]) / max(wide, 1), (box[3] - box[1]) / max(high, 1))
        if over <= 1:
            return font, box
        size = min(size - 1, int(size / over))
    raise Refused("it is too small for the watermark: take fewer words, or make it larger first")


def _font(size: int) -> ImageFont.FreeTypeFont:
    """DejaVu where the machine has it, which knows more of the world's letters; else the one of reportlab."""
    try:
        return ImageFont.truetype("DejaVuSans.ttf", size)
    except OSError:
        return ImageFont.truetype(str(files("reportlab") / "fonts" / "Vera.ttf"), size)


def _insist_on_letters(text: str) -> None:
    """What the font has no letter for would be an empty box on every photo, drawn for what is no letter too."""
    font = _font(32)
    box = bytes(font.getmask("\ufffe"))
    if lacking := sorted({one for one in text if not one.isspace() and bytes(font.getmask(one)) == box}):
        raise Refused(f"no font of this machine has the letters {' '.join(lacking[:10])} of the watermark")


STEPS: dict[str, Callable[[Image.Image, Options], Image.Image]] = {
    "resize": _resize,
    "thumbnail": _thumbnail,
    "watermark": _watermark,
}


def _written(picture: Image.Image, target: Path, form: str, quality: int | None, colours: bytes) -> dict[str, Any]:
    if max(picture.size) > (longest := LONGEST.get(form, max(picture.size))):
        raise Refused(f"a side would have more than {longest:,} pixels, the most of a {form}")
    if form == "JPEG" and picture.mode == "RGBA":
        ground = Image.new("RGB", picture.size, "white")
        ground.paste(picture, mask=picture.getchannel("A"))
        picture = ground
    said: dict[str, Any] = {"icc_profile": colours} if colours else {}
    if form in USUAL:
        said["quality"] = quality or USUAL[form]
    if quality and (form != "PNG" or picture.width * picture.height <= THOROUGH):
        said["optimize"] = True
    picture.info.clear()  # PNG would keep what the camera wrote
    picture.save(target, form, **said)
    return {"format": form.lower(), "width": picture.width, "height": picture.height}
