"""The pages of files and exports: asking, cancelling, and what they cost."""

from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.utils import timezone

from bench.plans import explained
from bench.rows import WORDS, analyze, copies
from jobs.files import Export
from jobs.ids import new_id
from jobs.models import Job, JobEvent, JobScope, StoredFile
from tests.factories import DAY, alice, bob, make_booking, make_job
from tests.jobs.test_scopes import client_of as client_of_user
from tests.library.paging import (
    ASK,
    EXPORTS,
    FILES,
    asked,
    downloaded,
    export as export,
    file as file,
    maria as maria,
    page,
)
from tests.library.test_storage import stored

pytestmark = pytest.mark.django_db


def test_an_export_is_asked_for_by_columns_and_filters_written_and_had(worker: Any, maria: User) -> None:
    client = client_of_user(maria)
    booking = make_booking(alice(), starts=3 * DAY, location="Old town")
    make_booking(bob(), starts=9 * DAY, location="Harbour")
    form = client.get(f"{ASK}?source=bookings").context["form"]
    assert set(form.fields) > {"format", "columns", "filter_status", "filter_day_from", "filter_starts_before"}
    day = str(booking.wall_date)
    said = {"format": "csv", "columns": ["id", "customer_name"], "filter_status": "booked", "filter_customer": ""}
    said |= {"filter_day_until": day, "filter_location": "Old town", "filter_starts_from_0": "2020-01-01"}
    answer = client.post(f"{ASK}?source=bookings", said | {"filter_starts_from_1": "00:00"})
    export = Export.objects.get()
    assert answer["Location"] == page("export", export.pk)
    assert export.columns == ["id", "customer_name"] and export.by == maria.username and export.revealed
    assert set(export.filters) == {"status", "day_until", "location", "starts_from"}
    waiting = client.get(answer["Location"])
    assert waiting.context["opened"] and page("job", export.pk) in waiting.content.decode()
    assert [one["verb"].name for one in waiting.context["verbs"]] == ["cancel"]
    worker.run_due()
    live = client.get(page("export", export.pk, "live"))
    assert live["X-Over"] == "yes" and page("export", export.pk, "do", "download") in live.content.decode()
    done = client.get(answer["Location"])
    assert [one["verb"].name for one in done.context["verbs"]] == ["download"]
    export.refresh_from_db()
    assert downloaded(client, export).body.decode().splitlines()[1:] == [f'"{booking.pk}","Alice Ähre"']
    assert downloaded(client, export.file).body.decode().splitlines()[1:] == [f'"{booking.pk}","Alice Ähre"']
    logged = LogEntry.objects.filter(change_message="download").values_list("user__username", "object_id")
    assert sorted(logged) == sorted([(maria.username, str(export.pk)), (maria.username, str(export.file_id))])


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"columns": []}, "columns"),
        ({"columns": ["password"]}, "columns"),
        ({"format": "exe"}, "format"),
        ({"filter_status": "gone"}, "filter_status"),
        ({"filter_customer": "Alice"}, "filter_customer"),
        ({"filter_customer": str(2**70)}, "filter_customer"),
        ({"filter_day_from": "31.02.2027"}, "filter_day_from"),
        ({"filter_location": "a\x00b"}, "filter_location"),
    ],
    ids=["no column", "no such column", "no format", "no status", "no number", "too large", "no day", "NUL"],
)
def test_what_the_source_does_not_allow_is_refused_at_its_field(maria: User, said: Any, field: str) -> None:
    answer = client_of_user(maria).post(f"{ASK}?source=bookings", {"format": "csv", "columns": ["id"]} | said)
    assert answer.status_code == 200 and list(answer.context["form"].errors) == [field]
    assert not Export.objects.exists() and not Job.objects.exists()


def test_a_source_is_offered_to_who_may_see_its_rows(maria: User) -> None:
    maria.user_permissions.set(Permission.objects.filter(codename__in=["add_export", "view_export", "view_payment"]))
    maria.groups.clear()
    client = client_of_user(maria)
    assert client.get(ASK).context["sources"] == [("payments", "Payments")]
    for source in ("bookings", "users", "payments'--"):
        answer = client.post(f"{ASK}?source={source}", {"format": "csv", "columns": ["id"]})
        assert answer.status_code == 200 and answer.context["form"] is None
    assert not Export.objects.exists()


def test_who_has_a_tenant_exports_its_rows_alone(worker: Any, maria: User) -> None:
    alice(tenant="one"), bob(tenant="two")
    JobScope.objects.create(user=maria, tenants=["one"])
    client = client_of_user(maria)
    client.post(f"{ASK}?source=customers", {"format": "csv", "columns": ["name"]})
    worker.run_due()
    export = Export.objects.get()
    assert downloaded(client, export).body.decode().splitlines() == ['"name"', '"Alice Ähre"']
    assert export.file is not None and export.file.tenant == "one"


# --- Cancelling ---


