"""What the hunt finds: a few rows of everything, and a key that may everything."""

from jobs.api import keys
from jobs.api.scopes import SCOPES
from notifications.models import MessageTemplate, ReminderRule
from tests.factories import alice, bob, make_booking, make_job, make_payment


def scene() -> str:
    """Returns the key."""
    ReminderRule.objects.update(quiet_from=None, quiet_until=None)
    for customer in (alice(external_id="crm-1"), bob()):
        make_booking(customer, location="Clinic")
        make_payment(customer)
    MessageTemplate.objects.create(message="booking_upcoming", channel="email", subject="Soon", text="Soon")
    for state in ("scheduled", "queued", "running", "succeeded", "failed", "cancelled", "expired"):
        make_job(state)
    return keys.issue("hunt", SCOPES)[1]
