"""The same figures as HTML, PDF and text, in two languages, and nothing in them of anybody in particular."""

import io
import re
from datetime import UTC, date, datetime
from typing import Any

import pypdf
import pytest
from django.utils import translation

from notifications.models import Customer
from notifications.reports import charts, figures, sections
from notifications.reports.charts import Bars
from notifications.reports.documents import Document
from notifications.reports.effect import Cohort, Effect, RuleEffect
from notifications.reports.figures import Figures, Lateness, Messages, Paid, Task
from tests.factories import alice
from tests.reports.scene import at, booking, delivery, job, only, over, payment, period, rule

COUNTED = datetime(2025, 11, 10, 5, 30, tzinfo=UTC)
HOSTILE = "<script>alert(1)</script> & <b>bold</b>"


def some(rule: str = "24 hours before", **others: Any) -> Figures:
    email = Messages(
        channel="email",
        sent=1234,
        delivered=1200,
        returned=7,
        refused=3,
        in_doubt=1,
        by_part=[0, 1000, 234, 0, 0, 0, 0],
    )
    email.skipped = {"cancelled": 40, "too_late": 2}
    said: dict[str, Any] = {
        "messages": [email],
        "lateness": Lateness(number=1234, p50=0.84, p95=3.96, p99=64, worst=1310),
        "bookings": figures.Bookings(made=11, imported=12, moved=13, cancelled=14, completed=15, no_show=16),
        "effect": Effect(
            all=Cohort(bookings=400, no_show=31, confirmed=200),
            rules=[
                RuleEffect(
                    rule=rule,
                    reminded=Cohort(bookings=300, no_show=17, confirmed=190),
                    others=Cohort(bookings=100, no_show=14, confirmed=10),
                )
            ],
        ),
        "paid": Paid(on_time=[20, 10, 0, 0, 0], late=[0, 0, 5, 0, 1]),
        "jobs": [Task(task="notifications.deliver", succeeded=1230, failed=4, retried=9)],
    }
    return Figures(**said | others)


def document(found: Figures | None = None, language: str = "en", **others: Any) -> Document:
    said: dict[str, Any] = {"period": period(), "tenant": "", "counted_at": COUNTED}
    return Document(figures=found or some(), language=language, **said | others)


def read(pdf: bytes) -> str:
    return " ".join(" ".join(page.extract_text() for page in pypdf.PdfReader(io.BytesIO(pdf)).pages).split())


def text_of(html: bytes) -> str:
    body = html.decode().split("<body>")[1]
    return " ".join(re.sub(r"<[^>]+>", " ", re.sub(r"(?s)<svg.*?</svg>", "", body)).split())


ENGLISH = [
    "Week 45 of 2025",
    "1,234",
    "1,200 (97.2 %)",
    "31 (7.8 %)",
    "30 (83.3 %)",
    "5.7 %",  # 17 of 300
    "14.0 %",
    "−8.3",
    "63.3 %",
    "10.0 %",
    "0.8 s",
    "4.0 s",
    "64 s",
    "21 min",
    "notifications.deliver",
]
GERMAN = ["Woche 45 von 2025", "1.234", "1.200 (97,2 %)", "5,7 %", "−8,3", "63,3 %"]


@pytest.mark.parametrize(("language", "words"), [("en", ENGLISH), ("de", GERMAN)])
def test_every_form_tells_the_figures(language: str, words: list[str]) -> None:
    made = document(language=language)
    for text in (text_of(made.html()), read(made.pdf()), made.text()):
        assert not [word for word in words if word not in text]


@pytest.mark.parametrize("language", ["en", "de"])
def test_html_and_pdf_have_the_same_cells(language: str) -> None:
    made = document(language=language)
    with translation.override(language):
        told = sections.all_of(made.figures, made.period)
    cells = [
        cell for section in told for table in section.tables for row in (table.headers, *table.rows) for cell in row
    ]
    html, pdf = text_of(made.html()), read(made.pdf())
    assert len(cells) > 100
    assert not [cell for cell in cells if cell not in html]
    assert not [cell for cell in cells if cell not in pdf and cell.replace(" ", "") not in pdf.replace(" ", "")]


def test_the_same_figures_give_the_same_bytes() -> None:
    assert document().html() == document().html()
    assert document().pdf() == document().pdf()


def test_a_rules_name_is_text_and_no_markup() -> None:
    made = document(some(HOSTILE))
    assert b"<script" not in made.html() and b"<b>bold" not in made.html()
    assert HOSTILE in read(made.pdf())


def test_letters_that_the_fonts_of_the_pdf_lack_are_marked_and_whole_in_the_html() -> None:
    made = document(some("前一天 für Köln"))
    assert "前一天 für Köln" in text_of(made.html())
    assert "??? für Köln" in read(made.pdf())


