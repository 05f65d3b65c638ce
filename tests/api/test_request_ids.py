"""From a request to its jobs, by the log: the request has a name, and a line that names what it has made."""

import json
from datetime import timedelta
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from gunicorn.config import Config  # type: ignore[import-untyped]
from gunicorn.glogging import Logger, SafeAtoms  # type: ignore[import-untyped]

from config.lines import Json
from jobs import subject
from jobs.models import Job
from notifications.models import Booking
from tests.api.callers import program
from tests.api.product import ALL, in_days, known_customer
from tests.installation import ROOT
from tests.jobs.races import TRANSACTIONAL
from tests.notifications.test_admin import booking_form

pytestmark = TRANSACTIONAL  # what is made is known when it is committed
ENQUEUE = ("jobs:enqueue",)


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Any:
    """The lines about requests that have made jobs, as objects."""
    caplog.set_level("INFO")
    caplog.handler.setFormatter(Json())

    def read() -> list[dict[str, Any]]:
        every = [json.loads(line) for line in caplog.text.splitlines() if line.startswith("{")]
        return [line for line in every if line["logger"] == "config.request_ids"]

    return read


def test_a_request_leads_to_its_job_and_the_job_to_its_lines(lines: Any, worker: Any, caplog: Any) -> None:
    answer = program(*ENQUEUE).post("jobs", {"task": "probe.ok"}, X_Request_ID="from-the-proxy.1")
    assert answer["X-Request-ID"] == "from-the-proxy.1"
    (line,) = lines()
    assert line["request"] == "from-the-proxy.1"
    assert line["message"] == (
        f"request=from-the-proxy.1 method=POST route=api/v1/jobs status=201 jobs=1 ids={answer.data['id']}"
    )
    caplog.clear()
    worker.run_due()
    told = [json.loads(line) for line in caplog.text.splitlines() if line.startswith("{")]
    assert answer.data["id"] in [one.get("job") for one in told]


def test_of_a_booking_made_by_a_program_it_names_the_deliveries(lines: Any) -> None:
    body = {"customer": known_customer().pk, "service": "Haircut", "starts_at": in_days(3).isoformat()}
    answer = program(*ALL).post("bookings", body | {"duration": 3600, "time_zone": "Europe/Berlin"})
    assert answer.status_code == 201, answer.content
    (line,) = lines()
    ids = set(line["message"].rpartition("ids=")[2].split(","))
    assert ids == {
        str(pk) for pk in Booking.objects.get().deliveries.filter(state="planned").values_list("pk", flat=True)
    }
    assert UUID(answer["X-Request-ID"]) and line["request"] == answer["X-Request-ID"]


def test_of_one_made_by_a_person_too(lines: Any, client: Client) -> None:
    client.force_login(User.objects.create_superuser("olga"))
    answer = client.post(reverse("admin:notifications_booking_add"), booking_form(customer=known_customer().pk))
    assert answer.status_code == 302, answer.content
    (line,) = lines()
    assert "method=POST route=admin/notifications/booking/add/ status=302 jobs=3" in line["message"]


@pytest.mark.parametrize("keyed", [True, False], ids=["keys", "no keys"])
def test_of_many_the_first_are_named_and_all_counted(lines: Any, keyed: bool) -> None:
    calls = [{"task": "probe.ok"} | ({"unique_key": f"k{n}"} if keyed else {}) for n in range(25)]
    answer = program(*ENQUEUE).post("jobs/bulk", {"jobs": calls})
    (line,) = lines()
    ids = [one["id"] for one in answer.data["results"]]
    assert line["message"].endswith(f" jobs=25 ids={','.join(ids[: subject.FIRST])}")


def test_a_job_that_was_there_under_its_key_is_the_one_that_is_named(lines: Any) -> None:
    caller = program(*ENQUEUE)
    answers = [caller.post("jobs", {"task": "probe.ok", "unique_key": "once"}) for _ in range(2)]
    first = answers[0].data["id"]
    assert [line["message"].endswith(f"jobs=1 ids={first}") for line in lines()] == [True, True]


def test_what_was_undone_and_what_made_nothing_is_not_told(lines: Any) -> None:
    caller = program(*ENQUEUE, "jobs:read")
    calls = [{"task": "probe.ok"}, {"task": "nothing"}]
    assert caller.post("jobs/bulk", {"jobs": calls, "all_or_none": True}).status_code >= 400
    assert caller.get("jobs").status_code == 200
    assert lines() == [] and not Job.objects.exists()


@pytest.mark.parametrize("said", ["", "a b", "alice@example.com", "x" * 65, "ü", "a\tb"])
def test_a_name_that_is_no_plain_word_is_not_taken_over(client: Client, said: str) -> None:
    answer = client.get("/health/live", headers={"X-Request-ID": said.encode().decode("latin-1")})
    assert UUID(answer["X-Request-ID"])


def test_one_request_is_not_told_of_the_jobs_of_another(lines: Any) -> None:
    caller = program(*ENQUEUE)
    ids = [caller.post("jobs", {"task": "probe.ok"}).data["id"] for _ in range(2)]
    assert [line["message"].rpartition("ids=")[2] for line in lines()] == ids
    assert subject.fields() is None


def test_the_line_of_the_access_log_ends_with_it(client: Client) -> None:
    said: dict[str, Any] = {}
    exec((ROOT / "gunicorn.conf.py").read_text(), said)
    answer: Any = client.get("/health/live", headers={"X-Request-ID": "of-the-proxy"})
    told = SimpleNamespace(status="200 OK", sent=5, headers=list(answer.items()))
    asked = answer.wsgi_request.environ | {"RAW_URI": "/health/live"}
    atoms = Logger(Config()).atoms(told, SimpleNamespace(headers=[]), asked, timedelta(seconds=1))
    assert (said["access_log_format"] % SafeAtoms(atoms)).endswith(" request=of-the-proxy")
