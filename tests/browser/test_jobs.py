"""Olga operates: she runs a failed job again, cancels a thousand, pauses a queue, and sees what failed alike."""

from collections.abc import Callable
from typing import Any

import pytest
from django.urls import reverse
from playwright.sync_api import expect

from bench.rows import copies
from jobs import bulk_orders, pauses
from jobs.admin.verbs import ordering
from jobs.models import Job, JobEvent, Order
from tests.browser.conftest import SignIn
from tests.browser.person import Person
from tests.factories import make_job

LIST = reverse("admin:jobs_job_changelist")
DO_IT = "button:has-text('Do it')"


def select_first_and_run(person: Person, action: str, *, all_of_them: bool = False) -> None:
    page = person.page
    page.locator("#result_list input.action-select").first.check()
    if all_of_them:
        page.locator("#action-toggle").check()
        page.locator("#changelist-actions .question a").click()
    page.locator("#changelist-actions select[name=action]").select_option(action)
    person.go(page.locator("#changelist-actions button[name=index]"))


def test_a_failed_job_is_run_again(olga: Person) -> None:
    job = make_job("failed", task="probe.fail", reason="Flaky: broken", signature="Flaky: broken")
    page = olga.open(f"{LIST}?q={job.pk}")
    olga.looks_fine()
    olga.go(page.locator("#result_list a").first)
    olga.looks_fine()
    page.get_by_role("link", name="Run again...").click()
    expect(page.locator("body")).to_contain_text("would be changed: 1.")
    olga.looks_fine()
    page.get_by_label("Reason").fill("the provider is back")
    page.locator(DO_IT).click()
    expect(page.locator("#receipt")).to_contain_text("done: 1")
    olga.looks_fine()
    job.refresh_from_db()
    assert job.state == "scheduled"
    assert JobEvent.objects.get(job=job).reason == "the provider is back"
    olga.open(reverse("admin:jobs_job_change", args=[job.pk]))
    expect(page.locator("#content ol").last).to_contain_text("olga asked: run again")


def test_many_are_cancelled_by_filter_and_the_page_shows_how_far_it_is(olga: Person) -> None:
    copies(Job(task="probe.ok", queue="default", correlation_id="event:9"), 1_200, seconds="86400 + i")
    page = olga.open(f"{LIST}?tag=event:9")
    expect(page.locator("body")).to_contain_text("1200 jobs")
    page.get_by_role("link", name="Next").click()
    expect(page.get_by_role("link", name="Previous")).to_be_visible()
    select_first_and_run(olga, "cancel", all_of_them=True)
    expect(page.locator("body")).to_contain_text("would be changed: 1,200.")
    page.get_by_label("Reason").fill("the event is off")
    page.locator(DO_IT).click()
    expect(page.locator("#so-far")).to_contain_text("0 / 1,200 under way")
    order = Order.objects.get(reason="the event is off")
    bulk_orders.chunk(order.pk)  # what its job does on a worker
    expect(page.locator("#so-far")).to_contain_text("500 / 1,200 under way")
    while bulk_orders.chunk(order.pk).open:
        pass
    expect(page.locator("#so-far")).to_contain_text("1,200 / 1,200 done")
    expect(page.locator("#receipt")).to_contain_text("cancelled: 1,200")
    olga.looks_fine()
    assert Job.objects.filter(correlation_id="event:9", state="cancelled").count() == 1_200
    assert JobEvent.objects.filter(order=order, by="olga", reason="the event is off").count() == 1_200


def test_a_queue_is_paused_and_one_sees_by_whom_and_why(olga: Person) -> None:
    page = olga.open(reverse("admin:jobs_queue_change", args=["messages"]))
    try:
        page.get_by_role("button", name="Pause...").click()
        expect(page.locator("body")).to_contain_text("Nothing more is sent")
        olga.looks_fine()
        page.get_by_label("Reason").fill("the provider is down")
        page.get_by_role("button", name="Pause", exact=True).click()
        expect(page.locator("#result_list")).to_contain_text("by olga. the provider is down")
        olga.open(reverse("admin:jobs_queue_change", args=["messages"]))
        expect(page.locator("body")).to_contain_text("Drained")
        olga.looks_fine()
    finally:
        pauses.resume("queue", ["messages"])


def test_a_queue_grows_by_one(maria: Person) -> None:
    page = maria.open(reverse("admin:jobs_queue_change", args=["default"]))
    page.get_by_label("Why more or fewer processes").fill("newsletter")
    page.get_by_role("button", name="One more").click()
    expect(page.locator("body")).to_contain_text("by maria. newsletter")
    maria.looks_fine()


def test_what_failed_alike_is_one_entry_that_leads_to_its_jobs(olga: Person) -> None:
    for _ in range(3):
        make_job("failed", task="probe.fail", signature="Flaky: no room <n>")
    page = olga.open(reverse("admin:jobs_job_errors"))
    olga.looks_fine()
    page.get_by_role("link", name="Flaky: no room <n>").click()
    expect(page.locator("#result_list .data-row")).to_have_count(3)


PAGES: dict[str, Callable[[Any], str]] = {
    "list": lambda _: LIST,
    "job": lambda job: reverse("admin:jobs_job_change", args=[job.pk]),
    "errors": lambda _: reverse("admin:jobs_job_errors"),
    "order": lambda job: ordering("cancel", {"state__exact": "scheduled"}),
    "postpone": lambda job: ordering("postpone", {"state__exact": "scheduled"}),
    "queue": lambda _: reverse("admin:jobs_queue_change", args=["default"]),
    "workers": lambda _: reverse("admin:jobs_queueworker_changelist"),
    "scope": lambda _: reverse("admin:jobs_jobscope_add"),
}


@pytest.mark.parametrize("look", ["light and wide", "dark on a phone"])
@pytest.mark.parametrize("name", PAGES)
def test_every_page_is_fine_in_both_lights_and_widths(sign_in: SignIn, name: str, look: str) -> None:
    person = sign_in("root", language="de", dark="dark" in look, phone="phone" in look)
    job = Job.objects.filter(state="failed", attempts__isnull=False)[0]
    person.open(PAGES[name](job))
    person.shoot(f"{name}-{look.split()[0]}")
    person.looks_fine()
