"""A page that was open while somebody else moved the booking or payment: it does not take the move back."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from notifications import bookings, payments
from tests.factories import DAY, alice, make_booking, make_payment
from tests.jobs.test_scopes import client_of, person

pytestmark = pytest.mark.django_db


@pytest.fixture
def olga(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("olga"))
    return client


def filled(client: Client, page: str) -> dict[str, Any]:
    """What a browser would send of the form, as it was shown."""
    sent: dict[str, Any] = {}
    for field in client.get(page).context["adminform"].form:
        value = field.value()
        if hasattr(field.field.widget, "decompress"):
            for n, part in enumerate(field.field.widget.decompress(value)):
                sent[f"{field.html_name}_{n}"] = part or ""
        else:
            sent[field.html_name] = "" if value is None else value
    return sent


def told(answer: Any) -> list[str]:
    return [f"{message.level_tag}: {message}" for message in answer.context["messages"]]


def test_a_form_of_a_booking_does_not_move_it_back(olga: Client) -> None:
    booking = make_booking(alice())
    page = reverse("admin:notifications_booking_change", args=[booking.pk])
    form = filled(olga, page)
    assert f'name="seen" value="{booking.revision}"' in olga.get(page).content.decode()
    bookings.reschedule(booking, starts_at=booking.starts_at + DAY, ends_at=booking.ends_at + DAY)
    answer = olga.post(page, form | {"service": "Colour"}, follow=True)
    assert [said for said in told(answer) if "was moved" in said and said.startswith("error")]
    before = (booking.starts_at, booking.service, booking.revision)
    booking.refresh_from_db()
    assert (booking.starts_at, booking.service, booking.revision) == before
    olga.post(page, filled(olga, page) | {"service": "Colour"})
    booking.refresh_from_db()
    assert (booking.service, booking.revision) == ("Colour", before[2])


def test_nor_does_the_small_form_that_was_open(olga: Client) -> None:
    booking = make_booking(alice())
    page = reverse("admin:notifications_booking_do", args=[booking.pk, "reschedule"])
    form = olga.get(page).context["one"]["form"]
    sent = {name: value.isoformat() if hasattr(value, "isoformat") else value for name, value in form.initial.items()}
    bookings.reschedule(booking, starts_at=booking.starts_at + DAY, ends_at=booking.ends_at + DAY)
    answer = olga.post(page, sent | {"minutes": 90}, follow=True)
    assert [said for said in told(answer) if "was moved" in said and said.startswith("error")]
    ends = booking.ends_at
    booking.refresh_from_db()
    assert booking.ends_at == ends


def test_a_form_of_a_payment_does_not_move_its_due_date_back(olga: Client) -> None:
    payment = make_payment(alice())
    page = reverse("admin:notifications_payment_change", args=[payment.pk])
    form = filled(olga, page)
    later = payment.due_on + timedelta(days=7)
    payments.postpone(payment, later)
    answer = olga.post(page, form | {"subject": "Colour"}, follow=True)
    assert [said for said in told(answer) if "was moved" in said and said.startswith("error")]
    payment.refresh_from_db()
    assert (payment.due_on, payment.subject) == (later, "Haircut")


def test_who_may_only_look_is_shown_nothing_that_is_empty() -> None:
    payment = make_payment(alice())
    booking = make_booking(payment.customer)
    vera = client_of(person("Viewer"))
    for row in (booking, payment):
        page = vera.get(reverse(f"admin:notifications_{row._meta.model_name}_change", args=[row.pk]))
        labels = re.findall(r"<label[^>]*>\s*([^<]*?)\s*<", page.content.decode())
        assert "Seen" not in labels and "Duration in minutes" not in labels
        assert "€45.50" in page.content.decode() or row is booking
