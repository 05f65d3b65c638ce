"""What somebody with a login tries: tampered previews, clicks that come twice, scripts in what is stored."""

import re
from datetime import datetime

import pytest
from django.contrib.auth.models import User
from django.core import signing
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from jobs import pauses
from jobs.admin.orders import SALT
from jobs.admin.verbs import ordering
from jobs.ids import new_id
from jobs.models import Job, Order, Queue
from notifications.models import (
    BulkChange,
    MessageTemplate,
)
from tests.factories import DAY, HOUR, MINUTE, alice, make_booking, make_job
from tests.jobs.test_scopes import client_of, person

pytestmark = pytest.mark.django_db
NOW, AHEAD = reverse("dashboard_now"), reverse("dashboard_ahead")


def listed(name: str) -> str:
    return reverse(f"admin:{name}_changelist")


# --- Previews ---


def seen(client: Client, url: str) -> str:
    return str(client.get(url).context["token"])


@pytest.fixture
def olga() -> Client:
    return client_of(person("Operator"))


def test_what_was_shown_of_some_jobs_allows_nothing_of_others(olga: Client) -> None:
    for _ in range(3):
        make_job(due=DAY, tenant="a")
    other = make_job(due=DAY, tenant="b")
    token = seen(olga, ordering("cancel", {"tenant": "a"}))
    said = {"reason": "x", "_seen": token, "minutes": "5"}
    olga.post(ordering("cancel", {"tenant": "b"}), said)
    olga.post(ordering("postpone", {"tenant": "a"}), said)
    client_of(person("Manager")).post(ordering("cancel", {"tenant": "a"}), said)
    other.refresh_from_db()
    assert not Order.objects.exists() and other.state == "scheduled"


def test_an_order_sent_twice_is_given_once(olga: Client) -> None:
    job = make_job(due=DAY)
    url = ordering("postpone", {"ids": job.pk})
    said = {"reason": "x", "minutes": "60", "_seen": seen(olga, url)}
    first, second = olga.post(url, said), olga.post(url, said)
    assert first["Location"] == second["Location"] and Order.objects.count() == 1
    assert Job.objects.get(pk=job.pk).run_at - job.run_at == HOUR


def test_an_order_from_a_page_that_was_open_for_long_keeps_its_pace(olga: Client) -> None:
    for _ in range(3):
        make_job("failed", tenant="a")
    url = ordering("retry", {"tenant": "a"})
    at, *rest = signing.loads(seen(olga, url), salt=SALT)
    Job.objects.update(created_at=timezone.now() - DAY)
    earlier = (datetime.fromisoformat(at) - HOUR / 2).isoformat()
    olga.post(url, {"reason": "x", "per_minute": "1", "_seen": signing.dumps([earlier, *rest], salt=SALT)})
    first, second, third = Job.objects.order_by("run_at").values_list("run_at", flat=True)
    assert third - second == second - first == MINUTE and third > timezone.now() + MINUTE


def test_a_change_to_many_sent_twice_is_made_once() -> None:
    make_booking(alice())
    client, url = client_of(person("Manager")), reverse("admin:notifications_bulkchange_add")
    said = {"kind": "move", "service": "Haircut", "days": "1", "reason": "x"}
    shown = client.post(url, said).context
    said |= {"_confirm": "yes", "_seen": shown["seen"]}
    assert client.post(url, said).status_code == 200, "without the page's token nothing is started"
    said |= {"_token": str(shown["token"])}
    first, second = client.post(url, said), client.post(url, said)
    assert first["Location"] == second["Location"]
    assert client.post(url, said | {"_token": str(new_id())}).status_code == 200, "the page is older than the change"
    assert BulkChange.objects.count() == 1


# --- Where one is led ---


@pytest.mark.parametrize(
    "following", ["https://evil.example/", "//evil.example", "javascript:alert(1)", "\\\\evil.example"]
)
def test_a_verb_leads_to_no_other_site(olga: Client, following: str) -> None:
    url = reverse("admin:notifications_booking_do", args=[make_booking(alice()).pk, "cancel"])
    page = olga.get(url, {"next": following}).content.decode()
    assert not re.search(r'(?:href|value)="[^"]*(?:evil|alert)', page)
    assert "evil" not in olga.post(url, {"_confirmed": "yes", "next": following})["Location"]
    assert f'href="{NOW}"' in olga.get(url, {"next": NOW}).content.decode()


# --- Scripts ---

SCRIPT = "<script>alert(1)</script><img src=x onerror=alert(1)>"


def test_nothing_that_is_stored_runs_in_a_page() -> None:
    root = client_of(User.objects.create_superuser("root"))
    customer = alice(name=SCRIPT, webhook_url="https://x.example/?<script>alert(1)")
    booking = make_booking(customer, service=SCRIPT, location=SCRIPT)
    job = make_job("failed", signature=SCRIPT, reason=SCRIPT, log=[SCRIPT], args=[SCRIPT], result={SCRIPT: SCRIPT})
    running = make_job("running", progress={"done": 1, "total": 2, "note": SCRIPT}, worker=SCRIPT, tenant=SCRIPT)
    Queue.objects.get_or_create(name="default")
    pauses.pause("queue", ["default"], by=SCRIPT, reason=SCRIPT)
    row = MessageTemplate.objects.create(
        message="upcoming", channel="email", locale="en", subject="s", text="t", html=SCRIPT
    )
    delivery = booking.deliveries.first()
    assert delivery is not None
    pages = [
        reverse("admin:index"),
        reverse("admin:jobs_job_errors"),
        *(listed(name) for name in ("jobs_job", "jobs_queue", "jobs_pause", "notifications_booking")),
        *(reverse("admin:jobs_job_change", args=[one.pk]) for one in (job, running)),
        reverse("admin:jobs_queue_change", args=["default"]),
        ordering("cancel", {"tenant": SCRIPT}),
        reverse("admin:notifications_booking_change", args=[booking.pk]),
        reverse("admin:notifications_booking_day") + f"?day={booking.wall_date}",
        reverse("admin:notifications_customer_change", args=[customer.pk]),
        reverse("admin:notifications_customer_sent", args=[customer.pk]),
        reverse("admin:notifications_delivery_change", args=[delivery.pk]),
        reverse("admin:notifications_messagetemplate_try", args=[row.pk]) + f"?booking={booking.pk}",
        reverse("admin:notifications_booking_do", args=[booking.pk, "cancel"]) + "?next=%22%3E%3Cscript%3Ealert(1)",
    ]
    for url in pages:
        page = root.get(url)
        text = page.content.decode()
        assert page.status_code == 200, url
        assert "<script>alert" not in text and "onerror=alert(1)>" not in text, url
        for frame in re.findall(r"<iframe[^>]*>", text):
            assert 'sandbox=""' in frame, url


def test_who_is_not_staff_meets_the_login() -> None:
    client = client_of(User.objects.create_user("guest", is_superuser=True, is_staff=False))
    job = make_job()
    for url in (NOW, AHEAD, reverse("admin:jobs_job_live", args=[job.pk]), ordering("cancel", {"ids": job.pk})):
        answer = client.get(url)
        assert answer.status_code == 302 and "login" in answer["Location"]
