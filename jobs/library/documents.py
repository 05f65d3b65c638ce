"""The text of documents: PDF some pages at a time, DOCX, plain text. What a file is tells its content, not its name.

Runs in `sandbox` only. The promise: nothing that a document declares is believed: an archive is measured before it is
opened, and XML that defines entities is refused.
"""

import codecs
import logging
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import docx
from defusedxml import DefusedXmlException
from defusedxml.ElementTree import iterparse
from docx.table import Table
from pypdf import PdfReader

from jobs.library.refusal import Refused

PAGES = 2_000  # of a PDF
MEMBERS = 2_000  # of an archive
UNPACKED = 100 * 1024**2  # bytes of all of them together
RATIO = 200  # unpacked by packed, of what is larger than a megabyte
MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))

logging.getLogger("pypdf").setLevel(logging.CRITICAL)


def read(source: Path, target: Path, options: Mapping[str, Any]) -> dict[str, Any]:
    """Write the text of `count` pages from `first`. Returns what it is, how many pages it has and how many are done."""
    with source.open("rb") as opened:
        head = opened.read(1024)
    if b"%PDF-" in head:
        kind, pages, texts = "pdf", *_of_pdf(source, options["first"], options["count"])
    elif head.startswith(b"PK\x03\x04"):
        kind, pages, texts = "docx", 1, _of_docx(source)
    else:
        kind, pages, texts = "text", 1, _plain(source)
    letters = 0
    with target.open("w", encoding="utf-8", errors="replace", newline="") as out:
        for text in texts:
            letters += out.write(text)
    done = min(pages, options["first"] + options["count"]) if kind == "pdf" else 1
    return {"kind": kind, "pages": pages, "done": done, "characters": letters}


def _of_pdf(source: Path, first: int, count: int) -> tuple[int, Iterator[str]]:
    reader = PdfReader(source)
    if reader.is_encrypted and not reader.decrypt(""):
        raise Refused("it is a PDF with a password")
    pages = len(reader.pages)
    if pages > PAGES:
        raise Refused(f"it has {pages:,} pages; {PAGES:,} are the most")
    return pages, (f"{reader.pages[n].extract_text()}\n\f" for n in range(first, min(first + count, pages)))


def _of_docx(source: Path) -> Iterator[str]:
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
    yield from _blocks(docx.Document(str(source)).iter_inner_content())


def _blocks(blocks: Iterable[Any]) -> Iterator[str]:
    for block in blocks:
        if isinstance(block, Table):
            for row in block.rows:
                yield "\t".join(cell.text for cell in row.cells) + "\n"
        else:
            yield block.text + "\n"


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


def _plain(source: Path) -> Iterator[str]:
    content = source.read_bytes()
    for mark, coding in MARKS:
        if content.startswith(mark):
            yield content.decode(coding, "replace")
            return
    if b"\x00" in content:
        raise Refused("it is neither PDF nor DOCX nor text")
    try:
        yield content.decode()
    except UnicodeDecodeError:
        yield content.decode("cp1252", "replace")
