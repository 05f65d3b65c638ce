"""Every page of the admin with an address that nobody was given: an answer that says what to do, never a 500."""

from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from tests.browser import scene

admin.autodiscover()  # as config/urls.py does: the table below is of all pages
MODELS = sorted(admin.site._registry, key=lambda model: model._meta.label)
NAMES = [f"{model._meta.app_label}_{model._meta.model_name}" for model in MODELS]
# Pages with filters, keys and verbs of each sort; more than a hundred requests for every other are a wide table.
SHARP = {"auth_user", "jobs_job", "jobs_queue", "notifications_booking", "notifications_delivery"}
EACH = [pytest.param(name, marks=[] if name in SHARP else pytest.mark.wide) for name in NAMES]
HUGE = "9" * 40
QUERIES = [
    *(
        "p=x",
        "p=-1",
        f"p={HUGE}",
        "all=",
        "e=1",
        "o=x",
        f"o={HUGE}",
        "_popup=1&_to_field=x",
        "id__exact=x",
        "pk__in=1,x",
    ),
    *("after=x", "before=x", "ids=x", "run_at_from_0=2026-13-45", "run_at_to_0=9999-12-31&run_at_to_1=23:59"),
    *("q=%00", "q=%22", f"q={'x' * 3000}", "tag=%00", "queue=%00", "state__exact=nonsense", "status__exact=nonsense"),
    *("status=%00", "wall_date=0000-00-00", "rule__id__exact=x", f"rule__id__exact={HUGE}", "due_on__gte=x"),
    *("is_active__exact=x", "personal__exact=zz", "selection=x", "source=zz", "verb=cancel&q=%00", "day=%00"),
]
KEYS = ["x", "0", "-1", HUGE, "%00", "_00", "00000000-0000-0000-0000-000000000000"]
PAGES = ["", "add/"]
OF_ONE = ["change/", "history/", "delete/", "live/", "do/cancel/", "do/zz/", "call-off/", "scale/", "sent/", "try/"]

pytestmark = pytest.mark.django_db


@pytest.fixture
def root(client: Client) -> Client:
    scene.set_up()
    client.force_login(User.objects.get(username="root"))
    client.raise_request_exception = False
    return client


def broken(client: Client, addresses: list[str]) -> list[tuple[str, Any]]:
    answers = ((address, client.get(address)) for address in addresses)
    return [(address, getattr(answer, "exc_info", None)) for address, answer in answers if answer.status_code >= 500]


@pytest.mark.parametrize("name", EACH)
def test_no_address_breaks_a_page(root: Client, name: str) -> None:
    listed = reverse(f"admin:{name}_changelist")
    asked = [f"{listed}{page}?{query}" for page in PAGES for query in QUERIES]
    asked += [f"{listed}{key}/{page}" for key in KEYS for page in OF_ONE]
    assert not broken(root, asked)


@pytest.mark.parametrize("path", ["/admin/", "/admin/jobs/job/errors/", "/admin/notifications/booking/day/"])
def test_nor_one_that_is_no_list(root: Client, path: str) -> None:
    assert not broken(root, [f"{path}?{query}" for query in QUERIES])


@pytest.mark.parametrize(
    ("path", "status", "told"),
    [
        ("/admin/jobs/order/add/?verb=zz", 404, "has been deleted"),
        ("/admin/auth/user/?q=%00", 400, "characters that no address"),
        ("/admin/jobs/job/%00/change/", 400, "characters that no address"),
    ],
    ids=["nowhere", "NUL in the query", "NUL in the path"],
)
def test_what_is_wrong_is_said_and_leads_back(root: Client, path: str, status: int, told: str) -> None:
    answer = root.get(path)
    page = answer.content.decode()
    assert answer.status_code == status
    assert told in page and f'href="{reverse("admin:index")}"' in page


def test_who_may_not_is_told_whom_to_ask(root: Client) -> None:
    root.force_login(User.objects.get(username="vera"))
    answer = root.post(reverse("admin:jobs_queue_scale", args=["default"]), {"step": "grow", "reason": "x"})
    assert answer.status_code == 403
    assert "somebody who manages users" in answer.content.decode()


def test_a_page_of_another_login_is_told_to_be_reloaded() -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(User.objects.create_superuser("root"))
    answer = client.post(reverse("admin:password_change"), {"csrfmiddlewaretoken": "old"})
    assert answer.status_code == 403 and "reload the page" in answer.content.decode()


def test_an_accident_has_a_page_in_the_readers_language(root: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("notifications.admin.days.day_of", lambda _: 1 / 0)
    answer = root.get(reverse("admin:notifications_booking_day"), headers={"accept-language": "de"})
    assert answer.status_code == 500 and "Protokoll des Servers" in answer.content.decode()
