"""Reports by mail when something goes wrong: nobody gets one twice, and nothing waits for ever."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from jobs import ledger
from jobs.models import Job
from notifications import reconciler
from notifications.channels.base import Busy, Refused, Throttled, Unknown
from notifications.models import ReportMail
from notifications.reports import mails
from tests.notifications.providers import Provider
from tests.reports.mailing import olga as olga, order, provider as provider, run_all, states

pytestmark = pytest.mark.django_db


def test_a_worker_that_was_lost_while_sending_leaves_it_in_doubt(worker: Any, olga: User, provider: Provider) -> None:
    """The server may have it: it is held, and never sent again by itself."""

    class Killed(BaseException):
        pass

    provider.answers = [Killed()]  # type: ignore[list-item]
    order(olga)
    with pytest.raises(Killed):
        run_all(worker)
    (mail,) = ReportMail.objects.all()
    assert mail.state == "sending"
    Job.objects.filter(pk=mail.pk).update(state="running", lease_until=timezone.now() - timedelta(hours=1))
    assert ledger.rescue(Job.objects.get(pk=mail.pk))
    run_all(worker)
    order(olga)
    run_all(worker)
    assert states() == {"olga": "in_doubt"} and provider.asked[str(mail.pk)] == 1
    assert ReportMail.objects.get().detail == "the worker was lost while sending"


def test_an_attempt_that_was_given_up_for_dead_still_tells_what_it_knows(olga: User, worker: Any) -> None:
    order(olga)
    run_all(worker)
    mail = ReportMail.objects.get()
    ReportMail.objects.update(state="in_doubt", token=1)
    assert mails._rows(mail, 1).update(state="sent") == 1
    assert mails._rows(mail, 1).update(state="sent") == 0


@pytest.mark.parametrize(
    ("answer", "state", "job"),
    [(Refused("550 no such user"), "refused", "failed"), (Unknown("no answer"), "in_doubt", "failed")],
    ids=["refused", "unknown"],
)
def test_what_the_server_says_is_final(
    worker: Any, olga: User, provider: Provider, answer: Exception, state: str, job: str
) -> None:
    provider.answers = [answer]
    order(olga)
    run_all(worker)
    (mail,) = ReportMail.objects.all()
    assert (mail.state, mail.detail, Job.objects.get(pk=mail.pk).state) == (state, str(answer), job)
    ledger.retry([mail.pk])  # a person tries
    run_all(worker)
    assert provider.asked[str(mail.pk)] == 1 and states() == {"olga": state}


@pytest.mark.parametrize(
    "answer", [Busy("451 later"), Throttled("left alone", timedelta(seconds=30))], ids=["busy", "told when"]
)
def test_a_server_that_is_busy_is_asked_again(worker: Any, olga: User, provider: Provider, answer: Exception) -> None:
    provider.answers = [answer]
    order(olga)
    run_all(worker)
    run_all(worker)
    assert states() == {"olga": "sent"} and len(provider.taken) == 1


def test_a_job_that_is_not_its_workers_any_more_sends_nothing(
    worker: Any, olga: User, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = mails.written

    def cancelled_meanwhile(mail: ReportMail) -> Any:
        ledger.cancel([mail.pk], "not wanted")
        return seen(mail)

    monkeypatch.setattr(mails, "written", cancelled_meanwhile)
    order(olga)
    run_all(worker)
    assert not provider.asked and states() == {"olga": "planned"}
    assert Job.objects.get(pk=ReportMail.objects.get().pk).state == "cancelled"


@pytest.mark.parametrize(("state", "end"), [("planned", "skipped"), ("sending", "in_doubt")])
@pytest.mark.parametrize("job", ["cancelled", "failed", "deleted"])
def test_a_mail_whose_job_ended_does_not_wait_for_ever(
    worker: Any, olga: User, provider: Provider, job: str, state: str, end: str
) -> None:
    order(olga)
    run_all(worker)
    mail = ReportMail.objects.get()
    ReportMail.objects.update(state=state)
    rows = Job.objects.filter(pk=mail.pk)
    rows.delete() if job == "deleted" else rows.update(state=job)
    reconciler.settle_all()
    mail.refresh_from_db()
    assert mail.state == end and mail.detail


def test_settling_leaves_those_alone_whose_job_goes_on(worker: Any, olga: User, provider: Provider) -> None:
    order(olga)
    run_all(worker)
    ReportMail.objects.update(state="planned")
    Job.objects.filter(pk=ReportMail.objects.get().pk).update(state="scheduled", finished_at=None)
    reconciler.settle_all()
    assert states() == {"olga": "planned"}
