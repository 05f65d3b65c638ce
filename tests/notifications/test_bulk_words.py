"""What the pages of a change to many say before and after it, in words: that nobody would hear of it, what was done."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from notifications.models import BulkChange, ReminderRule
from tests.conftest import InProcessWorker
from tests.factories import alice, make_booking
from tests.notifications.test_bulk_pages import ADD, asked, confirmed

pytestmark = pytest.mark.django_db


@pytest.fixture
def olga(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("olga", password="x"))
    return client


SILENT = "The customers would not hear of it"


@pytest.mark.parametrize(
    ("changed", "active", "silent"),
    [
        ({"kind": "cancel", "subject": "", "text": ""}, "", True),
        ({"kind": "cancel", "subject": "", "text": ""}, "booking_moved", True),
        ({"kind": "cancel", "subject": "", "text": ""}, "booking_cancelled", False),
        ({"kind": "move", "days": "1", "subject": "", "text": ""}, "booking_cancelled", True),
        ({"kind": "cancel"}, "", False),
        ({}, "", False),
        ({"kind": "cancel", "subject": "", "text": "", "location": "nowhere"}, "", False),
    ],
)
def test_a_change_that_nobody_would_hear_of_says_so(
    olga: Client, changed: dict[str, Any], active: str, silent: bool
) -> None:
    """Who closes the shop for a day must not find eleven people before its door."""
    make_booking(alice(), location="Clinic")
    ReminderRule.objects.filter(anchor=active).update(active=True)
    page = olga.post(reverse(ADD), asked(**changed))
    assert page.context["preview"] is not None and (SILENT in page.content.decode()) == silent


def test_what_was_done_is_told_in_the_readers_language(olga: Client, worker: InProcessWorker) -> None:
    make_booking(alice(), location="Clinic")
    german = {"Accept-Language": "de"}
    shown = olga.post(reverse(ADD), asked(kind="cancel"), headers=german)
    assert "3 geplant" in shown.content.decode()
    olga.post(reverse(ADD), asked(kind="cancel") | confirmed(shown), headers=german)
    worker.run_due()
    url = reverse("admin:notifications_bulkchange_change", args=[BulkChange.objects.get().pk])
    page = olga.get(url, headers=german).content.decode()
    assert (
        "Buchungen abgesagt: 1" in page and "Nachrichten geplant: 1" in page and "Erinnerungen zurückgezogen: 3" in page
    )
    assert '<td class="py-2">E-Mail</td>' in page and "reminders withdrawn" not in page
