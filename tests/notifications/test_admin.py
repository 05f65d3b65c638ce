"""The owner's screens: what they show, what they change, and that reminders follow."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from jobs.models import Attempt, Job, Queue
from notifications import bookings, payments
from notifications.models import Booking, Delivery, Payment, ReminderRule
from tests.factories import DAY, MINUTE, alice, make_booking, make_job, make_payment
from tests.jobs.test_scopes import person

pytestmark = pytest.mark.django_db

MODELS = ["jobs_job", "jobs_queue"] + [
    f"notifications_{name}" for name in ("customer", "booking", "payment", "reminderrule", "delivery")
]


@pytest.fixture
def olga(client: Client) -> Client:
    """She operates."""
    client.force_login(User.objects.create_superuser("olga", password="x"))
    return client


def act(client: Client, model: str, action: str, *ids: object) -> str:
    """From the list to the page that asks, and on to what it says afterwards."""
    url = reverse(f"admin:{model}_changelist")
    chosen = {"action": action, "_selected_action": [str(pk) for pk in ids]}
    asked = client.post(url, chosen)
    assert asked.status_code == 200 and "Nothing has happened yet" in asked.content.decode()
    answer = client.post(url, chosen | {"_confirmed": "yes"}, follow=True)
    assert answer.status_code == 200
    return " ".join(str(message) for message in answer.context["messages"])


@pytest.mark.parametrize("model", [*MODELS, "django_celery_beat_periodictask", "django_celery_results_taskresult"])
def test_every_table_has_its_page(olga: Client, model: str) -> None:
    make_booking(alice())
    make_payment(Booking.objects.get().customer)
    Queue.objects.create(name="default")
    assert olga.get(reverse(f"admin:{model}_changelist")).status_code == 200


@pytest.mark.parametrize("model", MODELS)
def test_every_row_has_its_page(olga: Client, model: str) -> None:
    make_booking(alice())
    make_payment(Booking.objects.get().customer)
    Queue.objects.create(name="default")
    app, name = model.split("_")
    tables: dict[str, Any] = {"job": Job, "queue": Queue, "booking": Booking, "payment": Payment, "delivery": Delivery}
    tables |= {"reminderrule": ReminderRule, "customer": type(Booking.objects.get().customer)}
    row = tables[name].objects.all()[0]
    assert olga.get(reverse(f"admin:{app}_{name}_change", args=[row.pk])).status_code == 200


def test_jobs_are_filtered_by_state_and_found_by_id_and_by_tag(olga: Client) -> None:
    booking = make_booking(alice())
    make_job("failed", reason="Flaky: broken")
    url = reverse("admin:jobs_job_changelist")
    assert olga.get(url, {"state__exact": "failed"}).context["cl"].result_count == 1
    assert olga.get(url, {"q": str(Job.objects.filter(state="failed").get().pk)}).context["cl"].result_count == 1
    assert olga.get(url, {"q": f"booking:{booking.pk}"}).context["cl"].result_count == 3
    assert olga.get(url, {"q": "no such thing"}).context["cl"].result_count == 0


def test_the_job_list_takes_the_same_queries_for_one_job_and_for_many(
    olga: Client, django_assert_max_num_queries
) -> None:
    for _ in range(30):
        make_job()
    with django_assert_max_num_queries(8):
        olga.get(reverse("admin:jobs_job_changelist"))


def test_a_job_shows_what_its_attempts_said(olga: Client) -> None:
    job = make_job("failed", token=1)
    Attempt.objects.create(job=job, number=1, outcome="errored", error="Flaky: broken", traceback="line 7")
    page = olga.get(reverse("admin:jobs_job_change", args=[job.pk])).content.decode()
    assert "Flaky: broken" in page and "line 7" in page


DAY_OF_IT = timezone.now() + 3 * DAY  # one for all forms: the second of a test may be sent after midnight


def booking_form(**fields: object) -> dict[str, object]:
    empty = {f"deliveries-{name}_FORMS": 0 for name in ("TOTAL", "INITIAL", "MIN_NUM", "MAX_NUM")}
    form = {"service": "Haircut", "time_zone": "Europe/Berlin", "minutes": 45, "wall_0": f"{DAY_OF_IT:%Y-%m-%d}"}
    return form | {"wall_1": "10:00", "location": "", "external_id": ""} | empty | fields


def test_booking_in_the_admin_plans_reminders_and_moving_moves_them(olga: Client) -> None:
    customer = alice()
    olga.post(reverse("admin:notifications_booking_add"), booking_form(customer=customer.pk))
    booking = Booking.objects.get()
    assert (str(booking.wall_time), booking.ends_at - booking.starts_at) == ("10:00:00", timedelta(minutes=45))
    assert booking.deliveries.filter(state="planned").count() == 3
    url = reverse("admin:notifications_booking_change", args=[booking.pk])
    olga.post(url, booking_form(customer=customer.pk, service="Colour"))
    booking.refresh_from_db()
    assert (booking.service, booking.revision) == ("Colour", 1)  # other text, same time: not a move
    answer = olga.post(url, booking_form(customer=customer.pk, wall_1="11:30"), follow=True)
    booking.refresh_from_db()
    assert (str(booking.wall_time), booking.revision) == ("11:30:00", 2)
    assert "3 planned, 3 withdrawn" in answer.content.decode()


def test_a_wall_time_that_does_not_exist_is_refused_with_the_reason(olga: Client) -> None:
    form = booking_form(customer=alice().pk, wall_0="2027-03-28", wall_1="02:30")
    page = olga.post(reverse("admin:notifications_booking_add"), form).content.decode()
    assert "leave out 02:30 on that day" in page
    assert not Booking.objects.exists()


def test_cancelling_a_booking_in_the_admin_shows_the_receipt(olga: Client) -> None:
    """By somebody who may not change many at once, and has no page that previews that."""
    olga.force_login(person("Operator"))
    booking = make_booking(alice())
    assert "3 withdrawn" in act(olga, "notifications_booking", "cancel", booking.pk)
    assert "is called off; nothing was changed" in act(olga, "notifications_booking", "cancel", booking.pk)


def test_saving_a_booking_that_was_closed_meanwhile_says_only_that(olga: Client) -> None:
    booking = make_booking(alice())
    bookings.cancel(booking)
    url = reverse("admin:notifications_booking_change", args=[booking.pk])
    answer = olga.post(url, booking_form(customer=booking.customer_id, service="Colour"), follow=True)
    (said,) = answer.context["messages"]
    assert (said.level_tag, "is called off; nothing was changed" in str(said)) == ("error", True)
    assert Booking.objects.get().service == "Haircut"
    assert not LogEntry.objects.exists()


def test_saving_a_payment_that_was_paid_meanwhile_says_only_that(olga: Client) -> None:
    payment = make_payment(alice())
    payments.mark_paid(payment)
    empty = {f"deliveries-{name}_FORMS": 0 for name in ("TOTAL", "INITIAL", "MIN_NUM", "MAX_NUM")}
    form = {"customer": payment.customer_id, "subject": "Colour", "owed": "45.50", "currency": "EUR"}
    form |= {"due_on": f"{payment.due_on:%Y-%m-%d}", "time_zone": payment.time_zone}
    answer = olga.post(reverse("admin:notifications_payment_change", args=[payment.pk]), form | empty, follow=True)
    assert [said.level_tag for said in answer.context["messages"]] == ["error"]
    assert Payment.objects.get().subject == "Haircut"
    assert not LogEntry.objects.exists()


def test_a_booking_with_a_story_cannot_be_deleted(olga: Client) -> None:
    booking = make_booking(alice())
    assert olga.post(reverse("admin:notifications_booking_delete", args=[booking.pk])).status_code == 403


def test_a_payment_made_and_paid_in_the_admin(olga: Client) -> None:
    empty = {f"deliveries-{name}_FORMS": 0 for name in ("TOTAL", "INITIAL", "MIN_NUM", "MAX_NUM")}
    due = f"{timezone.now() + 10 * DAY:%Y-%m-%d}"
    form = {"customer": alice().pk, "subject": "Cut", "owed": "45.50", "currency": "EUR", "due_on": due}
    olga.post(reverse("admin:notifications_payment_add"), form | {"time_zone": "Europe/Berlin"} | empty)
    payment = Payment.objects.get()
    assert payment.deliveries.filter(state="planned").count() == 5
    assert "5 withdrawn" in act(olga, "notifications_payment", "paid_in_full", payment.pk)
    bad = olga.post(reverse("admin:notifications_payment_add"), form | {"currency": "XXQ"} | empty)
    assert "ISO 4217" in bad.content.decode()


def test_withdrawing_a_delivery_and_sending_a_refused_one_again(olga: Client) -> None:
    booking = make_booking(alice())
    first, second, _ = booking.deliveries.order_by("send_at")
    assert "1 withdrawn" in act(olga, "notifications_delivery", "withdraw", first.pk)
    assert Job.objects.get(pk=first.pk).state == "cancelled"
    Delivery.objects.filter(pk=second.pk).update(state="refused", send_at=timezone.now() - MINUTE)
    Job.objects.filter(pk=second.pk).update(state="failed")
    assert "1 done" in act(olga, "notifications_delivery", "again", second.pk)
    assert Job.objects.get(pk=second.pk).state == "scheduled"
    second.refresh_from_db()
    assert second.state == "planned"
