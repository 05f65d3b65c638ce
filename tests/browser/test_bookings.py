"""A day at the desk: find a booking, see its reminders, move it, cancel it, decide a doubt, change a rule."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import Locator, expect

from notifications.models import Booking, Customer, Delivery, MessageTemplate, OutboxMessage, Payment, ReminderRule
from tests.browser.conftest import SignIn
from tests.browser.person import Person
from tests.factories import HOUR, MINUTE, alice, make_booking, make_payment


def page_of(row: Any) -> str:
    return reverse(f"admin:notifications_{row._meta.model_name}_change", args=[row.pk])


def doubtful() -> Delivery:
    delivery = make_booking(alice(), service="Massage").deliveries.order_by("send_at")[0]
    told = {"state": "in_doubt", "doubts": 1, "intent_at": timezone.now() - 3 * HOUR, "detail": "the line broke"}
    Delivery.objects.filter(pk=delivery.pk).update(**told)
    delivery.refresh_from_db()
    return delivery


def opened(person: Person, button: str) -> Locator:
    """The small form behind a button."""
    person.page.get_by_role("button", name=f"{button}…").click()
    form = person.page.get_by_role("dialog", name=button)
    expect(form).to_be_visible()
    return form


def test_a_booking_is_found_its_reminders_seen_and_it_is_moved(maria: Person) -> None:
    booking = make_booking(alice(name="Zelda Finder"), service="Perm", location="Harbour")
    maria.open(reverse("admin:notifications_booking_changelist"))
    maria.page.fill("#searchbar", "Zelda")
    maria.page.press("#searchbar", "Enter")
    maria.page.get_by_role("link", name="Perm").click()
    story = maria.page.locator("#story")
    expect(story.get_by_text("planned", exact=True)).to_have_count(3)
    expect(story).to_contain_text("not planned: the rule is switched off")
    form, day = opened(maria, "Reschedule"), booking.local_start.date() + timedelta(days=7)
    maria.looks_fine()
    form.get_by_label("Day").fill(day.isoformat())
    form.get_by_label("Time").fill("11:30")
    form.get_by_label("Reason").fill("she called")
    form.get_by_role("button", name="Reschedule").click()
    receipt = maria.page.locator(".receipt")
    expect(receipt.locator("li")).to_have_count(6)
    expect(receipt).to_contain_text("withdrawn, it will not be sent")
    booking.refresh_from_db()
    assert (booking.wall_date, f"{booking.wall_time:%H:%M}") == (day, "11:30")
    maria.looks_fine()


def test_a_booking_is_cancelled_and_the_receipt_tells_what_had_gone_out(olga: Person) -> None:
    booking = make_booking(alice(), service="Beard")
    gone = booking.deliveries.order_by("send_at")[0]
    Delivery.objects.filter(pk=gone.pk).update(state="sent", sent_at=timezone.now())
    olga.open(page_of(booking))
    form = opened(olga, "Cancel the booking")
    form.get_by_label("Reason").fill("ill")
    form.get_by_role("button", name="Cancel the booking").click()
    receipt = olga.page.locator(".receipt")
    expect(receipt).to_contain_text("was already sent at")
    expect(receipt.get_by_text("withdrawn, it will not be sent")).to_have_count(2)
    assert Booking.objects.get(pk=booking.pk).status == "cancelled"
    assert LogEntry.objects.latest("pk").change_message == "cancel: ill"
    expect(olga.page.get_by_role("button", name="Cancel the booking…")).to_have_count(0)


def test_leaving_the_small_form_leaves_everything(olga: Person) -> None:
    booking = make_booking(alice())
    olga.open(page_of(booking))
    form = opened(olga, "Cancel the booking")
    olga.page.keyboard.press("Escape")
    expect(form).to_be_hidden()
    form = opened(olga, "Cancel the booking")
    form.get_by_role("button", name="Leave it").click()
    expect(form).to_be_hidden()
    assert Booking.objects.get(pk=booking.pk).status == "booked"


def test_the_day_before_and_after_and_a_place(olga: Person) -> None:
    booking = make_booking(alice(), service="Dreadlocks", location="Lighthouse")
    day = booking.wall_date
    olga.open(f"{reverse('admin:notifications_booking_day')}?day={day - timedelta(days=1)}")
    olga.page.get_by_role("link", name="Day after").click()
    expect(olga.page.get_by_role("link", name="Dreadlocks")).to_be_visible()
    olga.page.locator("#choose").get_by_label("Location").select_option("Lighthouse")
    olga.go(olga.page.locator("#choose").get_by_role("button", name="Show"))  # the other page may have more places
    expect(olga.page.locator("section h2")).to_have_text(re.compile("Lighthouse"))
    expect(olga.page.locator(".day-entry")).to_contain_text("3 planned")
    olga.looks_fine()


def test_a_doubt_is_decided_without_a_mouse(olga: Person) -> None:
    doubt = doubtful()
    olga.open(reverse("admin:notifications_delivery_doubts"))
    row = olga.page.locator("#doubts li", has=olga.page.locator(f"a[href*='{doubt.pk}']")).first
    expect(row).to_contain_text("3 hours")
    expect(row).to_contain_text("the line broke")
    link = row.get_by_role("link", name="It was sent")
    link.focus()
    olga.page.keyboard.press("Enter")
    expect(olga.page.get_by_label("How it is known")).to_be_focused()
    olga.looks_fine()
    olga.page.keyboard.type("the provider's log")
    olga.page.keyboard.press("Enter")
    expect(olga.page.locator("body")).to_contain_text("It was sent: done.")
    expect(olga.page).to_have_url(re.compile("/doubts/$"))
    doubt.refresh_from_db()
    assert (doubt.state, doubt.doubts) == ("sent", 0)


def test_a_rule_is_changed_after_a_look_at_what_that_does(maria: Person) -> None:
    make_booking(alice(), starts=timedelta(days=30))
    rule = ReminderRule.objects.get(name__startswith="15 minutes")
    maria.open(page_of(rule))
    maria.page.fill("#id_offset_0", "30")
    maria.page.get_by_role("button", name="Save", exact=True).click()
    expect(maria.page.locator("body")).to_contain_text("Nothing is saved yet")
    maria.looks_fine()
    maria.page.get_by_role("button", name="Save and apply").click()
    expect(maria.page.locator("body")).to_contain_text("are being planned anew")
    rule.refresh_from_db()
    assert rule.offset == -30 * MINUTE
    ReminderRule.objects.filter(pk=rule.pk).update(offset=-15 * MINUTE)  # as others find it


def test_money_comes_in_by_parts(olga: Person) -> None:
    payment = make_payment(alice(), subject="Ten sessions")
    olga.open(page_of(payment))
    form = opened(olga, "Record money")
    expect(form).to_contain_text("all that is left, €45.50")
    form.get_by_label("Amount").fill("12.50")
    form.get_by_role("button", name="Record money").click()
    expect(olga.page.locator("body")).to_contain_text("€12.50")
    assert Payment.objects.get(pk=payment.pk).paid_amount == 1250


@pytest.mark.parametrize("phone", [False, True], ids=["wide", "phone"])
def test_a_payment_for_a_booking_of_a_long_name_stays_within_the_page(sign_in: SignIn, phone: bool) -> None:
    customer = alice(name="Paula Payer")
    booking = make_booking(customer, service="Everything that can be done with hair, and a massage")
    person = sign_in("olga", phone=phone)
    person.open(page_of(make_payment(customer, booking=booking)))
    expect(person.page.locator(".select2-selection__rendered").last).to_contain_text("Everything")
    person.looks_fine()


def test_a_time_by_other_clocks_is_not_compared_with_the_servers(sign_in: SignIn) -> None:
    """A booking's time is of the zone below it, whatever the server's is."""
    page = sign_in("olga", zone="Asia/Kathmandu").open(reverse("admin:notifications_booking_add"))
    expect(page.locator(".timezonewarning").first).to_be_attached()
    expect(page.locator(".timezonewarning:visible")).to_have_count(0)


def _paths() -> dict[str, str]:
    doubt = doubtful()
    booking = doubt.booking
    assert booking is not None
    row = OutboxMessage.objects.create(
        channel="webhook", key=str(doubt.pk), to="https://example.org", subject="Hi", text="Hi", html="<h1>Hi</h1>"
    )
    words = MessageTemplate.objects.create(
        message="booking_upcoming",
        channel="email",
        locale=f"x{doubt.pk.hex[-4:]}",
        subject="Hi",
        text="Hi",
        html="<p>Hi</p>",
    )
    trial = reverse("admin:notifications_messagetemplate_try", args=[words.pk])
    return {
        "booking": page_of(booking),
        "payment": page_of(Payment.objects.order_by("pk")[0]),
        "customer": page_of(Customer.objects.order_by("pk")[0]),
        "sent": reverse("admin:notifications_customer_sent", args=[doubt.customer_id]),
        "delivery": page_of(doubt),
        "day": f"{reverse('admin:notifications_booking_day')}?day={booking.wall_date}",
        "doubts": reverse("admin:notifications_delivery_doubts"),
        "resolve": reverse("admin:notifications_delivery_do", args=[doubt.pk, "send_again"]),
        "outbox": page_of(row),
        "try": f"{trial}?booking={booking.pk}",
        "bulk": reverse("admin:notifications_bulkchange_add"),
        "rule": page_of(ReminderRule.objects.order_by("pk")[0]),
    }


@pytest.mark.parametrize("phone", [False, True], ids=["wide", "phone"])
def test_every_page_of_the_product_looks_fine(sign_in: SignIn, phone: bool) -> None:
    """In German and in the dark on a phone, else in English and by day."""
    person = sign_in("root", language="de" if phone else "en", dark=phone, phone=phone)
    for path in _paths().values():
        person.open(path)
        person.looks_fine()


def test_a_change_to_many_is_shown_first(maria: Person) -> None:
    booking = make_booking(alice(), service="Sauna", location="Bath house")
    page = maria.open(reverse("admin:notifications_bulkchange_add"))
    page.get_by_label("What").select_option("cancel")
    page.get_by_label("Service").fill("Sauna")
    page.get_by_label("Reason").fill("the stove is broken")
    page.get_by_role("button", name="Preview").click()
    expect(page.locator("#preview")).to_contain_text("1 bookings of 1 customers")
    maria.looks_fine()
    page.get_by_role("button", name="Do it").click()
    expect(page.get_by_role("button", name="Call off")).to_be_visible()
    maria.looks_fine()
    assert Booking.objects.get(pk=booking.pk).status == "booked"  # a job does it, and no worker is here


@pytest.mark.parametrize(("dark", "phone"), [(False, False), (True, False), (False, True)])
def test_selected_deliveries_are_withdrawn_on_a_page_that_says_how_many(
    sign_in: SignIn, dark: bool, phone: bool
) -> None:
    booking = make_booking(alice(name="Wanda Withdrawn"), service="Waxing")
    otto = sign_in("olga", dark=dark, phone=phone, language="de")
    page = otto.open(reverse("admin:notifications_delivery_changelist") + "?state__exact=planned")
    chosen = booking.deliveries.order_by("pk")[:2]
    for delivery in chosen:
        page.locator(f"input.action-select[value='{delivery.pk}']").check()
    page.locator("#changelist-actions select[name=action]").select_option("withdraw")
    page.locator("#changelist-actions button[name=index]").click()
    expect(page.locator("body")).to_contain_text("Zeilen, die geändert würden: 2.")
    otto.looks_fine()
    assert not booking.deliveries.exclude(state="planned").exists()
    page.get_by_role("button", name="Zurückziehen").click()
    expect(page.locator("body")).to_contain_text("2 zurückgezogen")
    assert set(booking.deliveries.filter(pk__in=[one.pk for one in chosen]).values_list("state")) == {("skipped",)}