def test_the_html_loads_nothing_and_runs_nothing() -> None:
    html = document().html().decode()
    assert not re.search(r"<(script|link|img|iframe|object|form)\b|\bon\w+=|url\(|@import|javascript:", html)
    assert set(re.findall(r"https?://[^\"'\s]+", html)) <= {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }
    assert len(re.findall(r'\bid="', html)) == 0  # two charts have no id in common


def test_the_html_can_be_listened_to() -> None:
    html = document(language="de").html().decode()
    assert '<html lang="de">' in html
    assert html.count("<h1>") == 1 and html.count("<h2>") == 7
    assert html.count("<caption>") == html.count("<table>") == html.count("<thead>")
    assert len(re.findall(r'role="img" aria-label="[^"]{20,}"', html)) == html.count("<svg") == 3
    assert "<th>" not in html  # each says whether it is of a row or a column


def test_the_pdf_says_what_it_is() -> None:
    found = pypdf.PdfReader(io.BytesIO(document(language="de").pdf()))
    assert found.metadata is not None and "Woche 45 von 2025" in str(found.metadata.title)
    assert str(found.root_object["/Lang"]) == "de"


def test_one_that_is_not_over_says_so() -> None:
    running = document(counted_at=at(5, 12))
    assert "not over yet" in text_of(running.html()) and "not over yet" not in text_of(document().html())


def test_the_tenant_is_named() -> None:
    assert "Tenant: praxis" in read(document(tenant="praxis").pdf())


def test_a_time_with_nothing_in_it_is_told_without_tables_and_charts() -> None:
    nothing = Figures(
        messages=[Messages(channel="email", by_part=[0] * 7)],
        lateness=Lateness(number=0, p50=None, p95=None, p99=None, worst=None),
        bookings=figures.Bookings(),
        effect=Effect(all=Cohort(), rules=[]),
        paid=Paid(on_time=[0] * 5, late=[0] * 5),
        jobs=[],
    )
    html = document(nothing).html().decode()
    for sentence in ("No messages.", "No booking was completed or missed.", "No payment was paid.", "No job ended."):
        assert sentence in html
    assert "<svg" not in html
    assert "No payment was paid." in read(document(nothing).pdf())


@pytest.mark.parametrize(
    ("kind", "day", "title"),
    [
        ("day", date(2025, 11, 3), "Monday, 2025-11-03"),
        ("week", date(2026, 1, 1), "Week 1 of 2026 (2025-12-29 to 2026-01-04)"),
        ("week", date(2021, 1, 3), "Week 53 of 2020 (2020-12-28 to 2021-01-03)"),
        ("month", date(2025, 12, 31), "December 2025"),
    ],
)
def test_periods_have_names(kind: Any, day: date, title: str) -> None:
    with translation.override("en"):
        assert sections.title(period(kind, day)) == title


def test_the_hour_that_comes_twice_says_which() -> None:
    of_day = period("day", date(2025, 10, 26))
    found = some(messages=[Messages(channel="email", sent=25, by_part=[1] * 25)])
    text = document(found, period=of_day).text()
    assert "02:00 CEST" in text and "02:00 CET" in text and "03:00  " in text


@pytest.mark.parametrize(("most", "top"), [(0, 5), (3, 5), (51, 100), (1234, 1500), (5_001, 10_000), (2, 5)])
def test_an_axis_ends_where_people_count_to(most: int, top: int) -> None:
    assert charts._top(Bars("", "", ["a"], [("b", [most])])) == top


@pytest.mark.django_db
def test_nobody_is_named(customer: Customer) -> None:
    """The rows of a customer with a name, an address and a number that are nowhere else."""
    named = alice(name="Zacharias Quux", email="zq@quux.example", phone="+491511234567", external_id="QX-77")
    one, dunning = rule("an hour before"), rule("payment", anchor="payment_due")
    only(one, dunning)
    delivery(over(named, "no_show", external_id="B-4711", service="Root canal", location="Quux Street"), one)
    delivery(booking(named), one, state="refused", detail="550 zq@quux.example unknown")
    delivery(payment(named, due_on=date(2025, 11, 4), closed_at=at(4), subject="Root canal"), dunning)
    job("a.task", "failed", finished_at=at(4), failures=1, reason="zq@quux.example", args=["zq@quux.example"])
    found = figures.count(period(), "")
    made = document(found)
    for text in (found.model_dump_json(), made.html().decode(), read(made.pdf()), made.text()):
        assert "an hour before" in text
        for secret in ("Zacharias", "Quux", "quux", "4915", "QX-77", "B-4711", "Root canal"):
            assert secret not in text
