"""Asking for a report: who may, that the same one is the same row, and that it is written once."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from jobs import ledger, scopes
from jobs.files import StoredFile
from jobs.ids import new_id
from jobs.library import people, storage
from jobs.library.people import Person
from jobs.models import Job
from notifications.models import Booking, Customer, Report
from notifications.reports import figures, reports
from notifications.reports.figures import Figures
from tests.jobs.races import TRANSACTIONAL, at_once, need_two_writers
from tests.jobs.test_scopes import person
from tests.reports.scene import BERLIN, MONDAY, at, booking

pytestmark = pytest.mark.django_db


@pytest.fixture
def operator() -> Person:
    return people.of(person("Operator"))


def ask(by: Person, **others: Any) -> Report:
    said: dict[str, Any] = {"kind": "week", "on": MONDAY, "zone": "Europe/Berlin", "language": "en", "tenant": ""}
    return reports.ask(**said | others, person=by)


def written(report: Report, what: str = "html") -> str:
    report.refresh_from_db()
    file: StoredFile | None = getattr(report, what)
    assert file is not None, Job.objects.get(pk=report.job_id).reason
    with storage.read(file) as opened:
        return str(opened.read().decode("latin-1"))


def test_it_is_written_and_the_job_returns_its_files(worker: Any, operator: Person, customer: Customer) -> None:
    booking(customer, created_at=at(4), made_at=at(4))
    report = ask(operator, on=date(2025, 11, 9), language="de")
    assert (report.first_day, report.by, report.counted_at) == (MONDAY, "operator", None)
    worker.run_due()
    assert '<html lang="de">' in written(report) and written(report, "pdf").startswith("%PDF")
    assert report.html is not None and report.pdf is not None
    assert report.html.name == "report-week-2025-11-03-de.html"
    assert report.counted_at is not None and report.counted_at > timezone.now() - timedelta(minutes=1)
    assert Figures.model_validate(report.figures).bookings.made == 1
    job: Any = Job.objects.get(pk=report.job_id)
    assert (job.state, job.args) == ("succeeded", [str(report.pk)])
    assert job.result == {"html": str(report.html_id), "pdf": str(report.pdf_id)}
    assert job.progress["done"] == job.progress["total"] == len(reports.STEPS)


def test_a_period_that_is_over_is_counted_once(worker: Any, operator: Person, customer: Customer) -> None:
    first = ask(operator)
    again = ask(operator, on=date(2025, 11, 7))  # another day of it, before it is written
    assert again.pk == first.pk and Job.objects.count() == 1
    worker.run_due()
    before = written(first)
    booking(customer, created_at=at(4), made_at=at(4))
    assert ask(operator).job_id == first.job_id
    worker.run_due()
    assert Job.objects.count() == 1 and Report.objects.count() == 1 and written(first) == before


@pytest.mark.parametrize(
    "other",
    [{"kind": "day"}, {"on": date(2025, 11, 10)}, {"zone": "UTC"}, {"language": "de"}, {"tenant": "a"}],
    ids=lambda other: next(iter(other)),
)
def test_other_parameters_are_another_report(operator: Person, other: dict[str, Any]) -> None:
    assert ask(operator).pk != ask(operator, **other).pk


def test_a_period_that_still_runs_is_written_anew(worker: Any, operator: Person, customer: Customer) -> None:
    today = timezone.now().astimezone(BERLIN).date()
    report = ask(operator, kind="month", on=today)
    worker.run_due()
    assert "not over yet" in written(report) and not reports.is_whole(report)
    booking(customer, created_at=timezone.now() - timedelta(seconds=1), made_at=timezone.now())
    again = ask(operator, kind="month", on=today)
    assert again.pk == report.pk and again.job_id != report.job_id
    worker.run_due()
    assert Figures.model_validate(Report.objects.get().figures).bookings.made == 1


def test_one_written_while_it_ran_is_counted_again_when_it_is_over(worker: Any, operator: Person) -> None:
    report = ask(operator)
    worker.run_due()
    Report.objects.update(counted_at=reports.period_of(report).ends - timedelta(microseconds=1))
    assert ask(operator).job_id != report.job_id


def test_its_files_come_back_from_the_figures_that_were_counted(
    worker: Any, operator: Person, customer: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = ask(operator)
    worker.run_due()
    before = written(report), written(report, "pdf")
    storage.remove(StoredFile.objects.all())  # as the clean-up does after some days
    booking(customer, created_at=at(4), made_at=at(4))
    monkeypatch.setattr(figures, "count", lambda *_: pytest.fail("it is counted once"))
    assert ask(operator).pk == report.pk
    worker.run_due()
    assert (written(report), written(report, "pdf")) == before


def test_files_that_are_about_to_be_deleted_are_none(worker: Any, operator: Person) -> None:
    report = ask(operator)
    worker.run_due()
    StoredFile.objects.filter(name__endswith=".pdf").update(expires_at=timezone.now())
    assert ask(operator).job_id != report.job_id


def test_after_a_failure_it_can_be_asked_for_again(
    worker: Any, operator: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("the disk is full")

    report = ask(operator)
    with monkeypatch.context() as broken:
        broken.setattr(storage, "keep", fail)
        worker.run_due()
    assert Job.objects.get().state == "failed"
    assert ask(operator).pk == report.pk
    worker.run_due()
    assert written(report)


def test_a_worker_that_was_lost_after_it_had_written_does_not_write_twice(worker: Any, operator: Person) -> None:
    report = ask(operator)
    worker.run_due()
    Job.objects.update(state="running", lease_until=timezone.now() - timedelta(hours=1))
    lost = Job.objects.get()
    assert ledger.rescue(lost)
    worker.run_due()
    assert Job.objects.get().state == "succeeded" and StoredFile.objects.count() == 2
    assert written(report)


def test_one_that_was_cancelled_leaves_no_files(
    worker: Any, operator: Person, monkeypatch: pytest.MonkeyPatch, files: Path
) -> None:
    counted = figures.count

    def cancelled_meanwhile(*args: Any) -> Figures:
        found = counted(*args)
        ledger.cancel([report.job_id], "not wanted any more")
        return found

    monkeypatch.setattr(figures, "count", cancelled_meanwhile)
    report = ask(operator)
    worker.run_due()
    assert Job.objects.get().state == "cancelled"
    assert not StoredFile.objects.exists() and not [one for one in files.rglob("*") if one.is_file()]
    report.refresh_from_db()
    assert report.figures is None and report.pdf is None


def test_the_job_of_an_earlier_asking_writes_nothing_over_a_later_one(worker: Any, operator: Person) -> None:
    report = ask(operator)
    Report.objects.update(job_id=report.pk)  # another has taken it
    worker.run_due()
    assert Job.objects.get().state == "failed" and "written by the job" in Job.objects.get().reason
    assert not StoredFile.objects.exists()


@TRANSACTIONAL
def test_of_many_who_ask_at_once_one_gets_it_written() -> None:
    need_two_writers()
    by = Person("olga", lambda permission: True)
    found = at_once(*[lambda: ask(by).pk] * 6)
    assert len(set(found)) == 1 and Job.objects.count() == 1
    Job.objects.update(state="failed", finished_at=timezone.now())
    assert set(at_once(*[lambda: ask(by).pk] * 6)) == set(found)
    assert Job.objects.count() == 2 and Report.objects.get().job_id == Job.objects.latest("created_at").pk


# --- Who may ---


@pytest.mark.parametrize(
    ("role", "may"), [("Viewer", False), ("Operator", True), ("Manager", True), ("superuser", True)]
)
def test_who_may_ask(role: str, may: bool) -> None:
    by = people.of(person(role))
    if may:
        assert ask(by)
    else:
        with pytest.raises(PermissionDenied, match=r"notifications\.add_report"):
            ask(by)
        assert not Report.objects.exists() and not Job.objects.exists()


OF_A, OF_QUEUE = ((), ("a",)), (("default",), ())
SCOPES = [
    (None, {"", "a", "b"}),
    ([OF_A], {"a"}),
    ([OF_QUEUE], set()),  # it counts the jobs of all queues
    ([(("default",), ("a",))], set()),
    ([OF_A, ((), ("b",))], {"a", "b"}),
    ([((), ("",))], set()),  # what is of no tenant is not what all of them have together
    ([OF_A, ((), ())], {"", "a", "b"}),
]


@pytest.mark.parametrize(("limits", "within"), SCOPES)
def test_a_report_is_within_the_scope_or_there_is_none(limits: Any, within: set[str], operator: Person) -> None:
    scope = scopes.Scope.told(limits)
    for tenant in ("", "a", "b"):
        ask(operator, tenant=tenant)
        by = Person("olga", lambda permission: True, scope)
        if tenant in within:
            assert ask(by, tenant=tenant)
        else:
            with pytest.raises(PermissionDenied, match="more than you may see"):
                ask(by, tenant=tenant)
    assert {one.tenant for one in reports.of_scope(scope)} == within


def test_the_figures_of_a_tenants_report_are_its_own(worker: Any, operator: Person) -> None:
    for tenant in ("a", "b"):
        of = Customer.objects.create(name="Carla", tenant=tenant)
        booking(of, created_at=at(4), made_at=at(4))
    report = ask(operator, tenant="a")
    assert Job.objects.get().tenant == "a"
    worker.run_due()
    assert Booking.objects.count() == 2 and "Tenant: a" in written(report)
    assert Figures.model_validate(report.figures).bookings.made == 1
    assert set(StoredFile.objects.values_list("tenant", flat=True)) == {"a"}


def test_what_is_not_there_is_refused(operator: Person) -> None:
    with pytest.raises(ValueError, match="Unknown time zone"):
        ask(operator, zone="Europe/Atlantis")
    with pytest.raises(ValueError, match="no report of a year"):
        ask(operator, kind="year")
    with pytest.raises(ValueError, match="not begun yet"):
        ask(operator, on=timezone.now().date() + timedelta(days=8))
    assert not Report.objects.exists()


def test_asking_takes_as_many_statements_with_a_thousand_reports(operator: Person) -> None:
    def statements() -> int:
        with CaptureQueriesContext(connection) as queries:
            ask(operator)
        return len(queries)

    ask(operator)
    few = statements()
    days = [date(2020, 1, 1) + timedelta(days=n) for n in range(1_000)]
    Report.objects.bulk_create(
        Report(kind="day", first_day=day, zone="UTC", language="en", by="x", job_id=new_id()) for day in days
    )
    assert statements() == few <= 8


def test_the_zone_decides_what_belongs_to_a_day(worker: Any, operator: Person, customer: Customer) -> None:
    moment = datetime(2025, 11, 3, 23, 30, tzinfo=UTC)  # in Berlin it is Tuesday
    booking(customer, created_at=moment, made_at=moment)
    found = [ask(operator, kind="day", on=MONDAY, zone=zone) for zone in ("UTC", "Europe/Berlin")]
    worker.run_due()
    made = [Figures.model_validate(Report.objects.get(pk=one.pk).figures).bookings.made for one in found]
    assert made == [1, 0]
