"""The first page in a browser: the figures of a made scene, kept up to date without loading the page again."""

import re
from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import Locator, Page, expect

from jobs import pauses
from jobs.models import Job, QueueWorker
from tests.browser.conftest import SignIn
from tests.browser.person import Person
from tests.factories import HOUR, make_job

INDEX = reverse("admin:index")


def figure(page: Page, name: str) -> Locator:
    return page.locator(f"[data-figure='{name}']")


def test_it_shows_what_is_the_matter(root: Person) -> None:
    QueueWorker.objects.update(seen_at=timezone.now())  # the scene may be minutes old by now
    page = root.open(INDEX)
    expect(figure(page, "Workers")).to_contain_text("1 worker")
    expect(figure(page, "Clock")).to_contain_text("nothing is sent")
    expect(figure(page, "Providers")).to_contain_text("smtp")
    expect(page.get_by_role("heading", name="Queues")).to_be_visible()
    expect(page.get_by_text("practice 7")).to_be_visible()
    expect(page.locator("canvas.chart")).to_be_visible()
    root.looks_fine()


def test_a_figure_changes_while_one_looks(root: Person) -> None:
    page = root.open(INDEX)
    page.evaluate("window.same = true")
    before = figure(page, "Failed jobs").locator("dd").first.inner_text()
    made = make_job("failed")
    expect(figure(page, "Failed jobs").locator("dd").first).to_have_text(str(int(before) + 1))
    Job.objects.filter(pk=made.pk).delete()
    expect(figure(page, "Failed jobs").locator("dd").first).to_have_text(before)
    assert page.evaluate("window.same"), "the page was loaded again"
    expect(page.locator("#refreshed")).to_have_text(re.compile(r"Refreshed at \d\d:\d\d:\d\d"))
    root.looks_fine()


def test_who_wants_to_read_holds_it_still(root: Person) -> None:
    root.page.clock.install()
    page = root.open(INDEX)
    page.get_by_role("button", name="Hold this page still").click()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    made = make_job("failed")
    page.clock.run_for(60_000)  # longer than between many looks: nothing is to happen
    assert not asked
    page.get_by_role("button", name="Hold this page still").click()
    with page.expect_response(lambda answer: answer.ok):
        page.clock.run_for(60_000)
    Job.objects.filter(pk=made.pk).delete()


def test_what_is_opened_stays_open_and_the_chart_is_drawn_again(root: Person) -> None:
    make_job(run_at=timezone.now() + 3 * HOUR)
    page = root.open(INDEX)
    page.locator("#hours summary").click()
    page.locator("#hours summary").focus()
    with page.expect_response(lambda answer: answer.url.endswith(reverse("dashboard_ahead"))):
        page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")  # one comes back to the page
    expect(page.locator("#hours[open] summary")).to_be_focused()
    assert page.evaluate("Boolean(Chart.getChart(document.querySelector('canvas.chart')))")


def test_who_is_signed_out_meanwhile_is_told(sign_in: SignIn) -> None:
    person = sign_in("olga")
    page = person.open(INDEX)
    person.context.clear_cookies()
    expect(page.locator("#refreshed")).to_contain_text("Not refreshed since")


def test_without_a_script_it_is_as_it_was_opened(sign_in: SignIn) -> None:
    person = sign_in("vera")
    answer = person.context.request.get(person.site + INDEX)
    assert "Failed jobs" in answer.text() and "Upcoming load" in answer.text()


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_in_german_on_a_phone(sign_in: SignIn, dark: bool) -> None:
    pauses.pause("queue", ["messages"], by="olga", reason="Umzug", until=timezone.now() + timedelta(hours=2))
    try:
        person = sign_in("vera", language="de", dark=dark, phone=True)
        page = person.open(INDEX)
        expect(figure(page, "Jetzt fällig")).to_be_visible()
        expect(page.get_by_text("Umzug")).to_be_visible()
        person.looks_fine()
    finally:
        pauses.resume("queue", ["messages"])
