"""Every page of the admin in a real browser: it opens, complains of nothing, and axe has nothing serious to say."""

from typing import Any

import pytest
from django.contrib import admin
from django.contrib.admin.options import ModelAdmin
from django.test import RequestFactory
from django.urls import reverse

from tests.browser.conftest import SignIn
from tests.browser.person import Person

admin.autodiscover()  # as config/urls.py does: the tables below are of all pages

MODELS = sorted(admin.site._registry, key=lambda model: model._meta.label)
NAMES = [f"{model._meta.app_label}_{model._meta.model_name}" for model in MODELS]
SOME = [
    "notifications_booking",
    "jobs_job",
    "jobs_queue",
    "notifications_reminderrule",
    "notifications_messagetemplate",
    "django_celery_beat_periodictask",
]


def pages_of(name: str) -> list[str]:
    """The list, the form for a new row, and the page of the first row."""
    model = MODELS[NAMES.index(name)]
    found = [reverse(f"admin:{name}_changelist")]
    if addable(admin.site._registry[model]):
        found.append(reverse(f"admin:{name}_add"))
    row = model._default_manager.first()
    if row is not None:
        found.append(reverse(f"admin:{name}_change", args=[row.pk]))
    return found


def addable(page: "ModelAdmin[Any]") -> bool:
    request = RequestFactory().get("/")
    request.user = type("Root", (), {"has_perm": lambda self, permission: True, "is_superuser": True})()
    return page.has_add_permission(request)


@pytest.mark.parametrize("name", NAMES)
def test_every_page_opens_without_complaint_and_can_be_used_by_all(root: Person, name: str) -> None:
    for path in pages_of(name):
        root.open(path)
        root.looks_fine()


@pytest.mark.parametrize("name", SOME)
def test_in_german_in_the_dark_and_on_a_phone(sign_in: SignIn, name: str) -> None:
    person = sign_in("root", language="de", dark=True, phone=True)
    for path in pages_of(name):
        page = person.open(path)
        assert page.locator("html").get_attribute("lang") == "de"
        assert "dark" in (page.locator("html").get_attribute("class") or "")
        person.looks_fine()


def test_the_first_page(root: Person) -> None:
    root.open(reverse("admin:index"))
    root.looks_fine()
