"""Money that is owed, comes in, goes back, is disputed or given up, and what that means for the reminders."""

from datetime import timedelta

import pytest
from django.db import IntegrityError

from notifications import payments
from notifications.bookings import NotOpen, Receipt
from notifications.models import Payment
from tests.factories import bob, make_payment

pytestmark = pytest.mark.django_db


def waiting(payment: Payment) -> int:
    return payment.deliveries.filter(state="planned").count()


def test_a_part_of_the_money_leaves_the_reminders_standing() -> None:
    payment = make_payment(bob(), amount=5000)
    assert payments.mark_paid(payment, 2000).cancelled == []
    assert (payment.paid_amount, payment.status, waiting(payment)) == (2000, "open", 5)
    assert len(payments.mark_paid(payment, 3000).cancelled) == 5
    assert (payment.paid_amount, payment.status, waiting(payment)) == (5000, "paid", 0)


def test_a_dispute_stops_the_reminders_and_its_end_brings_back_those_to_come() -> None:
    payment = make_payment(bob())
    assert len(payments.dispute(payment).cancelled) == 5
    assert (payment.status, waiting(payment)) == ("disputed", 0)
    receipt = payments.uphold(payment)
    assert (payment.status, waiting(payment), len(receipt.planned)) == ("open", 5, 5)


def test_what_is_written_off_is_not_asked_for_but_still_taken() -> None:
    payment = make_payment(bob())
    payments.write_off(payment)
    assert (payment.status, waiting(payment)) == ("written_off", 0)
    payments.mark_paid(payment)
    assert payment.status == "paid"


def test_a_refund_asks_for_nothing_again_and_closes_when_all_is_given_back() -> None:
    payment = make_payment(bob(), amount=5000)
    payments.mark_paid(payment)
    payments.refund(payment, 1000)
    assert (payment.status, payment.refunded_amount, waiting(payment)) == ("paid", 1000, 0)
    payments.refund(payment, 4000)
    assert (payment.status, payment.refunded_amount, waiting(payment)) == ("refunded", 5000, 0)


def test_all_of_it_is_refunded_without_counting() -> None:
    payment = make_payment(bob(), amount=5000)
    payments.mark_paid(payment)
    payments.refund(payment)
    assert (payment.status, payment.refunded_amount) == ("refunded", 5000)


def test_more_than_came_in_cannot_be_given_back() -> None:
    payment = make_payment(bob(), amount=5000)
    payments.mark_paid(payment)
    payments.refund(payment, 4000)
    with pytest.raises(NotOpen, match="only 1000 came in"):
        payments.refund(payment, 1001)
    payment.refresh_from_db()
    assert (payment.status, payment.refunded_amount) == ("paid", 4000)
    with pytest.raises(IntegrityError):  # nor past the application
        Payment.objects.filter(pk=payment.pk).update(refunded_amount=5001)


def test_a_returned_debit_is_owed_again() -> None:
    payment = make_payment(bob(), amount=5000)
    payments.mark_paid(payment)
    receipt = payments.bounce(payment, 5000)
    assert (payment.status, payment.paid_amount, len(receipt.planned)) == ("open", 0, 5)


def test_what_was_paid_too_much_and_given_back_pays_for_nothing_after_a_bounce() -> None:
    payment = make_payment(bob(), amount=5000)
    payments.mark_paid(payment, 10000)
    payments.refund(payment, 5000)
    receipt = payments.bounce(payment, 5000)
    assert (payment.status, payment.closed_at, len(receipt.planned)) == ("open", None, 5)
    assert (payment.paid_amount, payment.refunded_amount) == (0, 0)
    payments.mark_paid(payment, 5000)
    assert payment.status == "paid"


def test_what_was_given_back_of_what_was_due_is_not_owed_again() -> None:
    payment = make_payment(bob(), amount=5000)
    payments.mark_paid(payment, 7000)
    payments.refund(payment, 3000)  # 2000 too much, and 1000 for the trouble
    payments.bounce(payment, 1500)
    assert (payment.status, payment.paid_amount, payment.refunded_amount) == ("open", 3500, 1000)


def test_what_was_paid_too_much_is_there_for_a_bounce() -> None:
    payment = make_payment(bob(), amount=5000)
    payments.mark_paid(payment, 10000)
    payments.refund(payment, 2000)
    payments.bounce(payment, 3000)
    assert (payment.status, payment.paid_amount, payment.refunded_amount) == ("paid", 7000, 2000)


@pytest.mark.parametrize("verb", [payments.mark_paid, payments.refund, payments.bounce])
def test_amounts_are_more_than_nothing(verb: object) -> None:
    payment = make_payment(bob())
    with pytest.raises(ValueError, match="more than nothing"):
        verb(payment, 0)  # type: ignore[operator]


@pytest.mark.parametrize(
    ("status", "refused"),
    [
        ("paid", "dispute uphold write_off cancel mark_paid"),
        ("open", "uphold refund"),
        ("disputed", "dispute refund bounce postpone"),
        ("written_off", "dispute uphold write_off cancel refund bounce postpone"),
        ("refunded", "mark_paid refund dispute uphold write_off cancel bounce postpone"),
        ("cancelled", "mark_paid refund dispute uphold write_off cancel bounce postpone"),
    ],
)
def test_what_makes_no_sense_in_a_state_is_refused_and_changes_nothing(status: str, refused: str) -> None:
    payment = make_payment(bob())
    Payment.objects.filter(pk=payment.pk).update(status=status)
    before = Payment.objects.values().get(pk=payment.pk)
    day = payment.due_on + timedelta(days=3)
    more = {"bounce": (1,), "postpone": (day,)}
    for name in refused.split():
        with pytest.raises(NotOpen, match="nothing was changed"):
            receipt: Receipt = getattr(payments, name)(payment, *more.get(name, ()))
            pytest.fail(f"{name} of a {status} payment answered {receipt}")
    assert Payment.objects.values().get(pk=payment.pk) == before
