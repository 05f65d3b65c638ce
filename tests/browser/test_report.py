"""Asking for a report, and the report itself as a browser and a screen reader have it."""

import re

import pytest
from django.urls import reverse
from playwright.sync_api import Browser

from jobs.models import Job
from notifications.models import Report
from tests.browser.conftest import PHONE, WIDE, SignIn
from tests.browser.person import Person
from tests.reports.test_documents import document


@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
@pytest.mark.parametrize("language", ["en", "de"])
def test_the_html_is_for_everybody(browser: Browser, language: str, size: dict[str, int]) -> None:
    context = browser.new_context(viewport=size)  # type: ignore[arg-type]  # a TypedDict of Playwright's
    person = Person(context, "")
    person.page.set_content(document(language=language).html().decode(), wait_until="load")
    assert person.page.locator("html").get_attribute("lang") == language
    person.looks_fine()
    folded = person.page.locator("details table")
    assert not folded.is_visible()
    person.page.locator("summary").press("Enter")
    assert folded.is_visible()
    person.looks_fine()
    drawn = person.page.locator("svg").first.bounding_box()
    assert drawn is not None and drawn["width"] > 300 and drawn["height"] > 100
    context.close()
    assert not person.complaints


@pytest.mark.parametrize("language", ["en", "de"])
def test_olga_asks_for_one(sign_in: SignIn, language: str) -> None:
    olga = sign_in("olga", language=language)
    page = olga.open(reverse("admin:notifications_report_changelist"))
    page.locator(f"a[href='{reverse('admin:notifications_report_add')}']").first.click()
    olga.looks_fine()
    page.locator("select[name=kind]").select_option("month")
    page.locator("input[name=on]").fill("2025-10-15")
    page.locator("input[name=zone]").fill("Europe/Berlin")
    page.locator("form[method=post] button[type=submit]").last.click()
    page.wait_for_url(re.compile(r"/report/[0-9a-f-]{36}/change/"))
    olga.looks_fine()
    report = Report.objects.get(kind="month", language=language)  # the site is shared: there are others
    assert f"{report.first_day}" == "2025-10-01" and Job.objects.get(pk=report.job_id).state == "scheduled"
    assert ("October 2025" if language == "en" else "Oktober 2025") in page.locator("main, body").first.inner_text()
