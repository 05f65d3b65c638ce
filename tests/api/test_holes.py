"""What a key could learn or do by detours, each closed: a search, a unique key, a right that it lacks, a race."""

from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import IntegrityError, connection, transaction
from django.test import RequestFactory

from jobs.api import problems
from jobs.files import Export
from jobs.models import Job, KeyLimit, Order, Queue
from tests.api.callers import Make
from tests.api.product import shop
from tests.factories import make_job

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("guess", ["alice@example.com", "Alice Ähre", "crm-1"])
def test_a_search_among_jobs_does_not_tell_who_may_not_see_customers_whether_a_guess_is_right(
    caller: Make, guess: str
) -> None:
    scene = shop()
    delivery = scene.booking.deliveries.order_by("pk")[0]
    blind = caller(scopes=["jobs:read", "jobs:cancel", "bookings:read"])
    knows = caller(scopes=["jobs:read", "customers:reveal"])
    job = Job.objects.filter(pk=delivery.pk).first() or make_job(pk=delivery.pk)
    assert str(job.pk) in [one["id"] for one in knows.get(f"/jobs?search={guess}").data["items"]]
    assert blind.get(f"/jobs?search={guess}").data["items"] == []
    order = {"verb": "cancel", "which": {"search": guess}, "reason": "x"}
    assert blind.post("/jobs/orders", order | {"dry_run": True}).data["total"] == 0
    told = blind.post("/jobs/orders", order).data
    assert (told["total"], told["which"]) == (0, {"search": "•••"})
    assert Order.objects.get().filters["plainly"] is True
    for which in ({}, {"search": " "}):  # all jobs, by mistake
        assert blind.post("/jobs/orders", {"verb": "cancel", "which": which, "reason": "x"}).status_code == 422


def test_a_search_by_what_is_no_secret_is_for_all(caller: Make) -> None:
    job = make_job(unique_key="k-7")
    assert [one["id"] for one in caller(scopes=["jobs:read"]).get("/jobs?search=k-7").data["items"]] == [str(job.pk)]


@pytest.mark.parametrize("said", [{"unique_key": "{}"}, {"options": {"jobId": "{}"}}], ids=str)
def test_nobody_takes_the_unique_key_of_a_schedules_run(caller: Make, said: dict[str, Any]) -> None:
    key = "nightly report@2027-01-31T09:00:00+00:00"
    said = {"unique_key": key} if "unique_key" in said else {"options": {"jobId": key}}
    for path, body in (("/jobs", {"task": "probe.ok"} | said), ("/jobs/bulk", {"jobs": [{"task": "probe.ok"} | said]})):
        assert "runs of schedules" in caller(tenants=["a"]).post(path, body).content.decode()
    assert not Job.objects.exists()


@pytest.mark.parametrize(
    ("method", "path", "body", "lacks"),
    [
        ("post", "schedules", {"name": "n", "task": "probe.ok", "every": 60}, "django_celery_beat.add_periodictask"),
        ("delete", "schedules/1", None, "django_celery_beat.delete_periodictask"),
        ("put", "limits/keys/venue:1", {"limit": 1}, "jobs.add_keylimit"),
        ("delete", "limits/keys/venue:*", None, "jobs.delete_keylimit"),
        ("put", "limits/tasks/probe.ok", {"rate": "1/m"}, "jobs.change_taskrate"),
        ("delete", "limits/tasks/probe.ok", None, "jobs.change_taskrate"),
    ],
)
def test_a_key_does_not_what_its_maker_may_not_in_the_admin(
    caller: Make, method: str, path: str, body: Any, lacks: str
) -> None:
    KeyLimit.objects.create(key="venue:*", limit=2)
    olga = User.objects.create_user("olga", is_staff=True)
    app, _dot, codename = lacks.partition(".")
    olga.user_permissions.set(Permission.objects.exclude(content_type__app_label=app, codename=codename))
    response = caller(by=olga).ask(method, path, body)
    assert (response.status_code, lacks in response.data["detail"]) == (403, True)
    assert KeyLimit.objects.get().limit == 2


def test_an_export_is_given_to_nobody_who_lost_the_right_to_its_rows(caller: Make, worker: Any) -> None:
    olga = User.objects.create_user("olga", is_staff=True)
    olga.user_permissions.set(Permission.objects.all())
    asks = caller(by=olga)
    asked = asks.post("/exports", {"source": "bookings"}).data
    worker.run_due()
    olga.user_permissions.remove(Permission.objects.get(codename="view_booking"))
    assert Export.objects.get().finished_at is not None
    assert asks.get(f"/exports/{asked['id']}/content").status_code == 403


@pytest.mark.parametrize("broken", ["unique", "primary key", "check", "empty"])
def test_only_what_a_race_can_break_is_a_conflict_the_rest_is_our_mistake(broken: str) -> None:
    make_job(unique_key="k")
    KeyLimit.objects.create(key="k")
    with pytest.raises(IntegrityError) as caught, transaction.atomic(), connection.cursor() as cursor:
        if broken == "unique":
            make_job(unique_key="k")
        elif broken == "primary key":
            KeyLimit.objects.create(key="k")
        elif broken == "check":
            make_job(state="running", lease_until=None)
        else:
            cursor.execute("UPDATE jobs_queue SET name = NULL") if Queue.objects.exists() else make_job(task=None)
    answer = problems._taken(RequestFactory().post("/api/v1/jobs"), caught.value)
    assert answer.status_code == (409 if broken in ("unique", "primary key") else 500)
