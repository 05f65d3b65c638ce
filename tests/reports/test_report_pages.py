"""The pages of reports: who sees which, asking for one, and what the browser is told about its files."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from jobs.files import StoredFile
from jobs.library import people, storage
from jobs.models import Job, JobScope
from notifications.models import Customer, Report
from notifications.reports import reports
from tests.jobs.test_scopes import client_of, person
from tests.reports.scene import MONDAY, at, booking

pytestmark = pytest.mark.django_db
LIST, ASK = reverse("admin:notifications_report_changelist"), reverse("admin:notifications_report_add")
SAID = {"kind": "week", "on": "2025-11-05", "zone": "Europe/Berlin", "language": "en", "tenant": ""}


def made(worker: Any, tenant: str = "") -> Report:
    root = User.objects.filter(username="root").first() or User.objects.create_superuser("root")
    report = reports.ask("week", MONDAY, "Europe/Berlin", "en", tenant, people.of(root))
    worker.run_due()
    return report


def page_of(report: Report) -> str:
    return reverse("admin:notifications_report_change", args=[report.pk])


def file_of(report: Report, what: str) -> str:
    return reverse("admin:notifications_report_file", args=[report.pk, what])


def body(answer: Any) -> bytes:
    return b"".join(answer.streaming_content)


def code(client: Client, address: str) -> int:
    answer = client.get(address)
    if answer.streaming:
        body(answer)  # which closes it
    return answer.status_code


ROLES = [("nobody", 302, 302), ("staff", 403, 403), ("Viewer", 200, 403), ("Operator", 200, 200), ("Manager", 200, 200)]


@pytest.mark.parametrize(("role", "look", "ask"), ROLES)
def test_role_by_page(worker: Any, role: str, look: int, ask: int) -> None:
    report, client = made(worker), client_of(person(role))
    for address in (LIST, page_of(report), file_of(report, "html"), file_of(report, "pdf")):
        assert code(client, address) == look, address
    assert client.get(ASK).status_code == ask
    jobs = Job.objects.count()
    answer = client.post(ASK, SAID | {"kind": "day"})
    assert answer.status_code == (302 if ask in (200, 302) else ask)
    assert Job.objects.count() == jobs + (1 if ask == 200 else 0)


def test_asking_leads_to_the_report_and_the_page_waits_for_it(worker: Any, customer: Customer) -> None:
    booking(customer, created_at=at(4), made_at=at(4))
    client = client_of(person("Operator"))
    answer = client.post(ASK, SAID, follow=True)
    report = Report.objects.get()
    assert answer.redirect_chain == [(page_of(report), 302)]
    assert answer["Refresh"] == "3" and "It is being written." in answer.content.decode()
    assert "file.pdf" not in answer.content.decode()
    worker.run_due()
    page = client.get(page_of(report))
    text = page.content.decode()
    assert "Refresh" not in page and "Week 45 of 2025" in text and "Messages sent" in text
    assert file_of(report, "pdf") in text and file_of(report, "html") in text
    assert file_of(report, "pdf") in client.get(LIST).content.decode()


def test_the_html_is_read_in_a_box_and_the_pdf_is_saved(worker: Any) -> None:
    report, client = made(worker), client_of(person("Viewer"))
    html, pdf = client.get(file_of(report, "html")), client.get(file_of(report, "pdf"))
    assert html["Content-Security-Policy"].startswith("sandbox; default-src 'none'")
    assert html["Content-Disposition"].startswith("inline") and b"Report of the week" in body(html)
    assert pdf["Content-Disposition"] == 'attachment; filename="report-week-2025-11-03-en.pdf"'
    assert pdf["Content-Type"] == "application/pdf" and body(pdf).startswith(b"%PDF")
    for answer in (html, pdf):
        assert answer["X-Content-Type-Options"] == "nosniff" and "no-store" in answer["Cache-Control"]


def test_files_that_are_gone_are_told_and_can_be_had_again(worker: Any) -> None:
    report, client = made(worker), client_of(person("Operator"))
    storage.remove(StoredFile.objects.all())
    assert code(client, file_of(report, "pdf")) == 404
    assert "its files are not here" in client.get(page_of(report)).content.decode()
    client.post(ASK, SAID)
    worker.run_due()
    assert code(client, file_of(report, "pdf")) == 200


@pytest.mark.parametrize("what", ["exe", "figures", "pk", "html_id"])
def test_there_are_no_other_files(worker: Any, what: str) -> None:
    report = made(worker)
    assert client_of(person("Manager")).get(f"{page_of(report)[:-7]}file.{what}").status_code == 404


def test_a_report_of_another_tenant_is_not_there(worker: Any, settings: Any) -> None:
    settings.TENANTS = True
    of_a, of_b, of_all = (made(worker, tenant) for tenant in ("a", "b", ""))
    user = person("Manager")
    JobScope.objects.create(user=user, tenants=["a"])
    client = client_of(user)
    assert [one.pk for one in client.get(LIST).context["cl"].result_list] == [of_a.pk]
    assert client.get(page_of(of_a)).status_code == 200
    for other in (of_b, of_all):
        for address in (page_of(other), file_of(other, "html"), file_of(other, "pdf")):
            assert code(client, address) == 404


def test_who_has_one_tenant_asks_for_it_whatever_is_posted(worker: Any) -> None:
    user = person("Operator")
    JobScope.objects.create(user=user, tenants=["a"])
    for tenant in ("", "b", "a"):
        client_of(user).post(ASK, SAID | {"tenant": tenant})
    assert [one.tenant for one in Report.objects.all()] == ["a"]


def test_who_has_some_queues_is_told_why_not(worker: Any) -> None:
    user = person("Operator")
    JobScope.objects.create(user=user, queues=["default"])
    page = client_of(user).post(ASK, SAID)
    assert page.status_code == 200 and "more than you may see" in page.content.decode()
    assert not Report.objects.exists()


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"zone": "Atlantis"}, "Unknown time zone"),
        ({"on": "yesterday"}, "Enter a valid date"),
        ({"on": f"{timezone.now().date() + timedelta(days=400)}"}, "has not begun yet"),
        ({"on": "0001-01-01"}, "is not between"),
        ({"kind": "year"}, "Select a valid choice"),
        ({"language": "fr"}, "Select a valid choice"),
    ],
    ids=str,
)
def test_what_cannot_be_is_said_beside_the_form(wrong: dict[str, str], told: str) -> None:
    page = client_of(person("Operator")).post(ASK, SAID | wrong)
    assert page.status_code == 200 and told in page.content.decode()
    assert not Report.objects.exists()


def test_the_list_takes_as_many_statements_with_more_reports(worker: Any, django_assert_max_num_queries: Any) -> None:
    for tenant in ("", "a", "b", "c"):
        made(worker, tenant)
    client: Client = client_of(person("Manager"))
    client.get(LIST)
    with django_assert_max_num_queries(12):
        assert client.get(LIST).content.decode().count("file.pdf") == 4


def test_it_stands_in_the_sidebar_of_those_who_may_see_it() -> None:
    assert LIST in client_of(person("Viewer")).get(reverse("admin:index")).content.decode()
    assert LIST not in client_of(person("staff")).get(reverse("admin:index")).content.decode()
