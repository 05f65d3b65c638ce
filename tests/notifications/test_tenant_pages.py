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
from django.utils import timezone

from jobs.models import Export, Job, JobScope, StoredFile
from notifications import bulk, consent
from notifications.models import (
    Booking,
    Breaker,
    BulkChange,
    Channel,
    Customer,
    Delivery,
    DirectMessage,
    InboxItem,
    MessageTemplate,
    OutboxMessage,
    Payment,
    ProviderEvent,
    ReminderRule,
    Report,
    ReportMail,
    RuleOverride,
    Suppression,
    Trial,
)
from tests.factories import DAY, HOUR, make_booking, make_payment
from tests.jobs.test_scopes import client_of, person

admin.autodiscover()  # as config/urls.py does: the tables below are of all pages

pytestmark = pytest.mark.django_db
ONE, TWO = "one", "two"
SECRET = "Zweitgeschäft"
DAY_VIEW, DOUBTS = "admin:notifications_booking_day", "admin:notifications_delivery_doubts"
AT = timezone.now().replace(hour=12, minute=0, second=0, microsecond=0) + 3 * DAY


def scene(tenant: str, name: str, many: int = 2) -> None:
    """Some of everything, at the same times and with the same numbers of their own system."""
    for number in range(many):
        address = f"{number}@{tenant}.example.com"
        customer = Customer.objects.create(
            tenant=tenant, name=f"{name} {number}", email=address, external_id=f"C-{number}", time_zone="Europe/Berlin"
        )
        booking = make_booking(
            customer, starts=AT, service=f"{name} cut", location=f"{name} street", external_id=f"B-{number}"
        )
        make_payment(customer, subject=f"{name} bill", external_id=f"P-{number}", booking=booking)
        consent.record(customer, "sms", True, source="form", actor=name)
        consent.suppress("email", address, Suppression.Cause.BOUNCE, name)
        now = timezone.now()
        waiting = list(booking.deliveries.order_by("send_at"))
        Delivery.objects.filter(pk=waiting[0].pk).update(state="in_doubt", doubts=1, intent_at=now, detail=name)
        Delivery.objects.filter(pk=waiting[1].pk).update(state="sent", intent_at=now, sent_at=now, send_at=now - HOUR)
        Job.objects.filter(pk=waiting[1].pk).update(state="failed", finished_at=now, signature=f"{name} failed")
        Job.objects.filter(pk=waiting[2].pk).update(run_at=now - HOUR)
        ProviderEvent.objects.create(provider=name, event_id=str(waiting[0].pk), kind="x", delivery=waiting[0])
        direct = DirectMessage.objects.create(tenant=tenant, channel="email", customer=customer, text=name, by=name)
        ProviderEvent.objects.create(provider=name, event_id=str(direct.pk), kind="bounced", direct=direct)
        InboxItem.objects.create(customer=customer, key=str(waiting[2].pk), title=name, body=name)
        OutboxMessage.objects.create(channel="sms", key=str(waiting[0].pk), to=name, text=name)
    rule = {"anchor": "booking_start", "offset": -DAY, "message": "booking_upcoming", "channels": ["inbox"]}
    own = ReminderRule.objects.create(tenant=tenant, name=f"{name} rule", **rule)
    shared = ReminderRule.objects.get(name__startswith="24 hours")
    for row in (own, shared):
        RuleOverride.objects.create(rule=row, tenant=tenant, service=f"{name} cut", offset=-2 * DAY)
    words = MessageTemplate.objects.create(
        tenant=tenant, message=f"{name}_words", channel="email", text=name, subject=name
    )
    said = {"message": name, "channel": "email", "address": f"{name}@example.com", "actor": name}
    Trial.objects.create(tenant=tenant, template=words, **said)
    message = bulk.Circular(subject=name, text=name, channels=(Channel.INBOX,), quiet_from=None, quiet_until=None)
    chosen = bulk.Selection(tenant=tenant, service=f"{name} cut")
    bulk.start(bulk.Kind.MESSAGE, chosen, message=message, reason=name, actor=name)
    Breaker.objects.create(provider=f"{name}.example.com", state="open", failures=9, opened_at=timezone.now())
    file = StoredFile.objects.create(name=f"{name}.csv", content_type="text/csv", size=1, sha256="0", tenant=tenant)
    wanted: dict[str, Any] = {"source": "bookings", "format": "csv", "columns": ["id"], "filters": {"location": name}}
    Export.objects.create(**wanted, by=name, rows=1, file=file)
    told = {"kind": "day", "first_day": "2025-11-05", "zone": "UTC", "language": "en", "by": name, "job_id": file.pk}
    reader = User.objects.create_user(f"reader of {name}", is_staff=True)
    report = Report.objects.create(tenant=tenant, **told)
    ReportMail.objects.create(report=report, user=reader, state="in_doubt", detail=name)


@pytest.fixture
def olga() -> Client:
    """She manages tenant one, and may see names."""
    return limited("Manager", [ONE])


def limited(role: str, tenants: list[str]) -> Client:
    user = person(role)
    JobScope.objects.create(user=user, tenants=tenants)
    return client_of(user)


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


def test_every_page_is_the_same_with_and_without_another_tenant(olga: Client) -> None:
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


def test_the_figures_of_the_dashboard_are_those_of_ones_tenant(olga: Client) -> None:
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


# --- What one makes ---


def booking_form(whose: int, **fields: Any) -> dict[str, Any]:
    said = {
        "customer": whose,
        "service": "Cut",
        "location": "",
        "time_zone": "UTC",
        "external_id": "",
        "minutes": 60,
    }
    return said | {"wall_0": f"{AT:%Y-%m-%d}", "wall_1": "10:00"} | fields


