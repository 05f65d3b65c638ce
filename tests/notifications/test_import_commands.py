"""The importing commands and `schedule_reminders`: what they print, what they write, how they exit."""

import csv
from datetime import date, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError
from django.utils import timezone

from jobs.models import Job
from notifications import imports
from notifications.imports import upserts
from notifications.management.importing import ImportCommand
from notifications.models import Booking, Delivery, Payment, ReminderRule
from tests.factories import alice, make_booking
from tests.notifications.importing import BOOKING, PAYMENT, a_file, many, text_of
from tests.virtual import noon as noon

pytestmark = pytest.mark.django_db


def run(*args: Any, **options: Any) -> tuple[int, str, str]:
    """Exit code, and what was written to stdout and stderr."""
    out, err = StringIO(), StringIO()
    try:
        call_command(*args, stdout=out, stderr=err, no_color=True, **options)
    except CommandError as exc:
        return exc.returncode, out.getvalue(), f"{err.getvalue()}{exc}"
    return 0, out.getvalue(), err.getvalue()


def figures(out: str) -> dict[str, int]:
    """The numbers of the summary by their word; of two with the same word, the first."""
    found: dict[str, int] = {}
    for line in out.splitlines():
        words = line.split()
        if line.startswith("  ") and len(words) > 1 and words[1].replace(",", "").isdigit():
            found.setdefault(words[0], int(words[1].replace(",", "")))
    return found


def bookings_file(*rows: dict[str, str]) -> Path:
    return a_file(text_of(list(rows)), "bookings.csv")


def test_a_good_file_exits_with_0_and_says_what_it_did() -> None:
    code, out, err = run("import_bookings", bookings_file(*many(3)))
    assert (code, err) == (0, "")
    assert figures(out) == {"created": 3, "changed": 0, "cancelled": 0, "unchanged": 0, "bad": 0, "planned": 9}


def test_the_same_file_again_says_that_nothing_changed() -> None:
    path = bookings_file(*many(3))
    run("import_bookings", path)
    _, out, _ = run("import_bookings", path)
    assert figures(out)["unchanged"] == 3 and "nothing to change" in out


def test_bad_rows_exit_with_1_and_the_good_ones_are_in() -> None:
    rows = many(3)
    rows[1]["customer_email"] = "nobody"
    code, out, err = run("import_bookings", bookings_file(*rows))
    assert (code, figures(out)["created"], figures(out)["bad"]) == (1, 2, 1)
    assert "line 3: customer_email: 'nobody' is not an e-mail address" in err
    assert err.endswith("1 bad row; the others are in.")


@pytest.mark.parametrize(
    ("content", "options", "expected"),
    [
        ("", {}, "is empty"),
        ("a,b\n", {}, "column external_id is missing"),
        (text_of([BOOKING]), {"time_zone": "Berlin"}, "--time-zone: 'Berlin' is not a time zone. Did you mean"),
        (text_of([BOOKING]), {"errors": Path("/nowhere/at/all.csv")}, "cannot be written"),
        (text_of([BOOKING]), {"first_reminder_in": 1e300}, "not a usable number of seconds"),
        (text_of([{**BOOKING, "status": "cancelled"}]), {"first_reminder_in": 5.0}, "no booking that could be shifted"),
    ],
)
def test_what_cannot_be_used_exits_with_2(content: str, options: dict[str, Any], expected: str) -> None:
    code, _, err = run("import_bookings", a_file(content), **options)
    assert code == 2 and expected in err
    assert not Booking.objects.exists()


def test_a_file_that_is_not_there_exits_with_2() -> None:
    assert run("import_payments", Path("/nowhere.csv"))[0] == 2


