"""What people do with a booking, a payment or a customer by its buttons, and the receipt they are shown."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.test import Client, RequestFactory
from django.urls import reverse
from django.utils import timezone

from notifications import bookings, payments, reach
from notifications.admin.stories import story
from notifications.models import Booking, ConsentEvent, Customer, Delivery, InboxItem, Payment
from tests.factories import DAY, HOUR, MINUTE, alice, bob, make_booking, make_payment
from tests.virtual import noon as noon

pytestmark = pytest.mark.django_db


@pytest.fixture
def olga(client: Client) -> Client:
    """She operates."""
    client.force_login(User.objects.create_superuser("olga", password="x"))
    return client


def page(row: Any) -> str:
    return reverse(f"admin:notifications_{row._meta.model_name}_change", args=[row.pk])


def do(client: Client, row: Any, verb: str, sure: bool = True, **said: Any) -> Any:
    url = reverse(f"admin:notifications_{row._meta.model_name}_do", args=[row.pk, verb])
    return client.post(url, said | ({"_confirmed": "yes"} if sure else {}), follow=True)


def told(answer: Any) -> str:
    return " ".join(str(message) for message in answer.context["messages"])


def test_a_bookings_page_tells_of_every_reminder_also_of_those_never_planned(olga: Client) -> None:
    customer = bob()  # in New York, the venue in Berlin
    booking = make_booking(customer)
    sent, refused, _ = booking.deliveries.order_by("send_at")
    Delivery.objects.filter(pk=sent.pk).update(state="sent", sent_at=timezone.now())
    Delivery.objects.filter(pk=refused.pk).update(state="refused", detail="550 <bob@example.com> unknown")
    answer = olga.get(page(booking))
    story = answer.context["story"]
    assert [line.state for line in story][:3] == ["sent", "refused", "planned"]
    assert "switched off" in " ".join(line.why for line in story if not line.state)
    assert story[0].at.endswith("Berlin") and story[0].at_customer.endswith("New York")
    assert story[1].delivery == page(refused) and str(refused.pk) in story[1].job
    assert "550 &lt;bob@example.com&gt; unknown" in answer.content.decode()


def test_the_story_costs_two_queries_however_many_reminders_there_are(django_assert_num_queries) -> None:
    request = RequestFactory().get("/")
    request.user = User.objects.create_superuser("root")
    booking, payment = make_booking(alice()), make_payment(bob())
    for _ in range(2):
        with django_assert_num_queries(2):
            assert story(request, Booking, booking.pk)
        with django_assert_num_queries(2):
            assert story(request, Payment, payment.pk)
        start = timezone.now() + 3 * DAY
        bookings.reschedule(booking, starts_at=start, ends_at=start + HOUR)
    assert story(request, Booking, 0) == []


def test_rescheduling_moves_the_reminders_and_says_what_became_of_each(olga: Client) -> None:
    booking = make_booking(alice())
    gone = booking.deliveries.order_by("send_at")[0]
    Delivery.objects.filter(pk=gone.pk).update(state="sent", sent_at=timezone.now())
    day = (booking.local_start + 3 * DAY).date()
    answer = do(olga, booking, "reschedule", day=day, at="11:30", minutes=45, reason="she called")
    booking.refresh_from_db()
    assert (booking.wall_date, f"{booking.wall_time:%H:%M}", booking.revision) == (day, "11:30", 2)
    assert booking.ends_at - booking.starts_at == timedelta(minutes=45)
    text = told(answer)
    assert "3 planned, 2 withdrawn, 1 already sent" in text
    assert f"{gone.rule} · email: was already sent at" in text
    assert text.count("withdrawn, it will not be sent") == 2 and text.count("planned for") == 3
    assert LogEntry.objects.get().change_message == "reschedule: she called"


def test_a_time_that_the_clocks_leave_out_comes_back_with_the_reason(olga: Client) -> None:
    booking = make_booking(alice())
    answer = do(olga, booking, "reschedule", day="2027-03-28", at="02:30", minutes=45)
    assert "leave out 02:30 on that day" in answer.content.decode()
    assert Booking.objects.get().revision == 1
    assert not LogEntry.objects.exists()


def test_cancelling_is_asked_twice_and_answers_with_a_receipt(olga: Client) -> None:
    booking = make_booking(alice())
    flying = booking.deliveries.order_by("send_at")[0]
    Delivery.objects.filter(pk=flying.pk).update(state="sending", intent_at=timezone.now())
    asked = do(olga, booking, "cancel", sure=False, reason="ill")
    assert asked.status_code == 200 and "cannot be undone" in asked.content.decode()
    assert Booking.objects.get().status == "booked"
    text = told(do(olga, booking, "cancel", reason="ill"))
    assert Booking.objects.get().status == "cancelled"
    assert "1 being sent at this moment" in text and "cannot be stopped" in text
    assert LogEntry.objects.get().change_message == "cancel: ill"
    assert "is called off; nothing was changed" in told(do(olga, booking, "cancel"))
    assert LogEntry.objects.count() == 1


def test_confirming_is_about_the_time_that_the_page_showed(olga: Client) -> None:
    booking = make_booking(alice())
    start = timezone.now() + 3 * DAY
    bookings.reschedule(booking, starts_at=start, ends_at=start + HOUR)
    assert "nothing was changed" in told(do(olga, booking, "confirm", revision=1))
    do(olga, booking, "confirm", revision=2)
    assert Booking.objects.get().confirmed_at


def test_who_came_and_who_did_not_is_said_only_after_the_start(olga: Client) -> None:
    early, came, missed = (make_booking(alice(email=f"{n}@example.com")) for n in range(3))
    Booking.objects.exclude(pk=early.pk).update(starts_at=timezone.now() - HOUR)
    assert "Completed" not in str(olga.get(page(early)).context["verbs"])
    assert "has not begun" in told(do(olga, early, "complete"))
    do(olga, came, "complete")
    do(olga, missed, "no_show", reason="waited for an hour")
    statuses = dict(Booking.objects.values_list("pk", "status"))
    assert statuses == {early.pk: "booked", came.pk: "completed", missed.pk: "no_show"}


def test_a_get_shows_the_small_form_and_changes_nothing(olga: Client) -> None:
    booking = make_booking(alice())
    for verb in ("cancel", "reschedule", "confirm"):
        answer = olga.get(reverse("admin:notifications_booking_do", args=[booking.pk, verb]))
        assert answer.status_code == 200
    assert olga.get(reverse("admin:notifications_booking_do", args=[booking.pk, "explode"])).status_code == 404
    assert olga.post(reverse("admin:notifications_booking_do", args=[0, "cancel"])).status_code == 404
    assert Booking.objects.get().revision == 1 and not LogEntry.objects.exists()


def test_it_goes_back_where_it_came_from_and_nowhere_else(olga: Client) -> None:
    booking = make_booking(alice())
    url = reverse("admin:notifications_booking_do", args=[booking.pk, "confirm"])
    day = reverse("admin:notifications_booking_day")
    assert olga.post(url, {"revision": 1, "next": day})["Location"] == day
    assert olga.post(url, {"revision": 1, "next": "https://evil.example/"})["Location"] == page(booking)


# --- Payments ---


def test_money_is_recorded_in_parts_as_people_write_it(olga: Client) -> None:
    payment = make_payment(alice(), amount=4550)
    assert "€45.50" in olga.get(page(payment)).content.decode()
    do(olga, payment, "paid", amount="12.50")
    assert (Payment.objects.get().paid_amount, Payment.objects.get().status) == (1250, "open")
    assert "5 withdrawn" in told(do(olga, payment, "paid", amount=""))
    assert (Payment.objects.get().paid_amount, Payment.objects.get().status) == (4550, "paid")
    assert "€45.50" in olga.get(reverse("admin:notifications_payment_changelist")).content.decode()


@pytest.mark.parametrize(
    ("currency", "amount", "why"), [("EUR", "1.005", "small coins"), ("JPY", "0.5", "small coins")]
)
def test_an_amount_is_never_rounded(olga: Client, currency: str, amount: str, why: str) -> None:
    payment = make_payment(alice(), currency=currency)
    assert why in do(olga, payment, "paid", amount=amount).content.decode()
    assert Payment.objects.get().paid_amount == 0


def test_yen_have_no_cents(olga: Client) -> None:
    payment = make_payment(alice(), currency="JPY", amount=4550)
    do(olga, payment, "paid", amount="4000")
    assert Payment.objects.get().paid_amount == 4000


def test_a_payments_way_through_dispute_refund_and_write_off(olga: Client) -> None:
    payment = make_payment(alice())
    assert "5 withdrawn" in told(do(olga, payment, "dispute", reason="not what was agreed"))
    assert "5 planned" in told(do(olga, payment, "settle"))
    due = payment.due_on + 7 * DAY
    assert "5 planned, 5 withdrawn" in told(do(olga, payment, "postpone", due_on=due.isoformat()))
    payments.mark_paid(payment)
    assert "only 4550 came in" in told(do(olga, payment, "refund", amount="100"))
    do(olga, payment, "refund", amount="")
    payment.refresh_from_db()
    assert (payment.status, payment.refunded_amount, payment.due_on) == ("refunded", 4550, due)
    other = make_payment(payment.customer)
    do(olga, other, "write_off", reason="moved away")
    other.refresh_from_db()
    assert other.status == "written_off"
    verbs = [one["verb"].name for one in olga.get(page(other)).context["verbs"]]
    assert verbs == ["paid", "paid_in_full"]


def test_a_payments_page_shows_its_whole_series(olga: Client) -> None:
    payment = make_payment(alice(), due=-2 * DAY)
    story = olga.get(page(payment)).context["story"]
    assert len(story) == 5
    assert {line.why for line in story if line.state == "skipped"} == {"made too late for this reminder"}


# --- Customers ---


def test_an_operator_opts_a_customer_out_with_evidence_and_not_without(olga: Client) -> None:
    customer = alice()
    booking = make_booking(customer)
    assert "This field is required" in do(olga, customer, "opt_out", channel="email").content.decode()
    do(olga, customer, "opt_out", channel="email", evidence="on the phone, at noon")
    event = ConsentEvent.objects.get()
    assert (event.granted, event.source, event.actor, event.evidence) == (
        False,
        "form",
        "olga",
        "on the phone, at noon",
    )
    assert set(booking.deliveries.values_list("reason", flat=True)) == {"opted_out"}
    do(olga, customer, "opt_in", channel="email", evidence="by letter")
    assert booking.deliveries.filter(state="planned").count() == 3
    assert b"on the phone, at noon" in olga.get(page(customer)).content


def test_everything_sent_to_a_customer_newest_first_and_a_page_at_a_time(olga: Client) -> None:
    customer, now = alice(), timezone.now()
    for n in range(30):
        booking = make_booking(customer, starts=n * HOUR + 10 * DAY)
        for m, one in enumerate(booking.deliveries.order_by("send_at")):
            Delivery.objects.filter(pk=one.pk).update(
                state="sent", send_at=now - (n * 3 + m) * MINUTE, sent_at=now - (n * 3 + m) * MINUTE
            )
    newest = Delivery.objects.order_by("-send_at")[0]
    Delivery.objects.filter(pk=newest.pk).update(channel="inbox")
    InboxItem.objects.create(customer=customer, key=str(newest.pk), title="x", body="y", created_at=now)
    InboxItem.objects.create(customer=customer, key="by the app", title="Hello", body="y", created_at=now - 5 * MINUTE)
    make_booking(bob())
    url, seen = reverse("admin:notifications_customer_sent", args=[customer.pk]), []
    before = ""
    for _ in range(5):
        found = olga.get(url, {"before": before}).context["found"]
        seen += found.entries
        before = found.following
        if not before:
            break
    assert len(seen) == 91  # 90 deliveries and the app's own message; an item that a delivery made is told once
    assert [one.at for one in seen] == sorted([one.at for one in seen], reverse=True)
    assert len({one.delivery or one.item for one in seen}) == 91
    assert olga.get(url, {"before": "nonsense"}).status_code == 200


def test_channels_of_a_customer_are_an_order(olga: Client) -> None:
    customer = alice(phone="+4915123456789")
    form: dict[str, Any] = {"name": "Alice", "email": "a@example.com", "locale": "en", "time_zone": "UTC"}
    form |= {"channels_0": "sms", "channels_1": "email"}
    form |= {f"{kind}-{name}_FORMS": 0 for kind in ("consents", "consent_events") for name in ("TOTAL", "INITIAL")}
    olga.post(page(customer), form)
    assert Customer.objects.get().channels == ["sms", "email"]
    olga.post(page(customer), form | {"channels_1": "sms"})
    assert Customer.objects.get().channels == ["sms", "email"]
    assert reach.opt_in("sms") is False


def test_the_list_tells_overdue_payments_from_those_to_come(olga: Client) -> None:
    for days, status in ((-3, "open"), (3, "open"), (-3, "paid")):
        payment = make_payment(alice(email=f"{days}{status}@example.com"), due=days * DAY)
        Payment.objects.filter(pk=payment.pk).update(status=status)
    page = olga.get(reverse("admin:notifications_payment_changelist")).content.decode()
    rows = page[page.index("result_list") :].partition("</table>")[0]
    assert sorted(re.findall(r">\s*(open|overdue|paid)\s*</", rows)) == ["open", "overdue", "paid"]


@pytest.mark.parametrize(
    ("zone", "days", "overdue"),  # at noon of UTC it is two in the night of the next day there, and midnight
    [
        ("Pacific/Kiritimati", 0, True),
        ("Pacific/Kiritimati", 1, False),
        ("Etc/GMT+12", -1, True),
        ("Etc/GMT+12", 0, False),
    ],
)
def test_a_payment_is_overdue_by_its_own_clocks(olga: Client, noon: Any, zone: str, days: int, overdue: bool) -> None:
    make_payment(alice())
    Payment.objects.update(time_zone=zone, due_on=timezone.now().date() + timedelta(days=days))
    page = olga.get(reverse("admin:notifications_payment_changelist")).content.decode()
    assert bool(re.search(r">\s*overdue\s*</", page[page.index("result_list") :])) == overdue
