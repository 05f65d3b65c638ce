"""A report as HTML that stands for itself, as PDF, and as plain text: the same sections in all three.

Called by `reports` and by `manage.py report`. The promise: the same figures give the same bytes; the HTML has no
script, asks no host for anything, and can be read by people who listen to it.
"""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.template.loader import render_to_string
from django.utils import translation
from django.utils.formats import date_format
from django.utils.html import escape
from django.utils.safestring import mark_safe
from django.utils.translation import gettext as _
from reportlab.lib.colors import HexColor
from reportlab.lib.enums import TA_RIGHT
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase.pdfmetrics import stringWidth
from reportlab.platypus import CondPageBreak, KeepTogether, Paragraph, SimpleDocTemplate, Spacer, TableStyle
from reportlab.platypus.tables import LongTable

from notifications.reports import charts, sections
from notifications.reports.charts import BOLD, PLAIN
from notifications.reports.figures import Figures
from notifications.reports.periods import Period
from notifications.reports.sections import Section, Table

INK, FAINT, LINE, SHADE = (HexColor(code) for code in ("#111827", "#4b5563", "#d1d5db", "#f3f4f6"))
MARGIN = 18 * mm
WIDTH = A4[0] - 2 * MARGIN
TITLE = ParagraphStyle("title", fontName=BOLD, fontSize=17, leading=22, textColor=INK)
FIRST = ParagraphStyle("first", fontName=BOLD, fontSize=12, leading=16, spaceBefore=14, spaceAfter=4, textColor=INK)
TEXT = ParagraphStyle("text", fontName=PLAIN, fontSize=8.5, leading=12, spaceAfter=4, textColor=FAINT)
CAPTION = ParagraphStyle("caption", fontName=BOLD, fontSize=8.5, leading=12, spaceBefore=6, spaceAfter=3, textColor=INK)
CELL = ParagraphStyle("cell", fontName=PLAIN, fontSize=8.5, leading=11, textColor=INK)
HEADER = ParagraphStyle("header", parent=CELL, fontName=BOLD)
RIGHT = ParagraphStyle("right", parent=CELL, alignment=TA_RIGHT)
HEADER_RIGHT = ParagraphStyle("header right", parent=HEADER, alignment=TA_RIGHT)
PADDING = 16.0  # within a cell, left and right together


@dataclass(frozen=True)
class Document:
    """What a report is of, and its figures."""

    figures: Figures
    period: Period
    language: str
    tenant: str
    counted_at: datetime

    def html(self) -> bytes:
        with translation.override(self.language):
            drawn = [
                (section, [(chart, mark_safe(charts.svg(chart))) for chart in section.charts])  # noqa: S308  (ours)
                for section in sections.all_of(self.figures, self.period)
            ]
            told = {"title": self.title, "about": self.about, "sections": drawn, "language": self.language}
            return render_to_string("reports/report.html", told).encode()

    def pdf(self) -> bytes:
        charts.fonts()
        with translation.override(self.language):
            written = io.BytesIO()
            layout = SimpleDocTemplate(
                written,
                pagesize=A4,
                leftMargin=MARGIN,
                rightMargin=MARGIN,
                topMargin=MARGIN,
                bottomMargin=MARGIN,
                title=f"{self.title}, {self.period_name}",
                author="Punctual",
                lang=self.language,
                invariant=1,  # no moment of its own, no random id
            )
            story = [_paragraph(self.title, TITLE), *(_paragraph(line, TEXT) for line in self.about)]
            for section in sections.all_of(self.figures, self.period):
                story += _printed(section)
            layout.build(story, onFirstPage=_numbered, onLaterPages=_numbered)
            return written.getvalue()

    def text(self) -> str:
        with translation.override(self.language):
            lines = [self.title, *self.about]
            for section in sections.all_of(self.figures, self.period):
                lines += ["", section.title.upper(), *section.sentences]
                for table in section.tables:
                    lines += ["", table.caption, *_aligned(table)]
            return "\n".join(lines) + "\n"

    def glance(self) -> Table:
        """In the language that is active: for the mail, which has it too."""
        return sections.glance(self.figures)

    @property
    def period_name(self) -> str:
        return sections.title(self.period)

    @property
    def title(self) -> str:
        return {"day": _("Report of the day"), "week": _("Report of the week"), "month": _("Report of the month")}[
            self.period.kind
        ]

    @property
    def about(self) -> list[str]:
        """When, of whom, and as of when."""
        counted = self.counted_at.astimezone(self.period.zone)
        at = date_format(counted, "DATETIME_FORMAT")
        running = self.counted_at < self.period.ends
        of = _("As of %(at)s; this time is not over yet") if running else _("As of %(at)s")
        whose = [_("Tenant: %s") % self.tenant] if self.tenant else []
        return [self.period_name, _("By the clocks of %s") % self.period.zone.key, *whose, of % {"at": at}]


def _printed(section: Section) -> Iterator[Any]:
    yield CondPageBreak(60 * mm)
    yield _paragraph(section.title, FIRST)
    for sentence in section.sentences:
        yield _paragraph(sentence, TEXT)
    for chart in section.charts:
        yield KeepTogether([_paragraph(chart.title, CAPTION), charts.drawing(chart)])
    for table in section.tables:
        yield CondPageBreak(30 * mm)
        yield _paragraph(table.caption, CAPTION)
        yield _laid(table)
        yield Spacer(1, 2 * mm)


def _laid(table: Table) -> LongTable:
    """The first column gets what the others leave; the headings come again on each page."""
    cells = [[_paragraph(text, HEADER if n == 0 else HEADER_RIGHT) for n, text in enumerate(table.headers)]]
    cells += [[_paragraph(text, CELL if n == 0 else RIGHT) for n, text in enumerate(row)] for row in table.rows]
    others = [
        _width(header.split(), column) for header, *column in list(zip(table.headers, *table.rows, strict=True))[1:]
    ]
    laid = LongTable(cells, colWidths=[max(WIDTH - sum(others), WIDTH / 5), *others], repeatRows=1)
    laid.hAlign = "LEFT"
    laid.setStyle(
        TableStyle(
            [
                ("BACKGROUND", (0, 0), (-1, 0), SHADE),
                ("LINEBELOW", (0, 0), (-1, -1), 0.4, LINE),
                ("VALIGN", (0, 0), (-1, -1), "TOP"),
                ("TOPPADDING", (0, 0), (-1, -1), 2.5),
                ("BOTTOMPADDING", (0, 0), (-1, -1), 2.5),
            ]
        )
    )
    return laid


def _width(words: list[str], cells: list[str]) -> float:
    """So that figures stay on one line, and headings break between words."""
    written = [stringWidth(charts.legible(text), BOLD, CELL.fontSize) for text in (*words, *cells)]
    return float(max(written)) + PADDING


def _paragraph(text: str, style: ParagraphStyle) -> Paragraph:
    """Its words are text: a rule's name is no markup."""
    return Paragraph(escape(charts.legible(text)), style)


def _numbered(canvas: Any, layout: Any) -> None:
    canvas.setFont(PLAIN, 7.5)
    canvas.setFillColor(FAINT)
    canvas.drawRightString(A4[0] - MARGIN, 10 * mm, _("Page %d") % layout.page)


def _aligned(table: Table) -> list[str]:
    rows = [list(table.headers), *(list(row) for row in table.rows)]
    widths = [max(len(row[n]) for row in rows) for n in range(len(table.headers))]
    return [
        "  ".join(
            [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        )
        for row in rows
    ]