def test_bad_rows_are_written_to_be_corrected_and_imported(tmp_path: Path) -> None:
    rows = many(3)
    rows[1]["starts_at"] = "tomorrow"
    bad = tmp_path / "bad.csv"
    run("import_bookings", bookings_file(*rows), errors=bad)
    (row,) = csv.DictReader(bad.read_text(encoding="utf-8").splitlines())
    assert (row["external_id"], row["line"]) == ("B-1", "3") and row["errors"].startswith("starts_at: 'tomorrow'")
    bad.write_text(bad.read_text().replace("tomorrow", "2030-05-06T10:00", 1))
    code, out, err = run("import_bookings", bad)
    assert (code, figures(out)["created"], err) == (0, 1, "")


def test_the_list_of_bad_rows_does_not_overwrite_the_file_itself() -> None:
    path = bookings_file(BOOKING)
    code, _, err = run("import_bookings", path, errors=path)
    assert code == 2 and "would overwrite" in err
    assert path.read_text() == text_of([BOOKING])


def test_a_long_list_of_errors_is_cut_short() -> None:
    _, _, err = run("import_bookings", bookings_file(*many(30, service="")))
    assert err.count("service: is empty") == 20 and "... and 10 more bad rows; --errors FILE" in err
    _, _, err = run("import_bookings", bookings_file(*many(30, service="")), verbosity=2)
    assert err.count("service: is empty") == 30


def test_a_dry_run_shows_the_changes_and_makes_none() -> None:
    path = bookings_file(*many(2))
    code, out, _ = run("import_bookings", path, dry_run=True)
    assert code == 0 and "line 2: B-0 created: Haarschnitt, 2030-05-06 10:00 Europe/Berlin" in out
    assert "Dry run, nothing was changed" in out and figures(out)["planned"] == 6
    assert not Booking.objects.exists() and not Job.objects.exists()


def test_unknown_columns_are_warned_of() -> None:
    _, _, err = run("import_bookings", bookings_file({**BOOKING, "colour": "red"}))
    assert "Warning: column 'colour' is not known and is left out" in err


def test_a_shifted_file_has_its_first_reminder_due_in_seconds() -> None:
    rows = [
        {**BOOKING, "starts_at": "2027-03-27T10:00"},
        {**BOOKING, "external_id": "B-2", "starts_at": "2027-03-27T10:45"},
        {**BOOKING, "external_id": "B-3", "starts_at": "2027-03-01T10:00", "status": "cancelled"},
    ]
    before = timezone.now()
    code, _, _ = run("import_bookings", bookings_file(*rows), first_reminder_in=20.0)
    after = timezone.now()
    assert code == 0
    due = Delivery.objects.filter(state="planned").order_by("send_at").values_list("send_at", flat=True)
    # 15 minutes before the first, and 1 hour before the one that begins 45 minutes later
    assert due[0] == due[1] and before <= due[0] - timedelta(seconds=20) <= after
    gaps = [booking.starts_at for booking in Booking.objects.order_by("external_id")[:2]]
    assert gaps[1] - gaps[0] == timedelta(minutes=45)


def test_what_a_shift_brings_out_of_all_years_is_a_bad_row(noon: Any) -> None:
    """A file with a first row of long ago, and a mistyped one."""
    first, last = {**BOOKING, "starts_at": "1980-05-06T10:00"}, {**BOOKING, "starts_at": "2199-05-06T10:00"}
    code, out, err = run(
        "import_bookings", bookings_file(first, {**last, "external_id": "B-2"}), first_reminder_in=20.0
    )
    assert (code, figures(out)["created"]) == (1, 1) and "line 3: starts_at: shifted by" in err
    owed = [{**PAYMENT, "due_on": "1980-05-06"}, {**PAYMENT, "external_id": "P-2", "due_on": "2199-05-06"}]
    code, out, err = run("import_payments", a_file(text_of(owed)), first_due_in=2)
    assert (code, figures(out)["created"]) == (1, 1) and "line 3: due_on: shifted by" in err


