"""Exports: what is in them, what is not, and that an interrupted one is the same as one that was not."""

import io
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from django.conf import settings
from django.db import connection
from django.test.utils import CaptureQueriesContext

from jobs import ledger
from jobs.files import Export
from jobs.library import exports, parts, people, sources, storage, writing
from jobs.library.exports import Wanted
from jobs.models import Job, StoredFile
from notifications.models import Customer
from tests.factories import HOUR, alice, bob, make_payment
from tests.jobs.test_scopes import person
from tests.library.exporting import FORMATS, content, customers, rows_of

pytestmark = pytest.mark.django_db
HOSTILE = ["=1+1", "+49 151", "-2", "@SUM(A1)", "\tx", "\rx", "\nx", '=HYPERLINK("http://x";"y")', 'a";=1+1;"', "ok"]


@pytest.fixture
def manager() -> people.Person:
    return people.of(person("Manager"))


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports, "CHUNK", 10)


@pytest.mark.parametrize("form", FORMATS)
def test_each_format_holds_every_row_once(form: str, worker: Any, manager: people.Person) -> None:
    customers([f"Customer {n}" for n in range(37)])
    wanted = Wanted(source="customers", format=form, columns=["id", "name", "email"])  # type: ignore[arg-type]
    export = exports.ask(wanted, manager)
    worker.run_due()
    found = rows_of(form, content(export))
    assert [(str(pk), name, mail) for pk, name, mail in found] == [
        (str(one.pk), one.name, one.email) for one in Customer.objects.order_by("pk")
    ]
    job: Any = Job.objects.get(pk=export.pk)
    assert job.state == "succeeded" and job.progress["done"] == job.progress["total"] == 37
    assert job.result == {"file": str(export.file_id), "size": len(content(export)), "rows": 37}
    assert job.args == [str(export.pk)] and job.kwargs == {}
    assert not list(Path(settings.JOBS_WORK_DIR).iterdir())


