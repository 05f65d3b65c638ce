"""Files that attack whoever reads them, made when they are needed: each with what its refusal has to say."""

import io
import struct
import zipfile
import zlib
from collections.abc import Callable

import docx
from PIL import Image

Made = Callable[[], bytes]


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width: int, height: int, rows: int = 16) -> bytes:
    """A PNG that says it is so large, with the beginning of its rows."""
    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    packed = zlib.compress(b"\x00" * ((width + 7) // 8 + 1) * rows)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def png_with_text_bomb() -> bytes:
    """Kilobytes that a text chunk unpacks to a thousand times as much."""
    packer = zlib.compressobj(9)
    packed = b"".join(packer.compress(b"\x00" * 1024**2) for _ in range(100)) + packer.flush()
    head = struct.pack(">IIBBBBB", 8, 8, 1, 0, 0, 0, 0)
    text = chunk(b"zTXt", b"Comment\x00\x00" + packed)
    row = chunk(b"IDAT", zlib.compress(b"\x00\x00" * 8))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + text + row + chunk(b"IEND", b"")


def gif(width: int, height: int) -> bytes:
    screen = b"GIF89a" + struct.pack("<HH", width, height) + b"\x80\x00\x00" + b"\x00\x00\x00\xff\xff\xff"
    frame = b"," + struct.pack("<HHHH", 0, 0, width, height) + b"\x00" + b"\x02\x02\x44\x01\x00"
    return screen + frame + b";"


def archive(members: dict[str, bytes], packing: int = zipfile.ZIP_DEFLATED) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", packing) as opened:
        for name, content in members.items():
            opened.writestr(name, content)
    return made.getvalue()


def document(*paragraphs: str) -> bytes:
    written, made = docx.Document(), io.BytesIO()
    for paragraph in paragraphs:
        written.add_paragraph(paragraph)
    written.save(made)
    return made.getvalue()


def document_with(name: str, content: bytes) -> bytes:
    """A whole DOCX in which one member is another, or more."""
    with zipfile.ZipFile(io.BytesIO(document("hello"))) as whole:
        members = {one: whole.read(one) for one in whole.namelist()}
    return archive(members | {name: content})


def billion_laughs() -> bytes:
    entities = b'<!ENTITY a0 "ha">' + b"".join(
        b'<!ENTITY a%d "%s">' % (n, b"&a%d;" % (n - 1) * 10) for n in range(1, 11)
    )
    return b'<?xml version="1.0"?><!DOCTYPE x [' + entities + b"]><x>&a10;</x>"


def outside_entity() -> bytes:
    return b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><x>&e;</x>'


def zeros_in_document() -> bytes:
    return document_with("word/media/image1.bin", b"\x00" * 90 * 1024**2)


def lying_archive() -> bytes:
    """A member that says it unpacks to a few bytes."""
    whole = bytearray(document_with("word/document.xml", b" " * 50 * 1024**2))
    place = whole.rfind(b"word/document.xml") - 46  # in the directory at the end
    whole[place + 24 : place + 28] = struct.pack("<I", 10)
    return bytes(whole)


def deep_xml() -> bytes:
    opened = b"<a>" * 200_000
    return document_with("word/document.xml", b'<?xml version="1.0"?>' + opened + b"</a>" * 200_000)


# --- PDF ------------------------------------------------------------------------------------------------


def pdf(objects: list[bytes], trailer: bytes = b"", after: bytes = b"") -> bytes:
    """Numbered from 1, with a cross-reference table."""
    made, places = b"%PDF-1.7\n", []
    for number, content in enumerate(objects, 1):
        places.append(len(made))
        made += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    start = len(made)
    made += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    made += b"".join(b"%010d 00000 n \n" % place for place in places)
    made += b"trailer\n<< /Size %d /Root 1 0 R %s >>\n" % (len(objects) + 1, trailer)
    return made + b"startxref\n%d\n%%%%EOF\n" % start + after


def stream(content: bytes, says: bytes = b"") -> bytes:
    return b"<< /Length %d %s >>\nstream\n%s\nendstream" % (len(content), says, content)


def text_pdf(*pages: str) -> bytes:
    kids = b" ".join(b"%d 0 R" % (4 + 2 * n) for n in range(len(pages)))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [%s] /Count %d >>" % (kids, len(pages)),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    for n, words in enumerate(pages):
        shown = b"BT /F1 12 Tf 72 700 Td (%s) Tj ET" % words.encode("latin-1")
        page = b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents %d 0 R" % (5 + 2 * n)
        objects += [page + b" /Resources << /Font << /F1 3 0 R >> >> >>", stream(shown)]
    return pdf(objects)


def one_page(contents: bytes) -> bytes:
    return pdf(
        [
            b"<< /Type /Catalog /Pages 2 0 R >>",
            b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 9 9] /Contents 4 0 R"
            b" /Resources << /Font << /F1 5 0 R >> >> >>",
            contents,
            b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
        ]
    )


def looping_pages() -> bytes:
    return pdf([b"<< /Type /Catalog /Pages 2 0 R >>", b"<< /Type /Pages /Kids [2 0 R 2 0 R] /Count 9 >>"])


def looping_reference() -> bytes:
    return pdf([b"<< /Type /Catalog /Pages 2 0 R >>", b"3 0 R", b"2 0 R"])


def looping_table() -> bytes:
    whole = text_pdf("hello")
    start = whole.rindex(b"xref\n0")
    return whole.replace(b"/Root 1 0 R", b"/Prev %d /Root 1 0 R" % start)


def deep_pdf() -> bytes:
    return pdf([b"<< /Type /Catalog /Pages " + b"[" * 500_000 + b"]" * 500_000 + b" >>"])


def deep_tree() -> bytes:
    kids = [b"<< /Type /Pages /Kids [%d 0 R] /Count 1 >>" % (n + 3) for n in range(20_000)]
    return pdf([b"<< /Type /Catalog /Pages 2 0 R >>", *kids, b"<< /Type /Page /MediaBox [0 0 9 9] >>"])


def packed_bomb() -> bytes:
    """A page whose content unpacks a thousandfold, and once more."""
    inner = zlib.compress(b"BT /F1 12 Tf (x) Tj ET\n" * 5_000_000, 9)
    return one_page(stream(zlib.compress(inner, 9), b"/Filter [/FlateDecode /FlateDecode]"))


def busy_page() -> bytes:
    """Nothing large, only very much to do."""
    packed = zlib.compress(b"BT /F1 12 Tf 1 0 0 1 9 9 Tm (hello) Tj ET\n" * 800_000, 9)
    return one_page(stream(packed, b"/Filter /FlateDecode"))


def many_pages() -> bytes:
    page = b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 9 9] >>"
    kids = b" ".join(b"3 0 R" for _ in range(100_000))
    return pdf([b"<< /Type /Catalog /Pages 2 0 R >>", b"<< /Type /Pages /Kids [%s] /Count 100000 >>" % kids, page])