@pytest.mark.parametrize("seconds", [-1e10, 1e10, 2.5e11])
def test_a_shift_to_no_year_that_there_is_makes_no_booking(seconds: float) -> None:
    code, _, err = run("import_bookings", bookings_file(BOOKING), first_reminder_in=seconds)
    assert code == 1 and "line 2: starts_at: shifted by" in err and not Booking.objects.exists()


def test_a_shift_without_rules_to_shift_to_is_refused() -> None:
    ReminderRule.objects.update(active=False)
    code, _, err = run("import_bookings", bookings_file(BOOKING), first_reminder_in=20.0)
    assert code == 2 and "needs an active rule" in err


def test_shifted_payments_are_due_in_days(noon: Any) -> None:
    rows = [PAYMENT, {**PAYMENT, "external_id": "P-2", "due_on": "2030-05-09"}]
    code, out, _ = run("import_payments", a_file(text_of(rows)), first_due_in=2)
    assert code == 0 and figures(out)["created"] == 2
    today: date = timezone.localdate()
    assert [(payment.due_on - today).days for payment in Payment.objects.order_by("due_on")] == [2, 5]


def test_a_database_that_fails_leaves_what_was_in_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imports, "CHUNK", 2)
    really, chunks = imports._write, []

    def write(*args: Any) -> Any:
        chunks.append(args)
        if len(chunks) == 2:
            raise DatabaseError("the disk is full")
        return really(*args)

    monkeypatch.setattr(imports, "_write", write)
    code, out, err = run("import_bookings", bookings_file(*many(4)))
    assert (code, figures(out)["created"]) == (2, 2) and "the disk is full" in err


def test_an_interrupted_import_says_how_far_it_came(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*args: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(imports, "_write", interrupted)
    code, out, err = run("import_bookings", bookings_file(BOOKING))
    assert (code, figures(out)["created"]) == (130, 0) and "run it again to go on" in err


def test_without_a_terminal_there_is_no_progress_bar(capfd: pytest.CaptureFixture[str]) -> None:
    call_command("import_bookings", bookings_file(BOOKING))
    out, err = capfd.readouterr()
    assert err == "" and "\x1b" not in out


# --- schedule_reminders --------------------------------------------------------------------------------


def test_missing_reminders_are_planned_and_a_second_run_has_nothing_to_do() -> None:
    make_booking(alice())
    Delivery.objects.all().delete()
    code, out, _ = run("schedule_reminders")
    assert code == 0 and figures(out) == {"planned": 3}
    assert run("schedule_reminders")[1] == "Nothing to change: all reminders match the rules.\n"


def test_what_changed_is_told_by_kind_and_reason() -> None:
    make_booking(alice())
    ReminderRule.objects.filter(offset=timedelta(hours=-24)).update(offset=timedelta(hours=-12))
    ReminderRule.objects.filter(offset=timedelta(hours=-1)).update(active=False)
    _, out, _ = run("schedule_reminders")
    assert figures(out) == {"moved": 1, "withdrawn": 1}
    assert any(
        line.split()[0] == "withdrawn" and line.endswith("the rule is switched off") for line in out.splitlines()[1:]
    )


def test_a_dry_run_of_the_planning_changes_nothing() -> None:
    make_booking(alice())
    Delivery.objects.all().delete()
    _, out, _ = run("schedule_reminders", dry_run=True)
    assert figures(out) == {"planned": 3} and "Dry run, nothing was changed" in out
    assert not Delivery.objects.exists()


@pytest.mark.parametrize(
    ("half", "lacking"),
    [(ImportCommand, "read, shift, shifted, write"), (upserts.Upsert, "columns")],
    ids=["a command", "the writing of rows"],
)
def test_an_importer_that_lacks_a_part_is_refused_when_it_is_made(half: type[Any], lacking: str) -> None:
    """Not in the middle of somebody's file."""
    with pytest.raises(TypeError, match="abstract method") as refused:
        type("Half", (half,), {})()
    assert lacking in str(refused.value).replace("'", "")