@pytest.mark.parametrize("form", FORMATS)
def test_an_export_of_nothing_is_a_whole_file(form: str, worker: Any, manager: people.Person) -> None:
    export = exports.ask(Wanted(source="customers", format=form), manager)  # type: ignore[arg-type]
    worker.run_due()
    assert rows_of(form, content(export)) == []


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("stops_after", [0, 1, 3])
def test_an_interrupted_export_goes_on_and_is_the_same_byte_for_byte(
    form: str, stops_after: int, worker: Any, manager: people.Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    customers([f"Ünal {n}" for n in range(37)])
    wanted = Wanted(source="customers", format=form)  # type: ignore[arg-type]
    whole = exports.ask(wanted, manager)
    worker.run_due()
    broken = exports.ask(wanted, manager)
    Export.objects.filter(pk=broken.pk).update(asked_at=whole.asked_at)  # an XLSX says when it was made
    add, read = exports._Writer._add, list[Any]()

    def breaking(self: Any, part: Any, place: Any, chunk: Any) -> Any:
        if len(read) == stops_after:
            read.append("broke")
            part.write(b"half a ro")  # more than the checkpoint knows of
            raise OSError("the disk is busy")
        read.append(len(chunk))
        return add(self, part, place, chunk)

    monkeypatch.setattr(exports._Writer, "_add", breaking)
    worker.run_due()
    assert Job.objects.get(pk=broken.pk).failures == 1  # its next attempt may be queued at once
    Job.objects.filter(pk=broken.pk, state="scheduled").update(run_at=datetime.now(UTC) - HOUR)
    worker.run_due()
    assert content(broken) == content(whole)
    assert [n for n in read if n != "broke"] == [10, 10, 10, 7], "no chunk was read twice"


def test_an_export_begins_anew_where_its_first_part_is_not_to_be_had(
    worker: Any, manager: people.Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    customers([f"Customer {n}" for n in range(25)])
    export = exports.ask(Wanted(source="customers"), manager)
    add = exports._Writer._add

    def breaking(self: Any, part: Any, place: Any, chunk: Any) -> Any:
        if place.rows == 20 and self.job.token == 1:
            raise OSError("the machine is gone, and its disk")
        return add(self, part, place, chunk)

    monkeypatch.setattr(exports._Writer, "_add", breaking)
    worker.run_due()
    parts.forget(export.pk)
    Job.objects.filter(pk=export.pk, state="scheduled").update(run_at=datetime.now(UTC) - HOUR)
    worker.run_due()
    assert len(rows_of("csv", content(export))) == 25


def test_rows_that_come_and_go_meanwhile_neither_double_nor_push_others_out(
    worker: Any, manager: people.Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    customers([f"Customer {n}" for n in range(40)])
    before = list(Customer.objects.order_by("pk").values_list("pk", flat=True))
    export = exports.ask(Wanted(source="customers", columns=["id"]), manager)
    add = exports._Writer._add

    def busy(self: Any, part: Any, place: Any, chunk: Any) -> Any:
        if place.rows == 20:
            Customer.objects.filter(pk__in=[before[3], before[35]]).delete()  # one that was read, one that was not
            customers([f"New {n}" for n in range(30)])
        return add(self, part, place, chunk)

    monkeypatch.setattr(exports._Writer, "_add", busy)
    worker.run_due()
    assert [int(row[0]) for row in rows_of("csv", content(export))] == [pk for pk in before if pk != before[35]]


def test_no_cell_is_a_formula(worker: Any, manager: people.Person) -> None:
    customers(HOSTILE)
    text = exports.ask(Wanted(source="customers", columns=["name"]), manager)
    sheet = exports.ask(Wanted(source="customers", columns=["name"], format=Export.Format.XLSX), manager)
    worker.run_due()
    names = [row[0] for row in rows_of("csv", content(text))]
    assert [name for name in names if name.startswith(("=", "+", "-", "@", "\t", "\r", "\n"))] == []
    assert [name.removeprefix("'") for name in names] == HOSTILE
    assert all(line.startswith('"') for line in content(text).decode().splitlines() if line and "x" not in line)
    cells = openpyxl.load_workbook(io.BytesIO(content(sheet))).worksheets[0]["A"][1:]
    assert {cell.data_type for cell in cells} == {"s"}
    assert [cell.value for cell in cells][:4] == HOSTILE[:4]


def test_a_negative_number_stays_a_number() -> None:
    assert writing.harmless(-5) == "-5" and writing.harmless("-5") == "'-5"


def test_a_sheet_has_numbers_and_days_in_their_own_types(worker: Any, manager: people.Person) -> None:
    payment = make_payment(alice())
    wanted = Wanted(source="payments", columns=["amount_minor", "due_on", "created_at"], format=Export.Format.XLSX)
    export = exports.ask(wanted, manager)
    worker.run_due()
    ((amount, due, created),) = rows_of("xlsx", content(export))
    assert amount == 4550 and due.date() == payment.due_on
    assert abs(created - payment.created_at.replace(tzinfo=None)).total_seconds() < 1


def test_filters_are_read_as_what_they_are(worker: Any, manager: people.Person) -> None:
    make_payment(alice()), make_payment(bob(), currency="JPY", amount=500)
    wanted = Wanted(source="payments", columns=["currency"], filters={"currency": "JPY", "due_from": "2020-01-01"})
    export = exports.ask(wanted, manager)
    worker.run_due()
    assert rows_of("csv", content(export)) == [["JPY"]]


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        ({"source": "users"}, "There is no source 'users'. There are bookings, customers, deliveries, jobs, payments"),
        ({"source": "customers", "columns": ["webhook_secret"]}, "no column 'webhook_secret'. There are id"),
        ({"source": "customers", "columns": ["name", "name"]}, "once"),
        ({"source": "customers", "filters": {"user__password": "x"}}, "no filter 'user__password'"),
        ({"source": "bookings", "filters": {"status__regex": "x"}}, "no filter 'status__regex'. There are: status"),
        ({"source": "bookings", "filters": {"status": "gone"}}, "cannot be 'gone'"),
        ({"source": "bookings", "filters": {"starts_from": "2026-01-01T00:00"}}, "timezone"),
        ({"source": "bookings", "filters": {"customer": {"__class__": 1}}}, "customer cannot be"),
    ],
)
def test_what_there_is_not_is_refused_with_what_there_is(
    wanted: dict[str, Any], says: str, manager: people.Person
) -> None:
    with pytest.raises(ValueError, match=says.replace(".", r"\.")):
        exports.ask(Wanted(**wanted), manager)
    assert not Export.objects.exists() and not Job.objects.exists()


def test_a_cancel_ends_it_and_leaves_nothing_behind(
    worker: Any, manager: people.Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    customers([f"Customer {n}" for n in range(30)])
    export = exports.ask(Wanted(source="customers"), manager)
    add = exports._Writer._add

    def cancelled(self: Any, part: Any, place: Any, chunk: Any) -> Any:
        ledger.cancel([export.pk], "wrong month")
        return add(self, part, place, chunk)

    monkeypatch.setattr(exports._Writer, "_add", cancelled)
    worker.run_due()
    assert Job.objects.get(pk=export.pk).state == "cancelled"
    assert not StoredFile.objects.exists() and not list(Path(settings.JOBS_WORK_DIR).iterdir())


def test_a_worker_that_lost_its_job_leaves_no_second_file(
    worker: Any, manager: people.Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    customers(["Alice"])
    export = exports.ask(Wanted(source="customers"), manager)
    keep = storage.keep

    def late(*args: Any, **kwargs: Any) -> StoredFile:
        Job.objects.filter(pk=export.pk).update(token=7)
        return keep(*args, **kwargs)

    monkeypatch.setattr(storage, "keep", late)
    worker.run_due()
    export.refresh_from_db()
    assert export.file is None and not StoredFile.objects.exists()


def test_the_number_of_statements_grows_with_chunks_and_not_with_rows(
    worker: Any, manager: people.Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    customers([f"Customer {n}" for n in range(100)])

    def statements(chunk: int) -> int:
        monkeypatch.setattr(exports, "CHUNK", chunk)
        exports.ask(Wanted(source="customers"), manager)
        with CaptureQueriesContext(connection) as seen:
            worker.run_due()
        assert not [one for one in seen.captured_queries if "OFFSET" in one["sql"]]
        return len(seen)

    alone = statements(1000)
    # To read and to say how far; on a slow machine for each also to tell the progress and to look for a cancel.
    assert statements(10) - alone <= 4 * 10


@pytest.mark.parametrize("source", sources.known(), ids=lambda source: source.name)
def test_every_column_and_filter_of_a_source_is_there(source: sources.Source) -> None:
    names = [column.name for column in source.columns]
    assert len(set(names)) == len(names)
    list(source.rows().values_list(*(column.path or column.name for column in source.columns)))
    for one in source.filters.values():
        assert not list(source.rows().filter(**{f"{one.lookup.partition('__')[0]}__isnull": True})[:1])
