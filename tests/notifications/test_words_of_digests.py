"""A digest's words: those of what presses most, and all that it is about."""

from datetime import timedelta
from typing import Any

import pytest

from notifications.models import Delivery, ReminderRule
from tests.factories import DAY, alice, make_payment
from tests.notifications.providers import Providers, providers as providers
from tests.notifications.reminding import due_now

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _one_message_a_day() -> None:
    ReminderRule.objects.filter(anchor="payment_due").update(digest=True, quiet_from=None, quiet_until=None)


def upcoming_and_overdue(**fields: Any) -> None:
    """The one that is still to come leads: it is due first, by its hour."""
    customer = alice(**fields)
    for subject, due, name in (("Water", 3 * DAY, "3 days before"), ("Rent", -6 * DAY, "7 days after")):
        payment = make_payment(customer, subject=subject, due=due)
        row = payment.deliveries.get(rule__name__startswith=name)
        Delivery.objects.filter(payment=payment).exclude(pk=row.pk).delete()
        Delivery.objects.filter(pk=row.pk).update(state="planned", reason="")
        due_now(row)
        Delivery.objects.filter(pk=row.pk).update(send_at=row.send_at - timedelta(seconds=len(name)))


def test_what_is_overdue_is_not_called_upcoming(worker: Any, providers: Providers) -> None:
    upcoming_and_overdue()
    worker.run_due()
    ((_, text),) = providers["email"].taken
    assert "Please pay it" in text and "you need not do anything" not in text
    assert "Water" in text and "Rent" in text


@pytest.mark.parametrize("locale", ["en", "de"])
@pytest.mark.parametrize("channel", ["sms", "inbox"])
def test_a_short_message_is_about_all_of_them_too(worker: Any, providers: Providers, channel: str, locale: str) -> None:
    ReminderRule.objects.update(channels=[channel])
    upcoming_and_overdue(phone="+493012345678", locale=locale)
    worker.run_due()
    ((_, text),) = providers[channel].taken
    assert "Rent" in text and "91" in text  # of both
