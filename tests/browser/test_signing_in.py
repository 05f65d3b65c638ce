"""Coming in: by name and password, in one's language, and not at all after too many tries."""

import re

from django.urls import reverse
from playwright.sync_api import expect

from tests.browser.conftest import SignIn
from tests.browser.person import Person
from tests.browser.scene import PASSWORD

INDEX, LOGIN = reverse("admin:index"), reverse("admin:login")


def fill_in(person: Person, name: str, password: str) -> None:
    person.page.fill("#id_username", name)
    person.page.fill("#id_password", password)
    person.page.locator("#login-form button[type=submit]").click()


def test_olga_signs_in_and_stands_before_the_first_page(sign_in: SignIn) -> None:
    visitor = sign_in("")
    visitor.open(LOGIN)
    visitor.looks_fine()
    fill_in(visitor, "olga", PASSWORD)
    expect(visitor.page).to_have_url(visitor.site + INDEX)
    expect(visitor.page.locator("#nav-sidebar-apps")).to_contain_text("Bookings")


def test_a_wrong_password_says_so_and_nothing_about_the_name(sign_in: SignIn) -> None:
    visitor, told = sign_in(""), []
    for name in ("vera", "nobody-of-that-name"):
        visitor.open(LOGIN)
        with visitor.page.expect_navigation(wait_until="load"):
            fill_in(visitor, name, "wrong")
        told.append(visitor.page.locator("body").inner_text().replace(name, ""))
    assert told[0] == told[1]


def test_the_language_is_changed_by_hand_and_stays(olga: Person) -> None:
    olga.open(INDEX)
    expect(olga.page.locator("html")).to_have_attribute("lang", "en")
    olga.page.locator("[name=language][value=de]").locator("xpath=..").evaluate("form => form.submit()")
    expect(olga.page.locator("html")).to_have_attribute("lang", "de")
    olga.open(reverse("admin:notifications_booking_changelist"))
    expect(olga.page.locator("#nav-sidebar-apps")).to_contain_text("Buchungen")


def test_the_dark_is_chosen_by_hand_and_stays(olga: Person) -> None:
    olga.open(INDEX)
    expect(olga.page.locator("html")).not_to_have_class(re.compile("dark"))
    olga.page.locator("#nav-sidebar-inner").get_by_text("olga", exact=True).click()
    olga.page.locator("a[role=button][x-on\\:click*=dark]").press("Enter")
    olga.open(INDEX)
    expect(olga.page.locator("html")).to_have_class(re.compile("dark"))
    olga.looks_fine()


def test_no_link_to_what_one_may_not_see(sign_in: SignIn) -> None:
    viewer = sign_in("vera")
    viewer.open(INDEX)
    expect(viewer.page.locator("#nav-sidebar-apps")).to_contain_text("Bookings")
    expect(viewer.page.locator("#nav-sidebar-apps")).not_to_contain_text("Users")
    with viewer.page.expect_console_message(lambda message: "403" in message.text):
        viewer.open(reverse("admin:auth_user_changelist"), status=403)
    viewer.complaints.clear()  # the browser's own word about the 403
