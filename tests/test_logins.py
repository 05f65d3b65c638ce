"""Too many wrong passwords: that name from that address waits, and nobody learns which names there are."""

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client, RequestFactory
from django.urls import reverse

from config import logins

pytestmark = pytest.mark.django_db
LOGIN = reverse("admin:login")


def attempt(name: str, password: str = "wrong", address: str = "192.0.2.1"):
    return Client(REMOTE_ADDR=address).post(LOGIN, {"username": name, "password": password})


@pytest.fixture
def olga() -> User:
    return User.objects.create_superuser("olga", password="right")


def test_after_too_many_attempts_the_right_password_is_refused_as_well(olga: User) -> None:
    assert [attempt("olga").status_code for _ in range(settings.AXES_FAILURE_LIMIT - 1)] == [200] * 4
    assert attempt("olga").status_code == 429
    refused = attempt("olga", "right")
    assert refused.status_code == 429
    assert "wait 15 minutes" in refused.content.decode()


def test_another_address_and_another_name_are_not_kept_out(olga: User) -> None:
    User.objects.create_superuser("maria", password="right")
    for _ in range(settings.AXES_FAILURE_LIMIT):
        attempt("olga")
    assert attempt("olga", "right", address="192.0.2.2").status_code == 302
    assert attempt("maria", "right").status_code == 302


def test_an_address_that_tries_many_names_waits_too_and_others_do_not(olga: User, settings) -> None:
    settings.LOGIN_ATTEMPTS_OF_ADDRESS = 8
    codes = [attempt(f"name{n}").status_code for n in range(9)]
    assert codes[:7] == [200] * 7 and codes[8] == 429
    assert attempt("olga", "right").status_code == 429
    assert attempt("olga", "right", address="192.0.2.2").status_code == 302


def test_a_name_that_nobody_has_is_treated_as_any_other(olga: User) -> None:
    for _ in range(settings.AXES_FAILURE_LIMIT + 1):
        known, unknown = attempt("olga"), attempt("nobody")
        assert known.status_code == unknown.status_code
        assert ("Too many attempts" in known.content.decode()) == ("Too many attempts" in unknown.content.decode())


def test_a_right_password_ends_the_count(olga: User) -> None:
    for _ in range(2):
        for _ in range(settings.AXES_FAILURE_LIMIT - 1):
            assert attempt("olga").status_code == 200
        assert attempt("olga", "right").status_code == 302


@pytest.mark.parametrize(("proxy", "address"), [(False, "192.0.2.1"), (True, "203.0.113.9")])
def test_behind_a_proxy_the_last_forwarded_address_counts_and_otherwise_none(monkeypatch, proxy, address) -> None:
    monkeypatch.setattr(logins, "_BEHIND_PROXY", proxy)
    request = RequestFactory().get("/", REMOTE_ADDR="192.0.2.1", HTTP_X_FORWARDED_FOR="10.0.0.1, 203.0.113.9")
    assert logins.client_address(request) == address


def test_one_who_has_many_addresses_of_ipv6_waits_all_the_same(olga: User) -> None:
    for n in range(settings.AXES_FAILURE_LIMIT):
        attempt("olga", address=f"2001:db8:1:2:{n}::{n}")
    assert attempt("olga", "right", address="2001:db8:1:2:ffff::1").status_code == 429
    assert attempt("olga", "right", address="2001:db8:1:3::1").status_code == 302


def test_names_tried_from_all_over_a_network_of_ipv6_are_counted_together(olga: User, settings) -> None:
    settings.LOGIN_ATTEMPTS_OF_ADDRESS = 8
    for n in range(8):
        attempt(f"name{n}", address=f"2001:db8:1:2::{n}")
    assert attempt("olga", "right", address="2001:db8:1:2::ffff").status_code == 429


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("::FFFF:c000:0201", "192.0.2.1"),
        ("2001:DB8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("2001:db8:1:2::", "2001:db8:1:2::"),
        ("fe80::1%eth0", "fe80::"),
        ("::1", "::"),
        ("", ""),
        ("unix:", "unix:"),
    ],
)
def test_what_counts_of_an_address(address: str, counted: str) -> None:
    assert logins.client_address(RequestFactory().get("/", REMOTE_ADDR=address)) == counted