def picture(width: int = 64, height: int = 48, form: str = "PNG", mode: str = "RGB", **said: object) -> bytes:
    made = io.BytesIO()
    Image.linear_gradient("L").resize((width, height)).convert(mode).save(made, form, **said)
    return made.getvalue()


PICTURES: dict[str, tuple[Made, str]] = {
    "a pixel bomb": (lambda: png(50_000, 50_000), "pixels"),
    "a pixel bomb of one line": (lambda: png(2_000_000_000, 1, 0), "refused"),
    "a pixel bomb as a GIF": (lambda: gif(65_535, 65_535), "pixels"),
    "a text that unpacks to gigabytes": (png_with_text_bomb, "refused"),
    "half a picture": (lambda: picture(800, 600, "JPEG")[:300], "damaged, or its end is missing"),
    "no picture": (lambda: b"MZ\x90\x00 not a picture", "no picture"),
    "nothing": (lambda: b"", "no picture"),
    "a drawing that runs programs": (lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n(x) (w) file\n", "no picture"),
    "an SVG with entities": (billion_laughs, "no picture"),
}
DOCUMENTS: dict[str, tuple[Made, str]] = {
    "a zip bomb": (zeros_in_document, "times its size"),
    "a larger zip bomb": (
        lambda: archive({f"word/{n}.xml": b" " * 12 * 1024**2 for n in range(12)}),
        "more than 100 MB",
    ),
    "an archive that lies": (lying_archive, "refused"),
    "an archive of too many": (lambda: archive({f"{n}": b"" for n in range(3_000)}), "3,000 members"),
    "an archive in archives": (lambda: archive({"a.zip": archive({"b.zip": archive({"c": b"x"})})}), "no DOCX"),
    "a name that climbs out": (lambda: document_with("../../../etc/cron.d/x", b"x"), "outside"),
    "a name from the root": (lambda: document_with("/etc/passwd", b"x"), "outside"),
    "a name of Windows": (lambda: document_with("..\\..\\x", b"x"), "outside"),
    "a billion laughs": (lambda: document_with("word/document.xml", billion_laughs()), "entities"),
    "an entity from outside": (lambda: document_with("word/styles.xml", outside_entity()), "entities"),
    "XML nested deeply": (deep_xml, "refused"),
    "half an archive": (lambda: document("hello")[:500], "broken archive"),
    "pages that contain themselves": (looping_pages, "refused"),
    "a reference that leads to itself": (looping_reference, "refused"),
    "nested deeply": (deep_pdf, "refused"),
    "a deep tree of pages": (deep_tree, "refused"),
    "a page that unpacks to gigabytes": (packed_bomb, "refused"),
    "a page with very much to do": (busy_page, "refused"),
    "too many pages": (many_pages, "refused"),
    "a PDF of nothing": (lambda: b"%PDF-1.7\n", "refused"),
    "no document": (lambda: b"\x7fELF\x00\x00\x01", "neither PDF nor DOCX nor text"),
}
