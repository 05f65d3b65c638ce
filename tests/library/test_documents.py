"""Documents as offices write them: what stands in them is in the text once, and what has no text says so."""

import io
from typing import Any

import docx
import pytest
from docx.oxml import parse_xml

from jobs.library import texts
from tests.library import hostile
from tests.library.stored import content, done, stored

pytestmark = pytest.mark.django_db
W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
NOTES = "application/vnd.openxmlformats-officedocument.wordprocessingml.footnotes+xml"
RELATED = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/footnotes"


def xml(text: str) -> Any:
    return parse_xml(text.replace(">", f" {W}>", 1))


def text_of(worker: Any, written: Any) -> str:
    made = io.BytesIO()
    written.save(made)
    job = done(worker, texts.extract_text.delay(stored(made.getvalue()).pk))
    assert job.state == "succeeded", job.reason
    return content(job).decode()


def test_headers_notes_and_footers_are_part_of_the_text(worker: Any) -> None:
    from docx.opc.packuri import PackURI
    from docx.opc.part import Part

    written = docx.Document()
    written.add_paragraph("Body")
    written.sections[0].header.paragraphs[0].text = "Head"
    written.sections[0].footer.paragraphs[0].text = "Foot"
    notes = f'<w:footnotes {W}><w:footnote w:id="1"><w:p><w:r><w:t>Note</w:t></w:r></w:p></w:footnote></w:footnotes>'
    part = Part(PackURI("/word/footnotes.xml"), NOTES, notes.encode(), written.part.package)
    written.part.relate_to(part, RELATED)
    assert text_of(worker, written) == "Head\nBody\nNote\nFoot\n"


def test_fields_to_fill_in_and_accepted_changes_are_part_of_the_text(worker: Any) -> None:
    written = docx.Document()
    block = "<w:sdt><w:sdtContent><w:p><w:r><w:t>Field</w:t></w:r></w:p></w:sdtContent></w:sdt>"
    written.element.body.insert(0, xml(block))
    line = written.add_paragraph("Name: ")._p
    line.append(xml("<w:sdt><w:sdtContent><w:r><w:t>Ada</w:t></w:r></w:sdtContent></w:sdt>"))
    line.append(xml('<w:ins w:id="1" w:author="x"><w:r><w:t> added</w:t></w:r></w:ins>'))
    line.append(xml('<w:del w:id="2" w:author="x"><w:r><w:delText> gone</w:delText></w:r></w:del>'))
    line.append(xml('<w:moveFrom w:id="3" w:author="x"><w:r><w:t> moved</w:t></w:r></w:moveFrom>'))
    assert text_of(worker, written) == "Field\nName: Ada added\n"


def test_a_row_of_a_table_is_a_line_with_each_cell_once(worker: Any) -> None:
    written = docx.Document()
    table = written.add_table(2, 3)
    for number, cell in enumerate(table._cells):
        cell.text = str(number)
    table.cell(0, 0).merge(table.cell(0, 1))
    table.cell(1, 2).add_table(1, 1).cell(0, 0).text = "inner"
    assert text_of(worker, written) == "0 1\t2\n3\t4\t5 inner\n"


def test_a_scan_has_pages_and_says_that_they_have_no_text(worker: Any) -> None:
    job: Any = done(worker, texts.extract_text.delay(stored(hostile.text_pdf("Hello", "", "")).pk))
    assert (job.result["pages"], job.result["without_text"]) == (3, 2)


@pytest.mark.parametrize("coding", ["utf-8-sig", "utf-16", "utf-32", "latin-1", "cp1252"])
def test_a_text_is_read_by_its_mark_or_else_as_windows_writes(coding: str, worker: Any) -> None:
    job: Any = done(worker, texts.extract_text.delay(stored("Größe\r\nzwei".encode(coding)).pk))
    assert content(job).decode() == "Größe\r\nzwei"


@pytest.mark.parametrize(
    ("source", "says"),
    [
        (hostile.text_pdf("Hello")[:200], "it is a damaged PDF, or its end is missing"),
        (b"{\\rtf1 Hello}", "it is RTF: save it as DOCX or PDF"),
    ],
    ids=["half a PDF", "RTF"],
)
def test_what_cannot_be_read_is_refused_in_words(source: bytes, says: str, worker: Any) -> None:
    job = done(worker, texts.extract_text.delay(stored(source).pk))
    assert job.state == "failed" and says in job.reason, job.reason
