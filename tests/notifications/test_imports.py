"""What a CSV file does to bookings, payments, customers and reminders."""

import pytest

from jobs.models import Job
from notifications import bookings, payments
from notifications.models import Booking, Customer, Delivery, Payment
from tests.factories import alice
from tests.notifications.importing import BOOKING, PAYMENT, import_rows, many

# --- Rows that go in -----------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_row_becomes_a_booking_with_its_customer_and_reminders() -> None:
    outcome = import_rows(BOOKING)
    booking = Booking.objects.select_related("customer").get(external_id="B-1")
    assert (str(booking.wall_time), booking.time_zone, booking.status) == ("10:00:00", "Europe/Berlin", "booked")
    assert booking.starts_at.isoformat() == "2030-05-06T08:00:00+00:00"
    assert (booking.ends_at - booking.starts_at).total_seconds() == 45 * 60
    assert (booking.customer.name, str(booking.customer.phone)) == ("Jürgen Müller", "+493023125123")
    assert outcome.rows == {"created": 1} and outcome.deliveries == {("planned", ""): 3}
    assert Job.objects.count() == 3


@pytest.mark.django_db
def test_a_row_becomes_a_payment_in_minor_units() -> None:
    import_rows(PAYMENT, {**PAYMENT, "external_id": "P-2", "amount": "6600", "currency": "JPY"})
    import_rows({**PAYMENT, "external_id": "P-3", "amount": "1.255", "currency": "bhd"})
    amounts = {payment.external_id: (payment.amount, payment.currency) for payment in Payment.objects.all()}
    assert amounts == {"P-1": (4550, "EUR"), "P-2": (6600, "JPY"), "P-3": (1255, "BHD")}


@pytest.mark.django_db
def test_the_same_file_again_changes_nothing() -> None:
    rows = many(5)
    import_rows(*rows)
    before = list(Booking.objects.values()), list(Customer.objects.values()), list(Delivery.objects.values())
    outcome = import_rows(*rows)
    assert outcome.rows == {"unchanged": 5} and not outcome.deliveries and not outcome.customers
    assert before == (list(Booking.objects.values()), list(Customer.objects.values()), list(Delivery.objects.values()))


@pytest.mark.django_db
def test_a_changed_time_withdraws_the_reminders_of_the_old_time() -> None:
    import_rows(BOOKING)
    outcome = import_rows({**BOOKING, "starts_at": "2030-05-06T11:30"})
    booking = Booking.objects.get()
    assert (booking.revision, str(booking.wall_time)) == (2, "11:30:00")
    assert outcome.rows == {"moved": 1}
    assert outcome.deliveries["planned", ""] == sum(outcome.deliveries.values()) - 3 == 3
    assert set(booking.deliveries.filter(state="planned").values_list("revision", flat=True)) == {2}
    assert "from Haarschnitt, 2030-05-06 10:00" in str(outcome.changes[0])


@pytest.mark.django_db
def test_a_changed_end_or_text_keeps_the_reminders() -> None:
    import_rows(BOOKING)
    outcome = import_rows({**BOOKING, "duration_minutes": "60", "service": "Färben", "location": "Berlin"})
    booking = Booking.objects.get()
    assert (booking.revision, booking.service, booking.location) == (1, "Färben", "Berlin")
    assert outcome.rows == {"changed": 1} and not outcome.deliveries


@pytest.mark.django_db
def test_another_customer_gets_reminders_of_their_own() -> None:
    import_rows(BOOKING)
    import_rows({**BOOKING, "customer_id": "C-2", "customer_name": "Zoë", "customer_email": "zoe@example.com"})
    waiting = Delivery.objects.filter(state="planned").select_related("customer")
    assert [delivery.customer.name for delivery in waiting] == ["Zoë"] * 3


@pytest.mark.django_db
def test_cancelled_in_the_file_cancels_here() -> None:
    import_rows(BOOKING)
    outcome = import_rows({**BOOKING, "status": "cancelled"})
    assert Booking.objects.get().status == "cancelled" and outcome.rows == {"cancelled": 1}
    assert not Delivery.objects.filter(state="planned").exists()
    assert import_rows({**BOOKING, "status": "cancelled"}).rows == {"unchanged": 1}


@pytest.mark.django_db
def test_what_is_cancelled_here_stays_so_unless_the_file_may_reopen() -> None:
    import_rows(BOOKING)
    bookings.cancel(Booking.objects.get())
    assert import_rows(BOOKING).rows == {"left": 1}
    assert Booking.objects.get().status == "cancelled"
    outcome = import_rows(BOOKING, reopen=True)
    assert Booking.objects.get().status == "booked" and outcome.rows == {"reopened": 1}
    assert outcome.deliveries == {("planned", ""): 3}


