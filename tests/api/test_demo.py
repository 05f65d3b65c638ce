"""/demo, with DEBUG: a sign-up that welcomes once, and what becomes of errors of each kind."""

import smtplib
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core import mail
from django.core.mail.backends.locmem import EmailBackend
from django.utils import timezone

from jobs.models import Attempt, Job
from tests.api.callers import Make
from tests.conftest import InProcessWorker
from tests.factories import MINUTE

pytestmark = pytest.mark.django_db
ALICE = {"user": "123", "email": "alice@example.com"}


@pytest.fixture
def debug(settings: Any) -> None:
    settings.DEBUG = True


class Refusing(EmailBackend):
    """A mail server that answers as it is told."""

    answers: list[Any] = []

    def send_messages(self, messages: Any) -> int:
        error = self.answers.pop(0) if self.answers else None
        if error is not None:
            raise error
        sent: int = super().send_messages(messages)
        return sent


@pytest.fixture
def answers(settings: Any, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    settings.EMAIL_BACKEND = "tests.api.test_demo.Refusing"
    monkeypatch.setattr(Refusing, "answers", [])
    return Refusing.answers


def test_a_sign_up_welcomes_once_however_often_it_is_sent(debug: None, caller: Make, worker: InProcessWorker) -> None:
    asks = caller()
    first = asks.post("/demo/signup", ALICE)
    assert first.status_code == 201 and first.data["unique_key"] == "welcome-123"
    again = asks.post("/demo/signup", ALICE)
    assert (again.status_code, again.data["id"]) == (200, first.data["id"])
    worker.run_due()
    assert asks.post("/demo/signup", ALICE).data["state"] == "succeeded"
    worker.run_due()
    (message,) = mail.outbox
    assert message.to == ["alice@example.com"]
    assert message.extra_headers["Message-ID"] == f"<{first.data['id']}@welcome>"
    assert "alice" not in str(Job.objects.values_list("args", "kwargs", "options").get())


def test_whose_account_cannot_be_made_gets_no_job(debug: None, caller: Make) -> None:
    asks = caller()
    asks.post("/demo/signup", ALICE)
    assert asks.post("/demo/signup", {**ALICE, "email": "bob@example.com"}).status_code == 409
    assert asks.post("/demo/signup", {"user": "x", "email": "nonsense"}).status_code == 422
    assert asks.post("/demo/signup", {"user": "a b", "email": "a@example.com"}).status_code == 422
    assert (User.objects.count(), Job.objects.count()) == (1, 1)


@pytest.mark.parametrize(
    ("error", "state", "reason"),
    [
        (ConnectionRefusedError("no"), "scheduled", "ConnectionRefusedError"),
        (smtplib.SMTPRecipientsRefused({"alice@example.com": (550, b"no")}), "failed", "INVALID_EMAIL"),
        (smtplib.SMTPServerDisconnected("gone"), "failed", "nobody knows"),
    ],
    ids=["not taken", "refused", "unknown"],
)
def test_only_a_mail_that_was_certainly_not_taken_is_sent_again(
    debug: None, caller: Make, worker: InProcessWorker, answers: list[Any], error: Exception, state: str, reason: str
) -> None:
    answers.append(error)
    caller().post("/demo/signup", ALICE)
    worker.run_due()
    job = Job.objects.get()
    assert job.state == state and reason in job.reason and "alice" not in job.reason
    worker.run_due(timezone.now() + 2 * MINUTE)
    assert len(mail.outbox) == (state == "scheduled")


def test_a_worker_that_died_while_it_sent_leaves_a_question(debug: None, caller: Make, worker: InProcessWorker) -> None:
    caller().post("/demo/signup", ALICE)
    Job.objects.update(checkpoint="sending")  # as the intent stands that a killed worker wrote
    worker.run_due()
    assert Job.objects.get().state == "failed" and not mail.outbox


def test_each_kind_of_error_ends_as_it_should(debug: None, caller: Make, worker: InProcessWorker) -> None:
    """A crash is in tests/stack: it would end this process."""
    asks = caller()
    jobs = {
        kind: asks.post(f"/demo/simulate-error?type={kind}").data["id"]
        for kind in ("transient", "permanent", "rate_limit")
    }
    for n in range(5):
        worker.run_due(timezone.now() + n * MINUTE)
    told = {kind: asks.get(f"/jobs/{pk}").data for kind, pk in jobs.items()}
    assert [(one["state"], one["attempts"], one["failures"]) for one in told.values()] == [
        ("succeeded", 3, 2),
        ("failed", 1, 1),
        ("succeeded", 2, 0),
    ]
    assert [one["outcome"] for one in told["rate_limit"]["history"]] == [Attempt.Outcome.SNOOZED]
    assert "INVALID_EMAIL" in told["permanent"]["reason"]


@pytest.mark.parametrize("query", ["", "?type=", "?type=funny"])
def test_an_error_of_no_kind_is_refused(debug: None, caller: Make, query: str) -> None:
    assert caller().post(f"/demo/simulate-error{query}").status_code == 422


def test_without_debug_there_is_no_demo(caller: Make) -> None:
    asks = caller()
    assert asks.post("/demo/signup", ALICE).status_code == 404
    assert asks.post("/demo/simulate-error?type=crash").status_code == 404
    assert "/demo" not in asks.get("/api/openapi.json").content.decode()
    assert not Job.objects.exists() and not User.objects.exists()


def test_with_debug_the_description_has_it(debug: None, caller: Make) -> None:
    assert "/api/v1/demo/signup" in caller().get("/api/openapi.json").data["paths"]


def test_the_demo_needs_a_key_too(debug: None, caller: Make) -> None:
    assert caller({"jobs:read"}).post("/demo/simulate-error?type=crash").status_code == 403
