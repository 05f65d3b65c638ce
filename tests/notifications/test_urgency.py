"""After an outage what is soon of no use goes first."""

import pytest
from django.utils import timezone

from jobs import dispatcher
from jobs.models import Job
from notifications import reminders
from notifications.models import Delivery, ReminderRule
from tests.factories import HOUR, MINUTE, alice, make_booking
from tests.notifications.reminding import due_now

pytestmark = pytest.mark.django_db


def test_the_nearer_the_end_the_more_urgent() -> None:
    windows = (15 * MINUTE, 20 * MINUTE, 40 * MINUTE, 2 * HOUR, 3 * HOUR, 22 * HOUR)
    assert [reminders.urgency(useful).name for useful in windows] == [
        "URGENT",
        "URGENT",
        "HIGH",
        "HIGH",
        "NORMAL",
        "NORMAL",
    ]


def test_a_backlog_begins_with_what_is_of_use_for_the_shortest_time(worker) -> None:
    ReminderRule.objects.exclude(anchor="booking_start").delete()
    for n in range(4):
        make_booking(alice(email=f"a{n}@example.com"))
    names = {}
    for delivery in Delivery.objects.select_related("rule"):
        due_now(delivery)
        names[str(delivery.pk)] = delivery.rule.name.split(" before")[0]
    # The reminders of tomorrow have waited longest.
    of_tomorrow = [pk for pk, name in names.items() if name == "24 hours"]
    Job.objects.filter(pk__in=of_tomorrow).update(run_at=timezone.now() - 2 * MINUTE)
    dispatcher.dispatch_due()
    order = [names[message.headers["id"]] for message in worker.messages()]
    assert order == ["15 minutes"] * 4 + ["1 hour"] * 4 + ["24 hours"] * 4
