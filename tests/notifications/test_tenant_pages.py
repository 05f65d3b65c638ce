"""What somebody sees who has one tenant of two: exactly what they would see if there were no other."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from jobs.models import Job, JobScope
from notifications import consent
from notifications.models import (
    Customer,
    MessageTemplate,
    Payment,
    ReminderRule,
    ReportMail,
    Suppression,
)
from tests.factories import DAY
from tests.jobs.test_scopes import client_of, person
from tests.notifications.two_tenants import AT, DAY_VIEW, DOUBTS, ONE, SECRET, TWO, olga as olga, scene
from tests.virtual import noon as noon

pytestmark = pytest.mark.django_db


def addresses() -> Iterator[str]:
    """Every page of the product and of jobs that she has: lists, searches, filters, forms, and each of her rows."""
    for model, page in admin.site._registry.items():
        name = f"{model._meta.app_label}_{model._meta.model_name}"
        if model._meta.app_label not in ("notifications", "jobs") or model is Job:
            continue
        listed = reverse(f"admin:{name}_changelist")
        yield listed
        if page.search_fields:
            yield from (f"{listed}?q=cut", f"{listed}?q=0%40two.example.com", f"{listed}?q={SECRET}")
        yield reverse(f"admin:{name}_add")
        if hasattr(model, "tenant"):
            yield f"{listed}?tenant={TWO}"
            for pk in model._default_manager.filter(tenant=ONE).values_list("pk", flat=True):
                yield reverse(f"admin:{name}_change", args=[pk])
    jobs = reverse("admin:jobs_job_changelist")
    yield from (jobs, f"{jobs}?q=B-1", f"{jobs}?q=C-1", f"{jobs}?tenant={TWO}", reverse("admin:jobs_job_errors"))
    yield from (
        reverse(DOUBTS),
        f"{reverse(DAY_VIEW)}?day={AT:%Y-%m-%d}",
        f"{reverse(DAY_VIEW)}?day={AT + DAY:%Y-%m-%d}",
    )
    shared = ReminderRule.objects.get(name__startswith="24 hours")
    yield reverse("admin:notifications_reminderrule_change", args=[shared.pk])
    for mail in ReportMail.objects.filter(report__tenant=ONE):
        yield reverse("admin:notifications_reportmail_change", args=[mail.pk])
    for customer in Customer.objects.filter(tenant=ONE):
        yield reverse("admin:notifications_customer_sent", args=[customer.pk])
    for words in MessageTemplate.objects.filter(tenant=ONE):
        yield reverse("admin:notifications_messagetemplate_try", args=[words.pk])
    for field, model_name in (("customer", "booking"), ("booking", "payment"), ("customer", "ruleoverride")):
        asked = f"app_label=notifications&model_name={model_name}&field_name={field}"
        yield from (f"{reverse('admin:autocomplete')}?{asked}", f"{reverse('admin:autocomplete')}?{asked}&term=0")


def shown(client: Client, url: str) -> str:
    """What the page says, without what differs each time it is asked for."""
    answer = client.get(url)
    text = answer.content.decode()
    for noise in (
        r'name="csrfmiddlewaretoken" value="[^"]*"',
        r'nonce="[^"]*"',
        r"\b\d+:\d\d:\d\d\b",  # lateness
        r'value="\d\d:\d\d:\d\d"',
        r"\d{1,2}(:\d\d)? [ap]\.m\." if url.endswith("/add/") else r"^$",  # now
    ):
        text = re.sub(noise, "", text)
    return f"{answer.status_code} {text}"


def test_every_page_is_the_same_with_and_without_another_tenant(noon: Any, olga: Client) -> None:
    """No minute, hour or day ends between the two looks: pages tell of times."""
    scene(ONE, "Erstgeschäft")
    urls = list(addresses())
    before = {url: shown(olga, url) for url in urls}
    scene(TWO, SECRET, many=5)
    after = {url: shown(olga, url) for url in urls}
    assert len(urls) > 60
    assert [url for url in urls if before[url] != after[url]] == []
    asked_for = re.compile(rf"[?&](q|term)={SECRET}")
    assert [url for url, text in after.items() if SECRET in text and not asked_for.search(url)] == []
    assert sum(text.startswith("200") for text in after.values()) > 60


def test_somebody_who_sees_all_meets_both(client: Client) -> None:
    """The test above looks at pages on which there is something to see."""
    scene(ONE, "Erstgeschäft")
    scene(TWO, SECRET)
    boss = client_of(person("Manager"))
    names = (
        "booking",
        "payment",
        "customer",
        "delivery",
        "inboxitem",
        "bulkchange",
        "consentevent",
        "trial",
        "reportmail",
    )
    telling = [reverse(f"admin:notifications_{name}_changelist") for name in names]
    telling += [reverse("admin:jobs_storedfile_changelist"), reverse("admin:jobs_export_changelist")]
    telling += [reverse(DOUBTS), f"{reverse(DAY_VIEW)}?day={AT:%Y-%m-%d}"]
    assert [url for url in telling if SECRET not in shown(boss, url)] == []
    assert set(telling) <= set(addresses())


def test_the_figures_of_the_dashboard_are_those_of_ones_tenant(noon: Any, olga: Client) -> None:
    def figures() -> dict[str, Any]:
        now = olga.get(reverse("dashboard_now")).context["now"]
        ahead = olga.get(reverse("dashboard_ahead")).context["ahead"]
        told = {one.name: one.value for one in (*now["figures"], *ahead["figures"])}
        tables = {table.title: table.rows for table in now["tables"] if table.title == "Messages of today"}
        return told | tables | {"chart": ahead["chart"]}

    scene(ONE, "Erstgeschäft")
    before = figures()
    scene(TWO, SECRET, many=5)
    after = figures()
    for told in (before, after):
        del told["Beat"], told["Clock"]  # ages
    assert before == after and before["In doubt"] == "2" and before["Failed jobs"] == "2"
    assert not {"Providers", "Capacity", "Processes needed"} & after.keys()


def test_who_has_no_tenants_is_not_told_of_any() -> None:
    scene("", "Geschäft")
    boss = client_of(person("Manager"))
    for model in ("customer", "booking", "payment", "reminderrule", "messagetemplate", "delivery", "bulkchange"):
        row = apps.get_model("notifications", model)._default_manager.filter(tenant="").order_by("-pk")[0]
        if model == "reminderrule":
            row = ReminderRule.objects.filter(bulk=None)[0]
        for url in (
            reverse(f"admin:notifications_{model}_changelist"),
            reverse(f"admin:notifications_{model}_change", args=[row.pk]),
        ):
            assert "enant" not in boss.get(url).content.decode(), url


# --- What is of all ---


@pytest.mark.parametrize("page", ["outboxmessage_changelist", "breaker_changelist", "suppression_add"])
def test_what_is_of_the_whole_installation_is_not_for_those_who_have_a_tenant(olga: Client, page: str) -> None:
    assert olga.get(reverse(f"admin:notifications_{page}")).status_code == 403
    assert (
        client_of(User.objects.create_superuser("boss")).get(reverse(f"admin:notifications_{page}")).status_code == 200
    )


def test_the_address_that_two_tenants_share_is_seen_by_both_and_lifted_by_neither(olga: Client) -> None:
    for tenant in (ONE, TWO):
        Customer.objects.create(tenant=tenant, name=tenant, email="Both@example.com")
    consent.suppress("email", "both@example.com", Suppression.Cause.BOUNCE)
    consent.suppress("email", "other@example.com", Suppression.Cause.BOUNCE)
    url = reverse("admin:notifications_suppression_changelist")
    text = olga.get(url).content.decode()
    assert "both@example.com" in text and "other@example.com" not in text
    row = Suppression.objects.get(address="both@example.com")
    olga.post(url, {"action": "delete_selected", "_selected_action": [str(row.pk)], "post": "yes"})
    assert Suppression.objects.count() == 2


def test_a_limit_of_queues_says_nothing_of_customers() -> None:
    scene(TWO, SECRET)
    user = person("Manager")
    JobScope.objects.create(user=user, queues=["default"])
    assert SECRET in client_of(user).get(reverse("admin:notifications_customer_changelist")).content.decode()


def test_with_several_limits_one_sees_what_any_of_them_shows() -> None:
    scene(ONE, "Erstgeschäft")
    scene(TWO, SECRET)
    scene("three", "Drittgeschäft")
    user = person("Manager")
    JobScope.objects.create(user=user, tenants=[ONE])
    JobScope.objects.create(user=user, tenants=[TWO], queues=["messages"])
    text = client_of(user).get(reverse("admin:notifications_payment_changelist")).content.decode()
    assert SECRET in text and "Erstgeschäft" in text and "Drittgeschäft" not in text
    assert Payment.objects.count() == 6