def test_nobody_books_for_another_tenants_customer(olga: Client) -> None:
    theirs = Customer.objects.create(tenant=TWO, name=SECRET, email="z@example.com")
    answer = olga.post(reverse("admin:notifications_booking_add"), booking_form(theirs.pk))
    assert answer.status_code == 200 and not Booking.objects.exists()
    url = reverse("admin:notifications_booking_add")
    errors = [olga.post(url, booking_form(pk)).context["errors"] for pk in (theirs.pk, 999_999)]
    assert errors[0] == errors[1], "as if there were no such customer"


def test_a_booking_keeps_its_tenant_for_who_sees_all() -> None:
    ours, theirs = (Customer.objects.create(tenant=t, name=t, email=f"{t}@example.com") for t in (ONE, TWO))
    boss = client_of(person("Manager"))
    booking = make_booking(ours)
    url = reverse("admin:notifications_booking_change", args=[booking.pk])
    answer = boss.post(url, booking_form(theirs.pk))
    assert "belongs to another tenant" in answer.content.decode()
    booking.refresh_from_db()
    assert booking.customer_id == ours.pk


CUSTOMER = {"name": "New", "email": "new@example.com", "locale": "en", "time_zone": "UTC"} | {
    f"{prefix}-{what}_FORMS": "0" for prefix in ("consents", "consent_events") for what in ("TOTAL", "INITIAL")
}


@pytest.mark.parametrize(
    ("tenants", "on", "said", "made"),
    [
        ([ONE], False, None, ONE),
        ([ONE], False, TWO, ONE),
        ([ONE, TWO], False, TWO, TWO),
        ([ONE, TWO], False, "three", None),
        ([ONE, TWO], False, None, None),
        ([], False, "three", ""),
        ([], True, "three", "three"),
        ([], True, "", ""),
    ],
)
def test_a_new_customer_is_of_the_tenant_of_who_makes_it(
    settings: Any, tenants: list[str], on: bool, said: str | None, made: str | None
) -> None:
    settings.TENANTS = on
    client = limited("Manager", tenants)
    url = reverse("admin:notifications_customer_add")
    asked = 'name="tenant"' in client.get(url).content.decode()
    assert asked is (len(tenants) > 1 or on)
    client.post(url, CUSTOMER | ({} if said is None else {"tenant": said}))
    assert list(Customer.objects.values_list("tenant", flat=True)) == ([] if made is None else [made])


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


def test_two_customers_of_a_tenant_have_not_the_same_id_and_it_is_said(olga: Client) -> None:
    Customer.objects.create(tenant=ONE, name="x", external_id="C-1")
    Customer.objects.create(tenant=TWO, name="x", external_id="C-2")
    url = reverse("admin:notifications_customer_add")
    again = olga.post(url, CUSTOMER | {"external_id": "C-1"})
    assert "There is one with this external id already." in again.content.decode()
    assert olga.post(url, CUSTOMER | {"external_id": "C-2"}).status_code == 302


def test_a_new_rule_is_of_the_tenant_of_who_makes_it_and_plans_nothing_for_others(olga: Client) -> None:
    ones, twos = (make_booking(Customer.objects.create(tenant=t, name=t, email=f"{t}@example.com")) for t in (ONE, TWO))
    said = {"name": "Mine", "active": "on", "message": "booking_upcoming", "level": 0, "channels_0": "email"}
    said |= {"anchor": "booking_start", "offset_0": "5", "offset_1": "hours", "offset_2": "before", "quiet": "later"}
    said |= {"repeat_times": 0, "overrides-TOTAL_FORMS": 0, "overrides-INITIAL_FORMS": 0, "tenant": TWO}
    url = reverse("admin:notifications_reminderrule_add")
    page = olga.post(url, said)
    assert page.status_code == 200 and page.context["preview"].looked_at == 1, page.context.get("errors")
    olga.post(url, said | {"_seen": page.context["preview"].fingerprint})
    rule = ReminderRule.objects.get(name="Mine")
    assert rule.tenant == ONE and Job.objects.get(task="notifications.apply_rule").tenant == ONE
    assert ones.tenant != twos.tenant


# --- Many at once ---


def sure(page: Any) -> dict[str, Any]:
    """What the page of a preview posts."""
    return {"_seen": page.context["seen"], "_token": page.context["token"], "_confirm": "yes"}


def test_a_change_to_many_is_made_of_ones_own_bookings_whatever_is_posted(olga: Client) -> None:
    for tenant in (ONE, TWO):
        make_booking(Customer.objects.create(tenant=tenant, name=tenant), location="Clinic")
    said = {"kind": "cancel", "location": "Clinic", "reason": "pipe", "tenant": TWO}
    page = olga.post(reverse("admin:notifications_bulkchange_add"), said)
    assert page.context["preview"].bookings == 1
    olga.post(reverse("admin:notifications_bulkchange_add"), said | sure(page))
    assert BulkChange.objects.get().tenant == ONE


def test_who_has_several_tenants_changes_the_bookings_of_one_at_a_time() -> None:
    chosen = [make_booking(Customer.objects.create(tenant=tenant, name=tenant)) for tenant in (ONE, TWO)]
    client, url = limited("Manager", [ONE, TWO]), reverse("admin:notifications_booking_changelist")
    said: dict[str, Any] = {"action": "cancel_many", "_selected_action": [str(one.pk) for one in chosen]}
    refused = client.post(url, said, follow=True)
    assert "several tenants" in refused.content.decode()
    taken = client.post(url, said | {"_selected_action": [str(chosen[1].pk)]})
    assert "bulkchange/add" in taken["Location"]
    assert client.get(taken["Location"]).context["form"]["tenant"].value() == TWO


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