@pytest.mark.django_db
def test_columns_that_are_missing_leave_what_is_stored() -> None:
    import_rows({**BOOKING, "location": "Berlin", "customer_locale": "de-DE", "customer_time_zone": "Europe/Paris"})
    outcome = import_rows({name: value for name, value in BOOKING.items() if name not in ("customer_phone", "status")})
    customer = Customer.objects.get()
    assert outcome.rows == {"unchanged": 1} and Booking.objects.get().location == "Berlin"
    assert (customer.locale, customer.time_zone, str(customer.phone)) == ("de_DE", "Europe/Paris", "+493023125123")


@pytest.mark.django_db
def test_a_booking_too_soon_is_in_and_says_why_nothing_will_be_sent() -> None:
    outcome = import_rows({**BOOKING, "starts_at": "2020-05-06T10:00"})
    assert outcome.deliveries == {("skipped", "made too late for this reminder"): 3}


@pytest.mark.django_db
def test_a_payment_follows_its_file_and_never_forgets_money() -> None:
    import_rows(PAYMENT)
    payments.mark_paid(Payment.objects.get(), 1000)
    assert import_rows({**PAYMENT, "paid": "5.00"}).rows == {"unchanged": 1}
    assert Payment.objects.get().paid_amount == 1000
    assert import_rows({**PAYMENT, "due_on": "2030-06-06"}).rows == {"moved": 1}
    assert Payment.objects.get().revision == 2
    outcome = import_rows({**PAYMENT, "due_on": "2030-06-06", "paid": "45.50"})
    assert Payment.objects.get().status == "paid"
    assert outcome.deliveries == {("withdrawn", "the payment is paid"): 5}
    assert import_rows({**PAYMENT, "status": "paid"}).rows == {"unchanged": 1}


@pytest.mark.django_db
def test_a_payment_names_its_booking_by_external_id() -> None:
    import_rows(BOOKING)
    outcome = import_rows(
        {**PAYMENT, "booking_external_id": "B-1"},
        {**PAYMENT, "external_id": "P-2", "booking_external_id": "B-99"},
    )
    assert [(payment.external_id, payment.booking) for payment in Payment.objects.all()] == [
        ("P-1", Booking.objects.get())
    ]
    assert str(outcome.bad[0].errors[0]) == (
        "line 3: booking_external_id: there is no booking 'B-99'; import the bookings first"
    )


# --- Customers -----------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_customer_is_found_by_email_in_any_case() -> None:
    stored = alice(email="Alice@Example.com")
    row = {**BOOKING, "customer_id": "", "customer_name": "Alice Ähre", "customer_email": "aLICE@eXAMPLE.com"}
    outcome = import_rows(row, {**row, "external_id": "B-2"})
    assert not outcome.customers["created"]
    assert set(Booking.objects.values_list("customer", flat=True)) == {stored.pk}
    stored.refresh_from_db()
    assert stored.email == "Alice@Example.com"


@pytest.mark.django_db
def test_an_external_id_wins_over_the_email_and_updates_it() -> None:
    import_rows(BOOKING)
    outcome = import_rows({**BOOKING, "customer_email": "new@example.com", "customer_name": "J. Müller"})
    customer = Customer.objects.get()
    assert (customer.email, customer.name) == ("new@example.com", "J. Müller")
    assert outcome.customers == {"changed": 1} and outcome.rows == {"unchanged": 1}


@pytest.mark.django_db
def test_a_family_that_shares_a_mailbox_is_several_customers() -> None:
    import_rows(BOOKING, {**BOOKING, "external_id": "B-2", "customer_id": "C-2", "customer_name": "Jutta"})
    assert Customer.objects.count() == 2


@pytest.mark.django_db
def test_a_customer_who_is_known_by_email_alone_takes_the_id_of_the_file() -> None:
    stored = alice()
    import_rows({**BOOKING, "customer_email": stored.email})
    stored.refresh_from_db()
    assert stored.external_id == "C-1"


@pytest.mark.django_db
def test_an_address_that_comes_later_brings_the_reminders_back() -> None:
    outcome = import_rows({**BOOKING, "customer_email": ""})
    assert outcome.deliveries == {("skipped", "the customer has no address for this channel"): 3}
    assert import_rows(BOOKING).deliveries == {("planned", ""): 3}
