"""Bar charts as drawings of reportlab: the same drawing goes into the PDF and, as SVG, into the HTML.

Used by `documents`. A chart is never alone: the text beside it says the same for those who do not see it, and bars
differ in brightness as well, for those who do not see colours or print without them.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from django.utils.formats import number_format
from reportlab.graphics import renderSVG
from reportlab.graphics.charts.barcharts import BarChart, HorizontalBarChart, VerticalBarChart
from reportlab.graphics.charts.legends import Legend
from reportlab.graphics.shapes import Drawing
from reportlab.lib.colors import HexColor
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFError, TTFont

PLAIN, BOLD = "ReportPlain", "ReportBold"
WIDTH, HEIGHT, LINE = 490.0, 210.0, 34.0  # in points; of a horizontal chart: for each of its lines
INK, GRID = HexColor("#374151"), HexColor("#d1d5db")
COLOURS = [HexColor(code) for code in ("#1e3a8a", "#f59e0b", "#0f766e", "#c4b5fd")]
SMALL = 8


@dataclass(frozen=True)
class Bars:
    """`series` are (name, a value for each label). Stacked ones stand on each other."""

    title: str
    told: str  # the same in words
    labels: Sequence[str]
    series: Sequence[tuple[str, Sequence[float]]]
    stacked: bool = False
    lying: bool = False  # labels too long to stand beside each other
    percent: bool = False


@cache
def fonts() -> None:
    """Known to reportlab from here on: DejaVu where the machine has it, which knows more of the world's letters."""
    for name, better, own in ((PLAIN, "DejaVuSans.ttf", "Vera.ttf"), (BOLD, "DejaVuSans-Bold.ttf", "VeraBd.ttf")):
        try:
            font = TTFont(name, better)
        except TTFError:
            font = TTFont(name, own)  # comes with reportlab
        pdfmetrics.registerFont(font)
    pdfmetrics.registerFontFamily(PLAIN, normal=PLAIN, bold=BOLD, italic=PLAIN, boldItalic=BOLD)


def legible(text: str) -> str:
    """What the font has no letter for would be an empty box; a name in another script is better read in the HTML."""
    fonts()
    known: Any = pdfmetrics.getFont(PLAIN).face.charToGlyph
    return "".join(letter if ord(letter) in known or letter.isspace() else "?" for letter in text)


def drawing(bars: Bars) -> Drawing:
    fonts()
    height = LINE * len(bars.labels) + 50 if bars.lying else HEIGHT
    whole = Drawing(WIDTH, height)
    chart = _lying(bars, height) if bars.lying else _standing(bars, height)
    _dress(chart, bars)
    whole.add(chart)
    whole.add(_legend(bars, height))
    return whole


def svg(bars: Bars) -> str:
    """To stand within HTML: no declaration, no ids that another one has too, and the fonts of the reader."""
    text = renderSVG.drawToString(drawing(bars))
    text = text[text.index("<svg") :]
    text = re.sub(r"<(title|desc)>.*?</\1>|<clipPath.*?</clipPath>", "", text, flags=re.DOTALL)
    text = re.sub(r' (id="\w+"|style="clip-path: url\(#clip\)"|transform="")', "", text)
    text = re.sub(rf"font-family: ({BOLD}|{PLAIN})", "font-family: Verdana, DejaVu Sans, sans-serif", text)
    return re.sub(r'<svg width="[\d.]+" height="[\d.]+"', '<svg aria-hidden="true" focusable="false"', text, count=1)


def _standing(bars: Bars, height: float) -> BarChart:
    chart = VerticalBarChart()
    chart.x, chart.y, chart.width, chart.height = 50, 30, WIDTH - 60, height - 65
    labels = chart.categoryAxis.labels
    every = max(1, -(-len(bars.labels) // 16))  # more would lie on each other
    chart.categoryAxis.categoryNames = [legible(label) if n % every == 0 else "" for n, label in enumerate(bars.labels)]
    labels.boxAnchor, labels.dy = "n", -4
    return chart


def _lying(bars: Bars, height: float) -> BarChart:
    chart = HorizontalBarChart()
    chart.x, chart.y, chart.width, chart.height = 190, 22, WIDTH - 215, height - 50
    chart.categoryAxis.reverseDirection = 1
    chart.categoryAxis.categoryNames = [_cut(legible(label)) for label in bars.labels]
    chart.categoryAxis.labels.boxAnchor, chart.categoryAxis.labels.dx = "e", -6
    return chart


def _dress(chart: BarChart, bars: Bars) -> None:
    order = range(len(bars.series))
    if bars.lying:
        order = order[::-1]  # the axis begins at the bottom, and people at the top
    chart.data = [list(bars.series[number][1]) for number in order]
    chart.groupSpacing, chart.barSpacing = 6, 1
    if bars.stacked:
        chart.categoryAxis.style = "stacked"
    for place, number in enumerate(order):
        chart.bars[place].fillColor = COLOURS[number % len(COLOURS)]
        chart.bars[place].strokeColor = None
    for axis in (chart.categoryAxis, chart.valueAxis):
        axis.labels.fontName, axis.labels.fontSize, axis.labels.fillColor = PLAIN, SMALL, INK
        axis.strokeColor = INK
    axis = chart.valueAxis
    axis.valueMin = 0
    axis.visibleGrid, axis.gridStrokeColor, axis.gridStrokeWidth = 1, GRID, 0.5
    axis.valueMax = _top(bars)
    axis.valueStep = axis.valueMax / 5
    axis.labelTextFormat = _written


def _top(bars: Bars) -> float:
    """The end of the axis: five steps of a number that people count in."""
    columns = zip(*(values for _name, values in bars.series), strict=True)
    most = max((sum(column) if bars.stacked else max(column) for column in columns), default=0)
    unit = 1
    while True:
        for step in (1, 2, 3, 4, 5, 6, 8):
            if step * unit * 5 >= most:
                return min(step * unit * 5, 100) if bars.percent else step * unit * 5
        unit *= 10


def _written(value: float) -> str:
    """In the language that is active."""
    return number_format(round(value), use_l10n=True, force_grouping=True)


def _legend(bars: Bars, height: float) -> Legend:
    legend = Legend()
    legend.x, legend.y = (190 if bars.lying else 50), height - 6
    legend.fontName, legend.fontSize, legend.fillColor = PLAIN, SMALL, INK
    legend.alignment, legend.boxAnchor = "right", "nw"
    legend.columnMaximum, legend.deltax, legend.dx, legend.dy, legend.dxTextSpace = 1, 90, 8, 8, 5
    legend.variColumn, legend.autoXPadding = 1, 12
    legend.strokeColor = None
    legend.colorNamePairs = [
        (COLOURS[number % len(COLOURS)], legible(name)) for number, (name, _values) in enumerate(bars.series)
    ]
    return legend


def _cut(text: str) -> str:
    return text if len(text) <= 36 else text[:35] + "…"
