"""Asking for an export, seeing how far it is, and having its file; and a mail of a report in doubt."""

import io
import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.storage import storages
from django.urls import reverse
from django.utils import timezone

from jobs.files import Export, StoredFile
from jobs.library import storage
from jobs.library.storage import Whose
from jobs.models import Job
from notifications.models import Report, ReportMail
from tests.browser.conftest import SignIn
from tests.browser.person import Person
from tests.factories import make_job
from tests.stack.live import Live

LOOKS = [("en", False, False), ("de", True, True)]  # as in test_pages: each language, light and width once


@pytest.fixture
def files(site: Live, settings: Any) -> None:
    """What this process stores is the site's."""
    kept = settings.STORAGES["jobs"]
    here = {"location": site.stack.data_dir / "media" / "jobs"}
    settings.STORAGES = settings.STORAGES | {"jobs": kept | {"OPTIONS": kept["OPTIONS"] | here}}
    storages._storages.pop("jobs", None)  # type: ignore[attr-defined]


def looked_at(person: Person, name: str) -> None:
    person.looks_fine()
    person.shoot(name)


def written(export: Export) -> StoredFile:
    """As its job leaves it."""
    whose = Whose(export.user_id, "", True, "notifications.reveal_customer", export.pk)
    file = storage.keep(io.BytesIO(b'"id"\r\n"1"\r\n'), "bookings.csv", "text/csv", whose)
    Export.objects.filter(pk=export.pk).update(file=file, rows=1, finished_at=timezone.now())
    Job.objects.filter(pk=export.pk).update(state="succeeded", lease_until=None, finished_at=timezone.now())
    return file


@pytest.mark.parametrize(("language", "dark", "phone"), LOOKS)
def test_maria_asks_for_an_export_and_has_it(
    files: None, sign_in: SignIn, language: str, dark: bool, phone: bool
) -> None:
    maria = sign_in("maria", language=language, dark=dark, phone=phone)
    look = f"{language}{'-dark' if dark else ''}{'-phone' if phone else ''}"
    page = maria.open(reverse("admin:jobs_export_add"))
    looked_at(maria, f"ask-{look}")
    page.locator("a[href='?source=bookings']").click()
    page.wait_for_url(re.compile("source=bookings"))
    looked_at(maria, f"ask-bookings-{look}")
    page.locator("input[name=filter_day_from]").fill("2020-01-01")
    page.locator("select[name=filter_status]").select_option("booked")
    page.locator("form:has(input[name=columns]) button[type=submit]").click()
    page.wait_for_url(re.compile(r"/export/[0-9a-f-]{36}/change/"))
    looked_at(maria, f"export-waits-{look}")
    export = Export.objects.order_by("-asked_at")[0]
    assert export.filters == {"status": "booked", "day_from": "2020-01-01"}
    running = {"state": "running", "lease_until": timezone.now(), "progress": {"done": 3, "total": 12}}
    Job.objects.filter(pk=export.pk).update(**running)
    page.locator("progress[value='25']").wait_for()
    looked_at(maria, f"export-runs-{look}")
    page.locator("button[popovertarget=verb-cancel]:not([popovertargetaction])").click()
    looked_at(maria, f"export-cancel-{look}")
    page.keyboard.press("Escape")
    file = written(export)
    page.locator("a[href$='/do/download/']").click()
    looked_at(maria, f"download-{look}")
    with page.expect_download() as had:
        page.locator("form[action$='/do/download/'] button[type=submit]").click()
    assert had.value.suggested_filename == "bookings.csv" and had.value.path().read_bytes() == b'"id"\r\n"1"\r\n'
    for name, path in {
        "export-done": reverse("admin:jobs_export_change", args=[export.pk]),
        "exports": reverse("admin:jobs_export_changelist"),
        "files": reverse("admin:jobs_storedfile_changelist"),
        "file": reverse("admin:jobs_storedfile_change", args=[file.pk]),
    }.items():
        maria.open(path)
        looked_at(maria, f"{name}-{look}")


@pytest.mark.parametrize(("language", "dark", "phone"), LOOKS)
def test_olga_decides_what_became_of_a_mail(sign_in: SignIn, language: str, dark: bool, phone: bool) -> None:
    olga = sign_in("olga", language=language, dark=dark, phone=phone)
    look = f"{language}{'-dark' if dark else ''}{'-phone' if phone else ''}"
    job = make_job("failed", task="notifications.send_report")
    same = {"kind": "day", "first_day": "2025-11-05", "zone": "UTC", "language": "en", "tenant": ""}
    report, _ = Report.objects.get_or_create(**same, defaults={"by": "olga", "job_id": job.pk})
    ReportMail.objects.filter(report=report).delete()
    told = {"state": "in_doubt", "detail": "the worker was lost while sending", "intent_at": timezone.now()}
    mail = ReportMail.objects.create(pk=job.pk, report=report, user=User.objects.get(username="vera"), **told)
    page = olga.open(reverse("admin:notifications_delivery_doubts"))
    looked_at(olga, f"doubts-{look}")
    page.locator("a[href$='state__exact=in_doubt']").click()
    looked_at(olga, f"mails-{look}")
    page.locator(f"a[href*='{mail.pk}']").first.click()
    looked_at(olga, f"mail-{look}")
    page.locator("button[popovertarget=verb-arrived]:not([popovertargetaction])").click()
    page.locator("#arrived_reason").fill("she told me")
    looked_at(olga, f"mail-arrived-{look}")
    olga.go(page.locator("#verb-arrived button[type=submit]"))
    looked_at(olga, f"mail-decided-{look}")
    mail.refresh_from_db()
    assert (mail.state, mail.detail) == ("sent", "sent, says olga: she told me")
    olga.open(reverse("admin:notifications_report_change", args=[report.pk]))
    looked_at(olga, f"report-{look}")
