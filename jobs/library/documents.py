"""The text of documents: PDF some pages at a time, DOCX, plain text. What a file is tells its content, not its name.

Of a DOCX: headers, text with its tables, notes, footers, each in the words that stand there if changes are accepted.
Runs in `sandbox` only. The promise: nothing that a document declares is believed: an archive is measured before it is
opened, and XML that defines entities is refused.
"""

import codecs
import logging
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import docx
from defusedxml import DefusedXmlException
from defusedxml.ElementTree import iterparse
from docx.oxml import parse_xml
from pypdf import PdfReader
from pypdf.errors import PdfReadError

from jobs.library.refusal import Refused

PAGES = 2_000  # of a PDF
MEMBERS = 2_000  # of an archive
UNPACKED = 100 * 1024**2  # bytes of all of them together
RATIO = 200  # unpacked by packed, of what is larger than a megabyte
MARKS = (  # UTF-32's begins as UTF-16's does
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
WORD = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
OLD = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"  # the same once more, for old programs
GONE = (f"{WORD}del", f"{WORD}moveFrom", f"{WORD}pPr", f"{WORD}rPr", OLD)
Page = tuple[int, str]  # its number from 0, and what stands on it; or a part of that
LETTERS = {"tab": "\t", "br": "\n", "cr": "\n", "noBreakHyphen": "-"}

logging.getLogger("pypdf").setLevel(logging.CRITICAL)


def read(source: Path, target: Path, options: Mapping[str, Any]) -> dict[str, Any]:
    """Write the text of `count` pages from `first`.

    Returns what it is, how many pages it has, how many are done, and how many of these had no text (a scan has none).
    """
    with source.open("rb") as opened:
        head = opened.read(1024)
    if b"%PDF-" in head:
        kind, pages, texts = "pdf", *_of_pdf(source, options["first"], options["count"])
    elif head.startswith(b"{\\rtf"):
        raise Refused("it is RTF: save it as DOCX or PDF")
    elif head.startswith(b"PK\x03\x04"):
        kind, pages, texts = "docx", 1, _of_docx(source)
    else:
        kind, pages, texts = "text", 1, _plain(source)
    letters, written = 0, set()
    with target.open("w", encoding="utf-8", errors="replace", newline="") as out:
        for page, text in texts:
            letters += out.write(text)
            written |= {page} if text.strip() else set()
    first, done = (options["first"], min(pages, options["first"] + options["count"])) if kind == "pdf" else (0, 1)
    return {
        "kind": kind,
        "pages": pages,
        "done": done,
        "characters": letters,
        "without_text": done - first - len(written),
    }


def _of_pdf(source: Path, first: int, count: int) -> tuple[int, Iterator[Page]]:
    try:
        reader = PdfReader(source)
        if reader.is_encrypted and not reader.decrypt(""):
            raise Refused("it is a PDF with a password")
        pages = len(reader.pages)
    except PdfReadError:
        raise Refused("it is a damaged PDF, or its end is missing") from None
    if pages > PAGES:
        raise Refused(f"it has {pages:,} pages; {PAGES:,} are the most")
    return pages, ((n, f"{reader.pages[n].extract_text()}\n\f") for n in range(first, min(first + count, pages)))


def _of_docx(source: Path) -> Iterator[Page]:
    try:
        with zipfile.ZipFile(source) as archive:
            names = _measured(archive)
            if "word/document.xml" not in names:
                raise Refused("it is an archive and no DOCX document")
            for name in names:
                if name.endswith((".xml", ".rels")):
                    _without_entities(archive, name)
    except zipfile.BadZipFile:
        raise Refused("it is a broken archive") from None
    body = docx.Document(str(source)).part
    parts = sorted(body.package.iter_parts(), key=lambda part: str(part.partname))
    for kind in ("header", "document.main", "footnotes", "endnotes", "footer"):
        for part in parts:
            if part.content_type.endswith(f"wordprocessingml.{kind}+xml") and (part is body or kind != "document.main"):
                element = part.element if hasattr(part, "element") else parse_xml(part.blob)
                yield from ((0, line) for line in _lines(element) if part is body or line.strip())


def _lines(element: Any) -> Iterator[str]:
    """A line for each paragraph, and for each row of a table, whatever they are wrapped in."""
    for child in element:
        if child.tag == f"{WORD}p":
            yield "".join(_words(child)) + "\n"
        elif child.tag == f"{WORD}tr":
            cells = (" ".join("".join(_lines(cell)).split("\n")).strip() for cell in _cells(child))
            yield "\t".join(cells) + "\n"
        elif child.tag not in GONE:
            yield from _lines(child)


def _cells(row: Any) -> Iterator[Any]:
    """Its own, and not those of a table within one."""
    for child in row:
        if child.tag == f"{WORD}tc":
            yield child
        elif child.tag not in GONE:
            yield from _cells(child)


def _words(element: Any) -> Iterator[str]:
    for child in element:
        if child.tag == f"{WORD}t":
            yield child.text or ""
        elif child.tag == f"{WORD}p":  # in a box of text
            yield from ("\n", *_words(child))
        elif child.tag in GONE:
            continue
        elif (letter := LETTERS.get(str(child.tag).removeprefix(WORD))) is not None:
            yield letter
        else:
            yield from _words(child)


def _measured(archive: zipfile.ZipFile) -> list[str]:
    """The names of its members, when it is no bomb."""
    members = archive.infolist()
    if len(members) > MEMBERS:
        raise Refused(f"its archive has {len(members):,} members; {MEMBERS:,} are the most")
    if sum(one.file_size for one in members) > UNPACKED:
        raise Refused(f"its archive unpacks to more than {UNPACKED // 1024**2} MB")
    for one in members:
        if one.file_size > 1024**2 and one.file_size > RATIO * max(one.compress_size, 1):
            raise Refused(f"its archive unpacks to more than {RATIO} times its size")
        path = PurePosixPath(one.filename.replace("\\", "/"))
        if path.is_absolute() or ".." in path.parts or "\x00" in one.filename or ":" in one.filename:
            raise Refused("its archive has a member that would lie outside of it")
    return [one.filename for one in members]


def _without_entities(archive: zipfile.ZipFile, name: str) -> None:
    try:
        with archive.open(name) as member:
            for _event, element in iterparse(member, forbid_dtd=True):
                element.clear()
    except DefusedXmlException:
        raise Refused("its XML defines entities") from None


def _plain(source: Path) -> Iterator[Page]:
    content = source.read_bytes()
    for mark, coding in MARKS:
        if content.startswith(mark):
            yield 0, content.decode(coding, "replace")
            return
    if b"\x00" in content:
        raise Refused("it is neither PDF nor DOCX nor text")
    try:
        yield 0, content.decode()
    except UnicodeDecodeError:
        yield 0, content.decode("cp1252", "replace")
