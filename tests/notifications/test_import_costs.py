"""What an import costs in statements and memory, and that it is whole or not at all."""

import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from jobs.models import Job
from notifications import imports
from notifications.imports import import_bookings, read_bookings, upserts
from notifications.imports.files import Source
from notifications.imports.rows import BookingRow, booking_row
from notifications.models import Booking, Customer, Delivery, ReminderRule
from tests.factories import alice, make_booking
from tests.notifications.importing import BOOKING, a_file, import_rows, many, text_of


def statements(number: int, changes: dict[str, str]) -> int:
    """For importing so many new rows, or for changing them."""
    if changes:
        import_rows(*many(number, f"of{number}"))
    with CaptureQueriesContext(connection) as captured:
        import_rows(*many(number, f"of{number}", **changes))
    return len(captured)


@pytest.mark.django_db
@pytest.mark.parametrize(
    "changes", [{}, {"starts_at": "2030-05-07T10:00"}, {"status": "cancelled"}, {"customer_name": "Renamed"}]
)
def test_the_number_of_statements_does_not_depend_on_the_number_of_rows(
    changes: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # One reminder a booking: 400 fit into one chunk of the plan. Django splits inserts on SQLite for limits of old.
    ReminderRule.objects.exclude(name="24 hours before a booking").delete()
    if connection.vendor == "sqlite":
        monkeypatch.setattr(type(connection.features), "max_query_params", 32_000)
    assert statements(100, changes) == statements(400, changes) < 40


@pytest.mark.django_db
def test_an_unchanged_chunk_costs_a_handful_of_statements(django_assert_num_queries: Any) -> None:
    import_rows(*many(50))
    with django_assert_num_queries(9):  # bookings, customers, the transaction, and what `planning.decide` asks for
        import_rows(*many(50))


@pytest.mark.django_db
def test_rows_are_read_as_they_are_needed() -> None:
    taken = 0

    def endless() -> Iterator[BookingRow]:
        nonlocal taken
        while True:
            taken += 1
            row = booking_row(taken, {**BOOKING, "external_id": f"B-{taken}"})
            assert isinstance(row, BookingRow)
            yield row

    first = next(import_bookings(endless()))
    assert taken == first.rows.total() == imports.CHUNK


def test_memory_does_not_grow_with_the_file() -> None:
    line = text_of([BOOKING]).splitlines()[1]
    header = ",".join(BOOKING)

    def peak(number: int) -> int:
        path = a_file("\n".join([header, *(line.replace("B-1", f"B-{n}") for n in range(number))]))
        with Source(path) as source:
            rows = read_bookings(source)
            next(rows)
            tracemalloc.start()
            for _ in rows:
                pass
            found = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
        return found

    peak(10)
    assert peak(2000) < peak(200) + 150_000  # of 270 kB; other threads of the process need some, too


@pytest.mark.django_db
def test_a_bad_row_does_not_keep_the_good_ones_out() -> None:
    rows = many(4)
    rows[1]["starts_at"] = "tomorrow"
    outcome = import_rows(*rows)
    assert outcome.rows == {"created": 3, "bad": 1}
    assert [error.line for error in outcome.bad[0].errors] == [3]


@pytest.mark.django_db
def test_a_dry_run_tells_all_and_changes_nothing() -> None:
    import_rows(BOOKING)
    before = list(Booking.objects.values()), list(Delivery.objects.values()), Job.objects.count()
    moved = {**BOOKING, "starts_at": "2030-05-06T12:00", "customer_name": "Somebody Else"}
    outcome = import_rows(moved, {**BOOKING, "external_id": "B-2"}, dry_run=True)
    assert outcome.rows == {"moved": 1, "created": 1} and outcome.deliveries["planned", ""] == 6
    assert before == (list(Booking.objects.values()), list(Delivery.objects.values()), Job.objects.count())
    assert Customer.objects.get().name == "Jürgen Müller"


@pytest.mark.django_db
def test_two_imports_at_once_do_not_collide(monkeypatch: pytest.MonkeyPatch) -> None:
    import_rows(BOOKING)
    really, looks = upserts.Upsert._stored, []

    def too_early(self: Any, ids: list[str]) -> dict[str, Any]:
        looks.append(ids)
        return {} if len(looks) == 1 else really(self, ids)  # the other one had not committed yet

    monkeypatch.setattr(upserts.Upsert, "_stored", too_early)
    assert import_rows(BOOKING).rows == {"unchanged": 1}
    assert len(looks) == 2


@pytest.mark.django_db
def test_a_booking_made_elsewhere_is_not_touched() -> None:
    other = make_booking(alice())
    import_rows(BOOKING)
    other.refresh_from_db()
    assert other.revision == 1 and other.external_id is None