def test_a_cancel_is_the_ledgers_and_on_record(worker: Any, maria: User) -> None:
    client, export = client_of_user(maria), asked(maria)
    url = page("export", export.pk, "do", "cancel")
    assert client.post(url, {"reason": ""}).status_code == 200, "it needs a reason"
    told = client.post(url, {"reason": "a slip", "_confirmed": "yes"}, follow=True)
    assert "Cancelled: it will not be written." in told.content.decode()
    event = JobEvent.objects.get(job=export.pk)
    assert (event.verb, event.by, event.reason, event.outcome) == ("cancel", maria.username, "a slip", "cancelled")
    worker.run_due()
    assert not StoredFile.objects.exists()
    again = client.post(url, {"reason": "a slip", "_confirmed": "yes"}, follow=True)
    assert "It was over before." in again.content.decode()
    assert LogEntry.objects.count() == JobEvent.objects.count() == 1


def test_of_one_that_is_being_written_it_says_that_it_is_asked_to_stop(maria: User) -> None:
    client, export = client_of_user(maria), asked(maria)
    Job.objects.filter(pk=export.pk).delete()
    make_job("running", id=export.pk, task="jobs.export", progress={"done": 30, "total": 120, "note": "reading"})
    shown = client.get(page("export", export.pk))
    assert shown.context["percent"] == 25 and 'value="25"' in shown.content.decode()
    told = client.post(page("export", export.pk, "do", "cancel"), {"reason": "x", "_confirmed": "yes"}, follow=True)
    assert "asked to stop" in told.content.decode() and Job.objects.get().cancel_requested


# --- What they cost ---


def crowd(user: User, number: int) -> None:
    now = timezone.now()
    for n in range(number):
        made = stored(owner_id=user.pk, personal=bool(n % 2), name=f"{n}.csv")
        job = make_job("succeeded", task="jobs.export")
        said: dict[str, Any] = {"source": "bookings", "format": "csv", "columns": ["id"], "by": user.username}
        Export.objects.create(pk=job.pk, user=user, file=made, rows=n, finished_at=now, **said)


def test_lists_take_the_same_queries_for_few_and_for_many(maria: User, django_assert_max_num_queries: Any) -> None:
    client = client_of_user(maria)
    crowd(maria, 2)
    addresses = [FILES, f"{FILES}?personal__exact=1", f"{FILES}?q={maria.username}", f"{FILES}?q={new_id()}"]
    addresses += [EXPORTS, f"{EXPORTS}?source=bookings", f"{EXPORTS}?format__exact=csv", f"{EXPORTS}?q={new_id()}"]
    for address in addresses:
        assert client.get(address).status_code == 200, address
    crowd(maria, 60)
    for address in addresses:
        with django_assert_max_num_queries(9):
            client.get(address)


def test_the_pages_of_one_take_few_queries(export: Export, maria: User, django_assert_max_num_queries: Any) -> None:
    client = client_of_user(maria)
    for address in (page("export", export.pk), page("storedfile", export.file_id)):
        client.get(address)
        with django_assert_max_num_queries(20):
            client.get(address)


SEARCHES = {
    "files of an owner": (f"{FILES}?q=rare", "file_of_owner"),
    "files of a tenant": (f"{FILES}?tenant=rare", "file_of_tenant"),
    "personal files": (f"{FILES}?personal__exact=1", "file_personal"),
    "files of a job": (f"{FILES}?q=018f0000-0000-7000-8000-000000000007", "file_of_job"),
    "exports of a source": (f"{EXPORTS}?source=payments", "export_of_source"),
    "exports of a format": (f"{EXPORTS}?format__exact=xlsx", "export_of_format"),
    "exports of a name": (f"{EXPORTS}?q=rare", "export_by"),
}


@pytest.mark.parametrize("name", SEARCHES)
def test_in_a_crowd_each_filter_goes_by_its_index(name: str, settings: Any) -> None:
    settings.TENANTS = True
    now = timezone.now()
    rare = User.objects.create_user("rare")
    file: dict[str, Any] = {"name": "x.csv", "content_type": "text/csv", "size": 1, "sha256": "0", "created_at": now}
    export: dict[str, Any] = {"source": "bookings", "format": "csv", "columns": ["id"], "by": "x", "asked_at": now}
    made = {"id": WORDS[connection.vendor]["id"]}
    copies(StoredFile(**file), 20_000, **made)
    copies(StoredFile(**file | {"tenant": "rare", "owner": rare, "personal": True, "job_id": new_id()}), 20, **made)
    copies(Export(**export), 20_000, by="'x' || (i / 100)", **made)  # where few ask, their own order is as good
    copies(Export(**export | {"source": "payments", "format": "xlsx", "by": "rare"}), 20, **made)
    analyze("jobs_storedfile", "jobs_export")
    client = client_of_user(User.objects.create_superuser("root"))
    address, index = SEARCHES[name]
    client.get(address)
    with explained("jobs_storedfile" if address.startswith(FILES) else "jobs_export") as plans:
        assert client.get(address).status_code == 200
    assert plans
    for plan in plans:
        assert index in plan.indexes and not plan.whole and plan.pages < 400, plan.sql + plan.text
